"""Train a policy on preferences: DPO (arXiv:2305.18290), its relatives, SimPO and ORPO.

The preference's strength is dropped: DPO has no use for it. At the first step policy and reference are one model, so
the first loss is a number known beforehand: ln 2 for the sigmoid loss. The losses are in `preference_losses`; the rows
go in as token ids, so that the model learns to write the very ids that sampling produces.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from training.configs import DPOConfig
from training.ml.chat import template_digest
from training.ml.drawing import draw, rows_to_come
from training.ml.evaluate import accuracy, groups_of
from training.ml.logprob_training import LogprobTrainer, reference_logprobs, without_dropout
from training.ml.models import check_source, load_tokenizer, publish_model
from training.ml.preference_losses import WITHOUT_REFERENCE, PairLogprobs, implied_rewards, pair_losses
from training.ml.preferences import PreferenceTokens, read_pairs, require_train_rows, ties_of
from training.ml.preflight import look_first
from training.ml.readings import Reading, some
from training.ml.response_logprobs import let_score, response_logprobs
from training.ml.shared_prompts import can_share, pair_batch, pair_logprobs, width_of
from training.ml.trl_runs import train
from training.ml.tuning import as_policy, load_to_train, tuned
from training.rundir import Check, Outcome, RunDirectory, RunSpec

METRICS = {
    "loss": "loss",
    "rewards_accuracy": "rewards_accuracy",
    "rewards_margin": "rewards_margin",
    "rewards_chosen": "rewards_chosen",
    "rewards_rejected": "rewards_rejected",
    "logps_chosen": "logps_chosen",
    "logps_rejected": "logps_rejected",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
}


@dataclass
class Pair:
    """A row as the trainer takes it."""

    chosen: Reading
    rejected: Reading
    reference: tuple[float, float] = (0.0, 0.0)
    """Log-probabilities of chosen and rejected before training; of no use to a loss without reference."""


def pairs_of(rows: Sequence[PreferenceTokens]) -> list[Pair]:
    return [Pair(chosen, rejected) for chosen, rejected in (row.readings() for row in rows)]


def collate(pairs: Sequence[Pair], pad_id: int, hidden: int) -> dict[str, Tensor]:
    """Return a batch for a scoring pass of 2B sequences, the chosen ones first, and what the reference says of them.

    `hidden` is as for `pair_batch`.
    """
    reference = [*(pair.reference[0] for pair in pairs), *(pair.reference[1] for pair in pairs)]
    batch = pair_batch([(pair.chosen, pair.rejected) for pair in pairs], pad_id, hidden)
    tokens = sum(len(pair.chosen.ids) + len(pair.rejected.ids) for pair in pairs)
    return {**batch, "reference": torch.tensor(reference), "tokens": torch.tensor([tokens])}


def loss_of(model: nn.Module, batch: dict[str, Tensor], config: DPOConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the mean loss of a batch, and its figures."""
    read = {name: tensor for name, tensor in batch.items() if name not in ("reference", "tokens")}
    scored = model(**read, score_responses=True)
    (chosen, rejected), (chosen_tokens, rejected_tokens) = scored.sums.chunk(2), scored.counts.chunk(2)
    pairs = PairLogprobs(chosen, rejected, chosen_tokens, rejected_tokens, *batch["reference"].chunk(2))
    better, worse = implied_rewards(pairs, config)
    return pair_losses(pairs, config).mean(), {
        "rewards_chosen": better,
        "rewards_rejected": worse,
        "rewards_margin": better - worse,
        "rewards_accuracy": (1 + (better - worse).sign()) / 2,  # a tie is half right, as at the first step
        "logps_chosen": chosen,
        "logps_rejected": rejected,
    }


