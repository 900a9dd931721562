"""How often a model prefers what people preferred, on labels that it never saw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training.configs import EvaluateConfig
from training.ml import CannotRun
from training.ml.calibration import calibration
from training.ml.chat import template_digest
from training.ml.intervals import wilson_interval
from training.ml.models import DTYPES, base_of, check_source, load_policy, load_tokenizer, pick_device
from training.ml.policy_evaluation import compare_with_reference
from training.ml.preferences import PreferenceTokens, read_compared, refuse_rows_too_long
from training.ml.rating_figures import measure_ratings
from training.ml.reward_models import Scorer, check_reward_source, load_scorer
from training.ml.reward_rows import RewardRow, read_held_out_ratings
from training.ml.sampling import read_prompts
from training.ml.sequences import sequence_logprobs
from training.rundir import ModelSource, Outcome, RunDirectory, RunSpec, read_json


def accuracy(margins: Sequence[float], groups: Sequence[str]) -> dict[str, Any]:
    """Return {"accuracy", "n", "low", "high"} of the margins chosen - rejected; a margin of 0 counts half.

    `n` counts groups: the pairs of one ranking are one person's one word, so they count as one label, right by the
    share of them that is. Counted one by one they would make the interval look narrower than it is.
    """
    right: dict[str, list[float]] = {}
    for margin, group in zip(margins, groups, strict=True):
        right.setdefault(group, []).append(1.0 if margin > 0 else 0.5 if margin == 0 else 0.0)
    n = len(right)
    if n == 0:
        return {"accuracy": None, "n": 0, "low": None, "high": None}
    total = sum(sum(pairs) / len(pairs) for pairs in right.values())
    low, high = wilson_interval(total, n)
    return {"accuracy": total / n, "n": n, "low": low, "high": high}


def reward_margins(scorer: Scorer, rows: Sequence[PreferenceTokens], batch_size: int) -> Tensor:
    """Return every member's reward of chosen less that of rejected, [members, rows]."""
    sequences = [[*row.prompt, *response] for row in rows for response in (row.chosen, row.rejected)]
    scores = scorer.scores(sequences, 2 * batch_size)
    return scores[:, ::2] - scores[:, 1::2]


def measure_rewards(
    scorer: Scorer,
    spec: RunSpec,
    rows: Sequence[PreferenceTokens],
    batch_size: int,
    rated: Sequence[RewardRow] = (),
) -> dict[str, Any]:
    """Return a reward model's accuracy on held-out labels, over all and by strength, language and arm.

    With it the ceiling that people's agreement sets, how far its probabilities can be believed, and what its attribute
    heads make of held-out ratings.
    """
    attributes = measure_ratings(scorer, rated, batch_size)
    if not rows:
        return accuracy([], []) | ({"attributes": attributes} if attributes else {})
    by_member = reward_margins(scorer, rows, batch_size)
    margins = by_member.mean(0)
    figures = accuracy(margins.tolist(), groups_of(rows))
    agreement = agreement_of(spec)
    limits = {part: {one["part"]: one["value"] for one in found} for part, found in agreement.get("parts", {}).items()}
    figures |= {
        "mean_gap": float(margins.abs().mean()),
        "by_strength": parted(margins, rows, [strength_of(row) for row in rows], limits.get("strength", {})),
        "by_language": parted(margins, rows, [row.language for row in rows], limits.get("language", {})),
        "by_arm": parted(margins, rows, [row.arm for row in rows], limits.get("arm", {})),
        "attributes": attributes,
    }
    if len(by_member) > 1:
        figures["by_member"] = [accuracy(one, groups_of(rows)) for one in by_member.tolist()]
        figures["doubt"] = float(by_member.std(0, correction=0).mean())
    if (limit := ceiling_of(agreement)) is not None:
        figures["ceiling"] = limit
    figures["calibration"] = calibration(margins, [row.arm for row in rows])[1]
    return {name: value for name, value in figures.items() if value not in ({}, [])}


def strength_of(row: PreferenceTokens) -> str:
    """Return the strength of the preference, rounded where several people's were averaged; empty for none."""
    return str(max(1, round(row.margin))) if row.margin else ""


