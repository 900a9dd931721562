"""How often a model prefers what people preferred, on labels that it never saw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training.configs import EvaluateConfig
from training.ml import CannotRun
from training.ml.calibration import calibration
from training.ml.chat import template_digest
from training.ml.models import base_of, check_source, load_base, load_tokenizer, merge_adapter, pick_device
from training.ml.preferences import PreferenceTokens, read_compared, refuse_rows_too_long
from training.ml.reward_models import Scorer, load_scorer
from training.ml.sequences import sequence_logprobs
from training.rundir import ModelSource, Outcome, RunDirectory, RunSpec, read_json

Z_95 = 1.959963984540054


def wilson_interval(successes: float, n: int, z: float = Z_95) -> tuple[float, float]:
    """Return Wilson's score interval for a share of `successes` in `n` > 0 (E. B. Wilson, 1927)."""
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


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


def measure_rewards(scorer: Scorer, spec: RunSpec, rows: Sequence[PreferenceTokens], batch_size: int) -> dict[str, Any]:
    """Return a reward model's accuracy on held-out labels, over all and by strength, language and arm.

    With it the ceiling that people's agreement sets, and how far its probabilities can be believed.
    """
    if not rows:
        return accuracy([], [])
    by_member = reward_margins(scorer, rows, batch_size)
    margins = by_member.mean(0)
    figures = accuracy(margins.tolist(), groups_of(rows))
    figures |= {
        "by_strength": parted(margins, rows, [strength_of(row) for row in rows]),
        "by_language": parted(margins, rows, [row.language for row in rows]),
        "by_arm": parted(margins, rows, [row.arm for row in rows]),
    }
    if len(by_member) > 1:
        figures["by_member"] = [accuracy(one, groups_of(rows)) for one in by_member.tolist()]
        figures["doubt"] = float(by_member.std(0, correction=0).mean())
    if (limit := ceiling_of(spec)) is not None:
        figures["ceiling"] = limit
    figures["calibration"] = calibration(margins, [row.arm for row in rows])[1]
    return {name: value for name, value in figures.items() if value not in ({}, [])}


def strength_of(row: PreferenceTokens) -> str:
    """Return the strength of the preference, rounded where several people's were averaged; empty for none."""
    return str(max(1, round(row.margin))) if row.margin else ""


def parted(margins: Tensor, rows: Sequence[PreferenceTokens], parts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the accuracy on the rows of each part, {"part", "accuracy", "n", "low", "high"}; none where all are one.

    Rows whose part is not known are left out.
    """
    known = sorted({part for part in parts if part})
    if len(known) < 2:
        return []
    found = []
    for part in known:
        at = [place for place, one in enumerate(parts) if one == part]
        found.append({"part": part, **accuracy(margins[at].tolist(), [rows[place].group for place in at])})
    return found


def ceiling_of(spec: RunSpec) -> dict[str, Any] | None:
    """Return how often two people of the snapshot gave one answer, and how often one of them is right then.

    {"agreement", "accuracy", "low", "high", "n"}: nothing that learns from one label for each task can be held to more
    than the people themselves, (1 + sqrt(2 agreement - 1)) / 2 (feedback.stats.agreement.ceiling). `n` are tasks that
    several people judged; None where there are none. A tie counts as disagreement with a preference, so it is a lower
    bound where people gave ties.
    """
    manifest = read_json(Path(spec.snapshot) / "manifest.json") or {}
    agreement = (manifest.get("figures") or {}).get("agreement")
    if not agreement or agreement["percent"]["value"] is None:
        return None
    bounds = {name: agreement["percent"][name] for name in ("value", "low", "high")}
    right = {name: None if one is None else (1 + math.sqrt(max(0.0, 2 * one - 1))) / 2 for name, one in bounds.items()}
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
    """Evaluate the run's reward model, or else its policy against its base, on the snapshot's evaluation split."""
    if spec.reward is None and spec.policy is None:
        raise CannotRun("an evaluate run needs a reward model or a policy")
    source = check_source(spec.reward or spec.policy, "model to evaluate")
    base = base_of(source)
    if not source.adapters and base == source.base:
        raise CannotRun(f"{source.base} is a base model; there is nothing to evaluate it against")
    tokenizer = load_tokenizer(source)
    rows = read_compared(spec, tokenizer)
    refuse_rows_too_long(rows, config.max_length)
    run.write_progress("loading the model")
    if spec.reward is not None:
        scorer = load_scorer(source, tokenizer, precision=config.precision)
        run.write_progress("scoring", 0, len(rows))
        figures = measure_rewards(scorer, spec, rows, config.batch_size)
    else:
        figures = policy_accuracy(run, source, base, tokenizer, rows, config)
    run.write_progress("done", len(rows), len(rows))
    return Outcome(status="succeeded", step=len(rows), template_digest=template_digest(tokenizer), evaluation=figures)


def policy_accuracy(
    run: RunDirectory,
    source: ModelSource,
    base: str,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[PreferenceTokens],
    config: EvaluateConfig,
) -> dict[str, Any]:
    """Return the accuracy of the implicit reward of a policy over its base alone; one model in memory."""
    pad_id = tokenizer.pad_token_id
    model = load_base(base).to(pick_device()).eval()
    run.write_progress("scoring with the base", 0, 2 * len(rows))
    reference = logprob_margins(model, rows, pad_id, config.batch_size)
    if base != source.base:  # a whole model stands between the two
        del model
        model = load_base(source.base).to(pick_device())
    for adapter in source.adapters:
        model = merge_adapter(model, adapter)
    run.write_progress("scoring with the policy", len(rows), 2 * len(rows))
    return implicit_accuracy(logprob_margins(model.eval(), rows, pad_id, config.batch_size), reference, groups_of(rows))
