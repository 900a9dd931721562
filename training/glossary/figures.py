"""What comes of a run: the figures of its outcome, each with its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHARES = frozenset({"accuracy", "accuracy_before", "token_accuracy", "win_rate", "low", "high"})
"""Figures that are shown in percent."""

FIGURES: dict[str, tuple[str, str]] = {
    "accuracy": ("Right on held-out labels", "Share of held-out labels that the model agrees with."),
    "accuracy_before": ("Right before training", "The same of the model that the run started from."),
    "n": ("Figures are of", "How many labels, rows, prompts or responses the figures are of."),
    "low": ("Interval from", "95 % interval of the share: its lower end."),
    "high": ("Interval to", "95 % interval of the share: its upper end."),
    "win_rate": ("Wins against its reference", "Share of prompts whose answer the judge scores higher; a tie is half."),
    "kl_per_token": ("KL for each token", "Mean distance from the reference, in nats, over the tokens that it wrote."),
    "mean_gap": ("Gap", "Mean distance of the rewards of two responses that people compared, whoever is ahead."),
    "loss_first": ("Loss of the first step", "As the curve says."),
    "loss_last": ("Loss of the last step", "As the curve says."),
    "held_out_loss": ("Loss on held-out rows", "The training loss on rows that were never learned from."),
    "held_out_loss_before": ("Loss on held-out rows before", "The same of the model that the run started from."),
    "token_accuracy": ("Tokens guessed right", "Share of held-out response tokens that the model holds likeliest."),
    "rows": ("Rows learned from", "After those that were left out."),
    "rewards_margin": ("Margin on held-out labels", "Mean implicit reward of chosen less that of rejected."),
    "chosen_shift": ("Chosen moved by", "Log-ratio of policy to reference of the chosen responses, in nats."),
    "rejected_shift": (
        "Rejected moved by",
        "Log-ratio of policy to reference of the rejected responses, in nats.",
    ),
    "score_first": ("Score at first", "Mean score of the first update's or step's responses."),
    "score_last": ("Score at last", "Mean score of the last update's or step's responses."),
    "kl_first": ("KL at first", "Mean distance of a response from the reference, in nats."),
    "kl_last": ("KL at last", "Mean distance of a response from the reference, in nats."),
    "stopped_at_kl": ("Stopped early, at a KL of", "The run left its last checkpoint from below its limit."),
    "mean": ("Mean score", "Over the responses that were scored."),
    "spread": ("Spread of the scores", "Standard deviation over the responses."),
    "too_long": ("Too long for a score", "Responses longer than the longest sequence."),
    "doubt": ("Doubt of the ensemble", "Standard deviation of the members' margins, a mean over pairs."),
    "largest_difference": (
        "Largest difference",
        "Between log-probabilities of the merged model and of base and adapters, on a short chat.",
    ),
    "parameters": ("Parameters", "Of the whole model."),
    "adapters": ("Adapters merged", "How many lay over the base."),
}
"""By name as in outcome.json: (label, meaning)."""


@dataclass(frozen=True)
class Told:
    name: str
    label: str
    value: float
    is_share: bool
    meaning: str


def told(evaluation: Mapping[str, Any], leave_out: frozenset[str] = frozenset()) -> list[Told]:
    """Return the plain figures of an outcome with their labels, in the order of the glossary, unknown ones last."""
    plain = {name: value for name, value in evaluation.items() if is_number(value) and name not in leave_out}
    names = [*(name for name in FIGURES if name in plain), *(name for name in plain if name not in FIGURES)]
    found = []
    for name in names:
        label, meaning = FIGURES.get(name, (name.replace("_", " ").capitalize(), ""))
        found.append(Told(name, label, plain[name], name in SHARES, meaning))
    return found


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