def parted(
    margins: Tensor, rows: Sequence[PreferenceTokens], parts: Sequence[str], agreement: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return the accuracy on the rows of each part, {"part", "accuracy", "n", "low", "high"}; none where all are one.

    Rows whose part is not known are left out. A part in which people's `agreement` is known has its "ceiling", too.
    """
    known = sorted({part for part in parts if part})
    if len(known) < 2:
        return []
    found = []
    for part in known:
        at = [place for place, one in enumerate(parts) if one == part]
        found.append({"part": part, **accuracy(margins[at].tolist(), [rows[place].group for place in at])})
        if part in agreement:
            found[-1]["ceiling"] = right_of(agreement[part])
    return found


def agreement_of(spec: RunSpec) -> dict[str, Any]:
    """Return what the snapshot's manifest says of how far people agree; {} for nothing."""
    manifest = read_json(Path(spec.snapshot) / "manifest.json") or {}
    return (manifest.get("figures") or {}).get("agreement") or {}


def right_of(agreement: float) -> float:
    """Return how often a person is right, of whom two give one answer so often (feedback.stats.agreement.ceiling)."""
    return (1 + math.sqrt(max(0.0, 2 * agreement - 1))) / 2


def ceiling_of(agreement: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return how often two people of the snapshot gave one answer, and how often one of them is right then.

    {"agreement", "accuracy", "low", "high", "n"}: nothing that learns from one label for each task can be held to more
    than the people themselves. `n` are tasks that several people judged; None where there are none. A tie counts as
    disagreement with a preference, so it is a lower bound where people gave ties.
    """
    if not agreement or agreement["percent"]["value"] is None:
        return None
    bounds = {name: agreement["percent"][name] for name in ("value", "low", "high")}
    right = {name: None if one is None else right_of(one) for name, one in bounds.items()}
    return {
        "agreement": bounds["value"],
        "accuracy": right["value"],
        "low": right["low"],
        "high": right["high"],
        "n": agreement["tasks"],
    }


def logprob_margins(
    model: PreTrainedModel, rows: Sequence[PreferenceTokens], pad_id: int, batch_size: int
) -> list[float]:
    """Return log p(chosen) - log p(rejected) of each row."""
    prompts = [row.prompt for row in rows for _ in range(2)]
    responses = [response for row in rows for response in (row.chosen, row.rejected)]
    sums = sequence_logprobs(model, prompts, responses, pad_id, 2 * batch_size)
    return [chosen - rejected for chosen, rejected in zip(sums[::2], sums[1::2], strict=True)]


def implicit_accuracy(
    policy_margins: Sequence[float], reference_margins: Sequence[float], groups: Sequence[str]
) -> dict[str, Any]:
    """Return the accuracy of the reward that a policy implies: its log-probabilities over its reference's (DPO)."""
    return accuracy([new - old for new, old in zip(policy_margins, reference_margins, strict=True)], groups)


def groups_of(rows: Sequence[PreferenceTokens]) -> list[str]:
    return [row.group for row in rows]


def run_evaluate(run: RunDirectory, spec: RunSpec, config: EvaluateConfig) -> Outcome:
    """Evaluate what the run names.

    A policy and a reward model: the policy against its reference, on the run's prompts, judged by the reward model. One
    of them alone: its accuracy on the snapshot's evaluation split; a policy's is that of the reward it implies.
    """
    if spec.reward is None and spec.policy is None:
        raise CannotRun("an evaluate run needs a reward model or a policy")
    if spec.policy is not None and spec.reward is not None:
        return run_comparison(run, spec, config, spec.policy, spec.reward)
    source = check_reward_source(spec.reward) if spec.reward else check_source(spec.policy, "model to evaluate")
    reference = None if spec.reward else reference_of(spec, source)
    tokenizer = load_tokenizer(source)
    rows = read_compared(spec, tokenizer)
    refuse_rows_too_long(rows, config.max_length)
    run.write_progress("loading the model")
    if reference is None:
        scorer = load_scorer(source, tokenizer, precision=config.precision)
        rated = read_held_out_ratings(spec, tokenizer) if len(scorer.card.heads) > 1 else []
        refuse_rows_too_long(rated, config.max_length)
        run.write_progress("scoring", 0, len(rows))
        figures = measure_rewards(scorer, spec, rows, config.batch_size, rated)
    else:
        figures = policy_accuracy(run, source, reference, tokenizer, rows, config)
    run.write_progress("done", len(rows), len(rows))
    return Outcome(status="succeeded", step=len(rows), template_digest=template_digest(tokenizer), evaluation=figures)


def run_comparison(
    run: RunDirectory, spec: RunSpec, config: EvaluateConfig, policy: ModelSource, judge: ModelSource
) -> Outcome:
    policy = check_source(policy, "policy to evaluate")
    prompts = read_prompts(run)
    figures = compare_with_reference(run, policy, reference_of(spec, policy), judge, prompts, config)
    digest = template_digest(load_tokenizer(policy))
    if figures is None:
        return Outcome("cancelled", template_digest=digest)
    run.write_progress("done", len(prompts), len(prompts))
    return Outcome("succeeded", len(prompts), template_digest=digest, evaluation=figures)


def reference_of(spec: RunSpec, policy: ModelSource) -> ModelSource:
    """Return the model that the policy is held against: the run's, or else the one that it all began with."""
    reference = spec.reference or ModelSource(base_of(policy))
    if reference == policy:
        raise CannotRun(f"{policy.base} is a base model; there is nothing to evaluate it against")
    return check_source(reference, "reference")


def policy_accuracy(
    run: RunDirectory,
    policy: ModelSource,
    reference: ModelSource,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[PreferenceTokens],
    config: EvaluateConfig,
) -> dict[str, Any]:
    """Return the accuracy of the implicit reward of the policy over the reference; one model in memory at a time."""
    margins = []
    for place, (name, source) in enumerate((("the reference", reference), ("the policy", policy))):
        run.write_progress(f"scoring with {name}", place * len(rows), 2 * len(rows))
        model = load_policy(source, tokenizer, DTYPES[config.precision]).to(pick_device()).eval()
        margins.append(logprob_margins(model, rows, tokenizer.pad_token_id, config.batch_size))
        del model
    return implicit_accuracy(margins[1], margins[0], groups_of(rows))
