"""Small words for pages of runs: durations, shares, metric values."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django import template

from feedback import durations
from training.glossary import figures

register = template.Library()


@register.filter
def duration(seconds: float | None) -> str:
    """Return 40 s, 12 min or 3 h 20 min; nothing for None."""
    return "" if seconds is None else durations.duration(seconds)


@register.filter
def percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.0f} %"


@register.filter
def figure(value: Any) -> str:
    """Return a metric's value in four significant digits, a large one as a whole number; a dash for none."""
    if value is None:
        return "-"
    if isinstance(value, float) and 10**4 <= abs(value) < 10**9:
        return f"{value:,.0f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@register.filter
def last_line(text: str) -> str:
    """Return the last line that says something: of a traceback, the one with the error."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else ""


@register.filter
def hundredths(share: float | None) -> str:
    """Return a share of 1 on a scale of 200 units, for SVG."""
    return f"{200 * (share or 0):.1f}"


@register.filter
def width_between(low: float | None, high: float | None) -> str:
    return f"{200 * ((high or 0) - (low or 0)):.1f}"


@register.filter
def megabytes(amount: float | None) -> str:
    """Return 640 MB or 1.7 GB; nothing for None."""
    if amount is None or amount == "":
        return ""
    return f"{amount:.0f} MB" if amount < 1000 else f"{amount / 1000:.1f} GB"


@register.filter
def seconds(amount: float | None) -> str:
    """Return a short time in three significant digits: 0.042 s, 1.25 s; nothing for None."""
    return "" if amount is None or amount == "" else f"{amount:.3g} s"


@register.filter
def in_words(name: str) -> str:
    """Return `pad_token` as Pad token."""
    return name.replace("_", " ").capitalize()


@register.filter
def verdicts(checks: list[dict[str, Any]] | None) -> list[tuple[str, int]]:
    """Return how many checks of a preflight came to each verdict, the worst first."""
    counts = Counter(check.get("verdict") for check in checks or ())
    return [(verdict, counts[verdict]) for verdict in ("blocking", "warning", "ok") if counts[verdict]]


BESIDE = frozenset({"accuracy", "win_rate", "low", "high", "n"})
"""Figures that stand beside the interval of a share, where there is one."""
PARTS = {
    "by_strength": "By strength of the preference",
    "by_language": "By language",
    "by_arm": "By why the task was given out",
    "by_member": "By member of the ensemble",
}


@register.filter
def told(evaluation: dict[str, Any] | None) -> list[figures.Told]:
    """Return the plain figures of an outcome, but those that stand beside its interval."""
    there = evaluation or {}
    has_interval = "accuracy" in there or there.get("win_rate") is not None
    return figures.told(there, BESIDE if has_interval else frozenset())


@register.filter
def parts(evaluation: dict[str, Any] | None) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return an outcome's accuracies by parts of the held-out labels, with their titles."""
    there = evaluation or {}
    return [(title, there[name]) for name, title in PARTS.items() if there.get(name)]


ANSWERS = {
    "score": "Score by the judge",
    "tokens": "Tokens for each answer",
    "entropy": "Entropy, nats for each token",
    "repetition": "Words that repeat",
    "refusals": "Refusals",
    "unfinished": "Cut off",
}
SHARES_OF_ANSWERS = ("repetition", "refusals", "unfinished")


@register.filter
def answers(evaluation: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    """Return what a policy's answers are like beside its reference's: lines of (what, policy, reference)."""
    there = evaluation or {}
    ours, theirs = there.get("policy"), there.get("reference")
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return []
    lines = []
    for name, label in ANSWERS.items():
        shown = percent if name in SHARES_OF_ANSWERS else figure
        lines.append((label, shown(ours.get(name)), shown(theirs.get(name))))
    return lines
