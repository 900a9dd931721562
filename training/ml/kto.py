"""Train a policy on thumbs up and down: Kahneman-Tversky optimisation (arXiv:2402.01306).

Each response is held against a point of reference: how far the policy has moved, as its KL to the model before
training. That is estimated on prompts with other prompts' responses (section 4.1 of the paper), which are fixed for the
run: so all that the reference says is asked once. At the first step policy and reference are one, the KL is 0, and
every loss is half its weight.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from training.configs import KTOConfig
from training.ml import processes
from training.ml.chat import template_digest
from training.ml.drawing import draw, rows_to_come
from training.ml.intervals import Z_95
from training.ml.logprob_training import LogprobTrainer, reference_logprobs, without_dropout
from training.ml.models import check_source, load_tokenizer, publish_model
from training.ml.preference_losses import thumb_losses, thumb_weights
from training.ml.preflight import look_first
from training.ml.readings import Reading, some
from training.ml.response_logprobs import let_score, response_logprobs, scoring_batch
from training.ml.snapshots import NothingToLearnFrom
from training.ml.thumbs import ThumbTokens, mismatched, read_thumbs
from training.ml.trl_runs import train
from training.ml.tuning import as_policy, load_to_train, tuned
from training.rundir import Check, Outcome, RunDirectory, RunSpec

METRICS = {
    "loss": "loss",
    "kl": "kl",
    "rewards_chosen": "rewards_chosen",
    "rewards_rejected": "rewards_rejected",
    "logps_chosen": "logps_chosen",
    "logps_rejected": "logps_rejected",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
}


@dataclass
class Thumb:
    """A row as the trainer takes it."""

    reading: Reading
    other: Reading
    """The prompt with a response to another one."""
    is_up: bool
    reference: tuple[float, float] = (0.0, 0.0)
    """Log-probabilities of both before training."""


def thumbs_of(rows: Sequence[ThumbTokens], seed: int) -> list[Thumb]:
    return [Thumb(row.readings()[0], other, row.is_up) for row, other in zip(rows, mismatched(rows, seed), strict=True)]


def collate(thumbs: Sequence[Thumb], pad_id: int) -> dict[str, Tensor]:
    """Return a batch of B responses and, under names with `other_`, B responses to other prompts."""
    others = scoring_batch([thumb.other for thumb in thumbs], pad_id)
    return {
        **scoring_batch([thumb.reading for thumb in thumbs], pad_id),
        **{f"other_{name}": tensor for name, tensor in others.items()},
        "tokens": torch.tensor([sum(len(thumb.reading.ids) for thumb in thumbs)]),
        "is_up": torch.tensor([thumb.is_up for thumb in thumbs]),
        "reference": torch.tensor([thumb.reference[0] for thumb in thumbs]),
        "other_reference": torch.tensor([thumb.reference[1] for thumb in thumbs]),
    }


def loss_of(
    model: nn.Module, batch: dict[str, Tensor], beta: float, weights: tuple[float, float]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the mean loss of a batch, and its figures; `weights` are those of thumbs up and down."""
    names = ("input_ids", "attention_mask", "labels")
    with torch.no_grad():
        others = model(**{name: batch[f"other_{name}"] for name in names}, score_responses=True).sums
        kl = processes.mean_of_all((others - batch["other_reference"]).mean()).clamp(min=0)
    logprobs = model(**{name: batch[name] for name in names}, score_responses=True).sums
    ratio, is_up = logprobs - batch["reference"], batch["is_up"]
    return thumb_losses(ratio, is_up, kl, beta, *weights).mean(), {
        "kl": kl,
        "rewards_chosen": beta * ratio[is_up],
        "rewards_rejected": beta * ratio[~is_up],
        "logps_chosen": logprobs[is_up],
        "logps_rejected": logprobs[~is_up],
    }


