"""Supervised fine-tuning: the model learns to write the responses, and nothing of the prompts before them.

The loss is the mean over the response tokens of a step, each weighed as its row. Only what predicts a response token
goes through the output layer, which is a fifth of a small model's work. What was left out of TRL's trainer: its own
tokenizing, which truncates, and its entropy, which costs a pass over the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer, TrainingArguments

from training.configs import SFTConfig
from training.ml.chat import template_digest
from training.ml.drawing import draw
from training.ml.models import check_source, load_tokenizer, publish_model
from training.ml.packing import pack, refuse_mixing
from training.ml.preflight import look_first
from training.ml.readings import some
from training.ml.response_logprobs import IGNORED, let_score
from training.ml.responses import ResponseTokens, read_responses
from training.ml.trl_runs import train, trainer_arguments
from training.ml.tuning import load_to_train, tuned
from training.rundir import Outcome, RunDirectory, RunSpec

METRICS = {
    "loss": "loss",
    "mean_token_accuracy": "token_accuracy",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
}
Rows = tuple[ResponseTokens, ...]
"""What one sequence holds: one row, or several that are packed."""


def collate(sequences: Sequence[Rows], pad_id: int) -> dict[str, Tensor]:
    """Return B sequences padded on the right: input_ids, labels (IGNORED outside of responses) and weights, all [B, L].

    Packed rows come with position_ids, which start at 0 for each row; others with attention_mask, 1 on real tokens.
    """
    widths = [sum(len(row.ids) for row in rows) for rows in sequences]
    shape = (len(sequences), max(widths))
    ids = torch.full(shape, pad_id)
    labels = torch.full(shape, IGNORED)
    weights = torch.zeros(shape)
    positions = torch.zeros(shape, dtype=torch.long)
    for place, rows in enumerate(sequences):
        start = 0
        for row in rows:
            end = start + len(row.ids)
            ids[place, start:end] = torch.tensor(row.ids)
            positions[place, start:end] = torch.arange(len(row.ids))
            for first, last in row.learned:
                learned = slice(start + max(first, 1), start + last)  # nothing foretells a first token
                labels[place, learned] = ids[place, learned]
                weights[place, learned] = row.weight
            start = end
    batch = {"input_ids": ids, "labels": labels, "weights": weights}
    if any(len(rows) > 1 for rows in sequences):
        return {**batch, "position_ids": positions}
    mask = torch.arange(shape[1]) < torch.tensor(widths)[:, None]
    return {**batch, "attention_mask": mask.long()}


def response_losses(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return (losses, is right, weights), [N] each, of the N response tokens, row after row; a loss is -log p(token).

    `let_score` has seen the model.
    """
    read = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids", "labels") if name in batch}
    found = model(**read, score_responses=True, tell_likeliest=True)
    return -found.tokens, found.likeliest, batch["weights"][batch["labels"] != IGNORED]