def run_dpo(run: RunDirectory, spec: RunSpec, config: DPOConfig) -> Outcome:
    """Train on the snapshot's train split, publish the policy, and measure the implied reward on the rest."""
    source = check_source(spec.policy, "policy to train")
    tokenizer = load_tokenizer(source)
    rows, held_out = read_pairs(spec, tokenizer)
    require_train_rows(rows)
    run.write_progress("loading the model", 0, config.steps)
    torch.manual_seed(config.seed)
    model = tuned(without_dropout(load_to_train(source, tokenizer, config)), config)
    let_score(model)
    pad_id = tokenizer.pad_token_id
    first = pairs_of(rows[:1])[0]
    shares = can_share(model, (first.chosen, first.rejected), pad_id)
    rows, held_out = look_first(
        run, spec, config, tokenizer, rows, held_out, model=model, extra=checks_of_ties(spec), shares_prompts=shares
    )
    pairs = pairs_of(rows)
    held_out = sorted(some(held_out), key=lambda row: row.length)
    measured = pairs_of(held_out)
    ask = functools.partial(ask_model, pad_id=pad_id, batch_size=config.batch_size, shares=shares)
    trainer = LogprobTrainer(
        model,
        run,
        config,
        train_dataset=pairs,
        eval_dataset=measured or None,
        collate=functools.partial(collate, pad_id=pad_id, hidden=width_of(model) if shares else 0),
        loss=functools.partial(loss_of, config=config),
    )
    lengths = [row.shared_length if shares else row.length for row in rows]
    order = draw(trainer, lengths, [row.weight for row in rows], config)
    if config.loss not in WITHOUT_REFERENCE:
        asked = [*(pairs[place] for place in rows_to_come(order, config)), *measured]
        found = reference_logprobs(run, trainer, [(pair.chosen, pair.rejected) for pair in asked], ask)
        for pair, logprobs in zip(asked, found, strict=True):
            pair.reference = logprobs
    prompts = [row.prompt for row in held_out or rows]
    status, step = train(run, trainer, METRICS, config, tokenizer, prompts)

    run.write_progress("evaluating", step, config.steps)
    sha256 = publish_model(run, trainer.model, tokenizer, kind="policy", source=source, step=step)
    with as_policy(trainer.model) as policy, trainer.accelerator.autocast():
        said = ask(policy, [(pair.chosen, pair.rejected) for pair in measured])
    losses = [row["loss"] for row in run.metrics()]
    run.write_progress("done", step, config.steps)
    return Outcome(
        status,
        step,
        sha256,
        template_digest(tokenizer),
        {
            **held_out_figures(measured, said, groups_of(held_out), config),
            "loss_first": losses[0] if losses else None,
            "loss_last": losses[-1] if losses else None,
        },
    )


def checks_of_ties(spec: RunSpec) -> list[Check]:
    """Tell how many ties the snapshot keeps, of which there is nothing to learn here."""
    ties = ties_of(spec)
    if not ties:
        return []
    told = f"{ties} ties of the snapshot are passed over: DPO learns which of two responses is better, ties name none."
    return [Check("ties", "ok", told, {"ties": ties})]


def ask_model(
    model: PreTrainedModel, pairs: Sequence[tuple[Reading, Reading]], *, pad_id: int, batch_size: int, shares: bool
) -> list[float]:
    """Return the model's log-probabilities of chosen and rejected in turn."""
    if shares:
        return pair_logprobs(model, pairs, pad_id, batch_size)
    return response_logprobs(model, [reading for pair in pairs for reading in pair], pad_id, 2 * batch_size)


def held_out_figures(
    pairs: Sequence[Pair], logprobs: Sequence[float], groups: Sequence[str], config: DPOConfig
) -> dict[str, Any]:
    """Return how often the implied reward prefers what people preferred, with its interval, and how far it moved.

    `logprobs` are the trained policy's, chosen and rejected in turn. A shift is the change of a response's
    log-probability by training, in nats; DPO often lowers that of the chosen responses, too.
    """
    if not pairs:
        return accuracy([], [])
    compared = PairLogprobs(
        chosen=torch.tensor(logprobs[::2]),
        rejected=torch.tensor(logprobs[1::2]),
        chosen_tokens=torch.tensor([pair.chosen.learned_tokens for pair in pairs]),
        rejected_tokens=torch.tensor([pair.rejected.learned_tokens for pair in pairs]),
        reference_chosen=torch.tensor([pair.reference[0] for pair in pairs]),
        reference_rejected=torch.tensor([pair.reference[1] for pair in pairs]),
    )
    chosen, rejected = implied_rewards(compared, config)
    margins = (chosen - rejected).tolist()
    figures = {
        **accuracy(margins, groups),
        "held_out_loss": pair_losses(compared, config).mean().item(),
        "rewards_margin": fmean(margins),
    }
    if config.loss in WITHOUT_REFERENCE:
        return figures
    return {
        **figures,
        "chosen_shift": compared.chosen_ratio.mean().item(),
        "rejected_shift": compared.rejected_ratio.mean().item(),
    }