def run_kto(run: RunDirectory, spec: RunSpec, config: KTOConfig) -> Outcome:
    """Train on the snapshot's train split, publish the policy, and measure it on the thumbs that were held out."""
    source = check_source(spec.policy, "policy to train")
    tokenizer = load_tokenizer(source)
    pad_id = tokenizer.pad_token_id
    rows, held_out = read_thumbs(spec, tokenizer)
    if not rows:
        raise NothingToLearnFrom(
            "the snapshot has no thumb in its train split; rate more whose prompts are not held out"
        )
    run.write_progress("loading the model", 0, config.steps)
    torch.manual_seed(config.seed)
    model = tuned(without_dropout(load_to_train(source, tokenizer, config)), config)
    let_score(model)
    rows, held_out = look_first(
        run, spec, config, tokenizer, rows, held_out, model=model, extra=[check_thumbs(rows, config)]
    )
    held_out = sorted(some(held_out), key=lambda row: row.length)
    thumbs, measured = thumbs_of(rows, config.seed), thumbs_of(held_out, config.seed)
    ups = sum(row.is_up for row in rows)
    weights = thumb_weights(ups, len(rows) - ups, config)
    trainer = LogprobTrainer(
        model,
        run,
        config,
        train_dataset=thumbs,
        eval_dataset=measured or None,
        collate=functools.partial(collate, pad_id=pad_id),
        loss=functools.partial(loss_of, beta=config.beta, weights=weights),
    )
    sides = [row.is_up for row in rows]  # often of other length than the rest; a batch of one side has no contrast
    order = draw(trainer, [row.length for row in rows], [row.weight for row in rows], config, sides)
    asked = [*(thumbs[place] for place in rows_to_come(order, config)), *measured]
    found = reference_logprobs(
        run,
        trainer,
        [(thumb.reading, thumb.other) for thumb in asked],
        lambda reference, each: response_logprobs(
            reference, [reading for two in each for reading in two], pad_id, config.batch_size
        ),
    )
    for thumb, logprobs in zip(asked, found, strict=True):
        thumb.reference = logprobs
    prompts = [row.prompt for row in held_out or rows]
    status, step = train(run, trainer, METRICS, config, tokenizer, prompts)

    run.write_progress("evaluating", step, config.steps)
    sha256 = publish_model(run, trainer.model, tokenizer, kind="policy", source=source, step=step)
    with as_policy(trainer.model) as policy, trainer.accelerator.autocast():
        said = response_logprobs(policy, [thumb.reading for thumb in measured], pad_id, config.batch_size)
    losses = [row["loss"] for row in run.metrics()]
    run.write_progress("done", step, config.steps)
    return Outcome(
        status,
        step,
        sha256,
        template_digest(tokenizer),
        {
            **held_out_figures(measured, said),
            "loss_first": losses[0] if losses else None,
            "loss_last": losses[-1] if losses else None,
        },
    )


def check_thumbs(rows: Sequence[ThumbTokens], config: KTOConfig) -> Check:
    """Look whether both thumbs are there, and say how they are weighed."""
    up = sum(row.is_up for row in rows)
    down = len(rows) - up
    up_weight, down_weight = thumb_weights(up, down, config)
    figures = {"up": up, "down": down, "up_weight": round(up_weight, 3), "down_weight": round(down_weight, 3)}
    if not up or not down:
        return Check(
            "thumbs",
            "blocking",
            f"All {len(rows)} thumbs are {'up' if up else 'down'}; KTO learns from the difference and needs both. "
            "Freeze a snapshot with both, or train on the good ones by SFT.",
            figures,
        )
    sides = sorted((up * up_weight, down * down_weight))
    told = f"{up} thumbs up and {down} down, weighed {up_weight:.3g} and {down_weight:.3g}."
    if sides[1] > 2 * max(sides[0], 1e-9):
        more = "up" if up * up_weight > down * down_weight else "down"
        return Check(
            "thumbs",
            "warning",
            f"{told} Thumbs {more} count more than twice as much as the others; let the run balance them.",
            figures,
        )
    return Check("thumbs", "ok", told, figures)


def held_out_figures(thumbs: Sequence[Thumb], logprobs: Sequence[float]) -> dict[str, Any]:
    """Return how often a response with a thumb up gained more by training than one with a thumb down.

    That share of all pairs across is the area under the ROC curve; its interval is Hanley and McNeil's (1982). `n`
    counts thumbs. A shift is the mean change of log-probability, in nats.
    """
    gains = [now - thumb.reference[0] for thumb, now in zip(thumbs, logprobs, strict=True)]
    up = [gain for gain, thumb in zip(gains, thumbs, strict=True) if thumb.is_up]
    down = [gain for gain, thumb in zip(gains, thumbs, strict=True) if not thumb.is_up]
    figures: dict[str, Any] = {"accuracy": None, "n": len(thumbs), "low": None, "high": None}
    if up:
        figures["chosen_shift"] = fmean(up)
    if down:
        figures["rejected_shift"] = fmean(down)
    if up and down:
        figures |= area_under_curve(up, down)
    return figures


def area_under_curve(better: Sequence[float], worse: Sequence[float]) -> dict[str, float]:
    """Return {"accuracy", "low", "high"} of `better` over `worse`; equal ones count half."""
    below = sorted(worse)
    wins = sum((bisect_left(below, one) + bisect_right(below, one)) / 2 for one in better)
    area = wins / (len(better) * len(worse))
    both_better, both_worse = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area) + (len(better) - 1) * (both_better - area**2) + (len(worse) - 1) * (both_worse - area**2)
    ) / (len(better) * len(worse))
    half = Z_95 * math.sqrt(max(0.0, variance))
    return {"accuracy": area, "low": max(0.0, area - half), "high": min(1.0, area + half)}