class SFTTrainer(Trainer):
    """A trainer whose loss is on responses alone, over rows that are token ids already."""

    loss_is_scaled_for_ga = True

    def __init__(self, *, held_out: Sequence[ResponseTokens], pad_id: int, **options: Any) -> None:
        super().__init__(data_collator=lambda sequences: collate(sequences, pad_id), **options)
        self.held_out, self.pad_id = held_out, pad_id
        self.counted = torch.zeros(3, dtype=torch.float64)
        """Response tokens that were right, all of them, and tokens read, since the last log."""
        self.tokens = 0.0

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Tensor]], device: torch.device) -> Tensor:
        """Return the weight of all response tokens of a step, of all processes together."""
        total = torch.stack([batch["weights"].sum() for batch in batch_samples]).sum().to(device)
        return self.accelerator.gather(total.unsqueeze(0)).sum()

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        losses, is_right, weights = response_losses(model, inputs)
        read = inputs["attention_mask"].sum() if "attention_mask" in inputs else inputs["input_ids"].numel()
        self.counted += torch.tensor([float(is_right.sum()), float(len(is_right)), float(read)])
        total = weights.sum() if num_items_in_batch is None else num_items_in_batch
        # Gradients of several processes are averaged, and each one's loss is its part of the whole step's.
        return (losses * weights).sum() / total * self.accelerator.num_processes

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            right, learned, read = self.accelerator.reduce(self.counted.to(self.args.device), "sum").tolist()
            self.counted.zero_()
            self.tokens += read
            logs |= {"mean_token_accuracy": right / max(learned, 1), "num_tokens": self.tokens}
        super().log(logs, start_time)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Look at the held-out rows: the loss of every process is that of all rows."""
        found = look_at(self.model, self.held_out, self.pad_id, self.args.per_device_eval_batch_size)
        figures = {"eval_loss": found["loss"], "eval_mean_token_accuracy": found["token_accuracy"]}
        self.log(dict(figures))
        self.callback_handler.on_evaluate(self.args, self.state, self.control, figures)
        return figures


@torch.no_grad()
def look_at(
    model: PreTrainedModel | PeftModel, rows: Sequence[ResponseTokens], pad_id: int, batch_size: int
) -> dict[str, Any]:
    """Return {"loss", "token_accuracy", "n"} on the response tokens of `rows`, whatever the rows weigh.

    `let_score` has seen the model.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    total, right, count = 0.0, 0.0, 0
    ordered = sorted(rows, key=lambda row: len(row.ids))
    for start in range(0, len(ordered), batch_size):
        batch = collate([(row,) for row in ordered[start : start + batch_size]], pad_id)
        batch = {name: value.to(device) for name, value in batch.items()}
        losses, is_right, _ = response_losses(model, batch)
        total += float(losses.sum())
        right += float(is_right.sum())
        count += len(losses)
    model.train(was_training)
    if not count:
        return {"loss": None, "token_accuracy": None, "n": 0}
    return {"loss": total / count, "token_accuracy": right / count, "n": len(rows)}


def run_sft(run: RunDirectory, spec: RunSpec, config: SFTConfig) -> Outcome:
    """Train on the snapshot's responses, publish what was trained, and measure it on those that were held out."""
    source = check_source(spec.policy, "policy to train")
    tokenizer = load_tokenizer(source)
    pad_id = tokenizer.pad_token_id
    rows, held_out = read_responses(spec, tokenizer, config)
    run.write_progress("loading the model", 0, config.steps)
    torch.manual_seed(config.seed)
    model = tuned(load_to_train(source, tokenizer, config), config)
    let_score(model)
    rows, held_out = look_first(run, spec, config, tokenizer, rows, held_out, model=model)
    held_out = some(held_out)
    if config.packing:
        refuse_mixing(model, rows)
    sequences: list[Rows] = pack(rows, config.max_length) if config.packing else [(row,) for row in rows]
    trainer = SFTTrainer(
        model=model,
        args=TrainingArguments(**trainer_arguments(run, config), remove_unused_columns=False),
        train_dataset=sequences,
        eval_dataset=held_out or None,
        held_out=held_out,
        pad_id=pad_id,
    )
    draw(trainer, [sum(len(row.ids) for row in one) for one in sequences], [1.0] * len(sequences), config)
    run.write_progress("looking at held-out rows", 0, config.steps)
    before = look_at(trainer.model, held_out, pad_id, config.batch_size)
    prompts = [row.readings()[0].prompt for row in held_out or rows]
    status, step = train(run, trainer, METRICS, config, tokenizer, prompts)

    run.write_progress("evaluating", step, config.steps)
    sha256 = publish_model(run, trainer.model, tokenizer, kind="policy", source=source, step=step)
    after = look_at(trainer.model, held_out, pad_id, config.batch_size)
    losses = [row["loss"] for row in run.metrics()]
    run.write_progress("done", step, config.steps)
    return Outcome(
        status,
        step,
        sha256,
        template_digest(tokenizer),
        {
            "held_out_loss": after["loss"],
            "held_out_loss_before": before["loss"],
            "token_accuracy": after["token_accuracy"],
            "n": after["n"],
            "loss_first": losses[0] if losses else None,
            "loss_last": losses[-1] if losses else None,
            "rows": len(rows),
        },
    )
