"""What DPO and KTO share: rows that are token ids, log-probabilities of a reference worked out once, means of figures.

The reference is the policy before training. What it says of a row never changes, so it is asked once, before the first
step, only about rows that the run will take, and the answers stay in the run directory: a run that is resumed reads
them there. That also spares full fine-tuning a second model in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer, TrainingArguments

from training.configs import TrainingConfig
from training.ml import processes
from training.ml.readings import Reading
from training.ml.trl_runs import trainer_arguments
from training.ml.tuning import as_policy, as_reference
from training.rundir import RunDirectory, read_json, write_json


def without_dropout(model: PreTrainedModel) -> PreTrainedModel:
    """Switch the model's own dropout off, so that policy and reference differ by what was learned alone.

    An adapter's dropout, added later, stays.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


class LogprobTrainer(Trainer):
    """transformers' trainer with a loss of its own; what the loss notes of a batch is logged as a mean."""

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        run: RunDirectory,
        config: TrainingConfig,
        *,
        train_dataset: Any,
        eval_dataset: Any,
        collate: Callable[[list[Any]], dict[str, Tensor]],
        loss: Callable[[nn.Module, dict[str, Tensor]], tuple[Tensor, dict[str, Tensor]]],
    ) -> None:
        """`collate` returns among its tensors "tokens", how many the batch has. `loss` returns the mean loss of a batch
        and its figures, always the same ones, each of any number of elements and counted by element."""
        super().__init__(
            model=model,
            args=TrainingArguments(**trainer_arguments(run, config), remove_unused_columns=False),
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            data_collator=collate,
        )
        self.model_accepts_loss_kwargs = False  # so that gradient accumulation takes the mean of its batches
        self.loss_of = loss
        self.noted: dict[str, defaultdict[str, list[Tensor]]] = {
            "": defaultdict(list),
            "eval_": defaultdict(list),
        }
        self.tokens = 0

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        loss, figures = self.loss_of(model, inputs)
        noted = self.noted["" if model.training else "eval_"]
        for name, value in figures.items():
            noted[name].append(value.detach().float().reshape(-1))
        if model.training:
            self.tokens += int(inputs["tokens"].sum())
        return (loss, {}) if return_outputs else loss

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            return self.compute_loss(model, inputs).detach(), None, None

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        prefix = "eval_" if any(name.startswith("eval_") for name in logs) else ""
        noted = self.noted[prefix]
        for name, parts in noted.items():  # the same names in every process
            values = torch.cat(parts)
            total, count = self.accelerator.reduce(torch.stack([values.sum(), values.new_tensor(len(values))]), "sum")
            if count > 0:
                logs[f"{prefix}{name}"] = float(total / count)
        noted.clear()
        if not prefix:
            tokens = self.accelerator.reduce(torch.tensor(float(self.tokens), device=self.args.device), "sum")
            logs["num_tokens"] = float(tokens)
        super().log(logs, start_time)


# The reference ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def before_training(model: PreTrainedModel | PeftModel) -> Iterator[PreTrainedModel]:
    """Give the model that training starts from; of a model without adapter, ask before the first step."""
    with as_reference(model) if isinstance(model, PeftModel) else as_policy(model) as reference:
        yield reference


def reference_logprobs(
    run: RunDirectory,
    trainer: LogprobTrainer,
    rows: Sequence[tuple[Reading, Reading]],
    ask: Callable[[PreTrainedModel, Sequence[tuple[Reading, Reading]]], list[float]],
) -> list[tuple[float, float]]:
    """Return the log-probabilities of each row's two sequences under the model before training.

    `ask` returns them in turn. They are read from the run directory if there. The trainer has its model on the device,
    and has not trained yet; several processes share the work.
    """
    wanted = digest_of([reading for row in rows for reading in row])
    kept = read_json(run.reference_path) or {}
    if not processes.any_says(kept.get("sequences") != wanted):
        return list(zip(kept["logprobs"][::2], kept["logprobs"][1::2], strict=True))
    run.write_progress("asking the reference")
    model = trainer.accelerator.unwrap_model(trainer.model)
    place, count = trainer.accelerator.process_index, processes.count()
    with before_training(model) as reference, trainer.accelerator.autocast():
        mine = ask(reference, rows[place::count])
    logprobs = [0.0] * (2 * len(rows))
    for at, part in enumerate(processes.parts_of_all(mine)):
        logprobs[2 * at :: 2 * count] = part[::2]
        logprobs[2 * at + 1 :: 2 * count] = part[1::2]
    if processes.is_first():
        write_json(run.reference_path, {"sequences": wanted, "logprobs": logprobs})
    return list(zip(logprobs[::2], logprobs[1::2], strict=True))


def digest_of(readings: Sequence[Reading]) -> str:
    """Return a sha256 that tells sequences apart, so that answers about others are not taken for theirs."""
    total = hashlib.sha256()
    for reading in readings:
        total.update(repr((list(reading.ids), reading.learned)).encode())
    return total.hexdigest()
