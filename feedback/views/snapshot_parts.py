"""What the pages of snapshots show of a manifest."""

from __future__ import annotations

from typing import Any

from feedback.selection import VERDICTS, WEIGHTS

FIGURES = {
    "gold": ("Right on gold", "The share of judgments of gold that are right."),
    "first_shown": ("Preferred what was shown first", "50 % is no bias; sides are drawn at random."),
    "longer": ("Preferred the longer response", "Of rows whose responses differ in length."),
    "ties": ("Ties", "They become no row unless they are outvoted."),
    "actively_chosen": ("Chosen actively", "Tasks that came first because a model was unsure of them."),
    "random": ("Drawn at random", "A fair sample of the queue."),
}


def figures_shown(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the figures with their intervals, in percent from 0 to 100, for a picture and in words."""
    shown = []
    if agreement := figures.get("agreement"):
        note = f"Krippendorff's alpha {number(agreement['alpha_nominal'])}, AC1 {number(agreement['ac1'])}."
        shown.append(bar("Two people agree", agreement["percent"], f"{agreement['tasks']:,} tasks", note))
    for name, (words, note) in FIGURES.items():
        if one := figures.get(name):
            shown.append(bar(words, one, f"{one['n']:,} judgments", note))
    return [one for one in shown if one is not None]


def number(one: dict[str, float | None]) -> str:
    if one["value"] is None:
        return "unknown"
    return f"{one['value']:.2f}" + ("" if one["low"] is None else f" ({one['low']:.2f} to {one['high']:.2f})")


def bar(words: str, one: dict[str, float | None], n: str, note: str) -> dict[str, Any] | None:
    value, low, high = one["value"], one["low"], one["high"]
    if value is None:
        return None
    low, high = value if low is None else low, value if high is None else high
    return {
        "words": words,
        "n": n,
        "note": note,
        "value": f"{100 * value:.1f}",
        "low": f"{100 * low:.1f}",
        "high": f"{100 * high:.1f}",
        "width": f"{max(100 * (high - low), 0.4):.1f}",
    }


def chosen_words(selection: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the selection of a manifest as pairs of words."""
    words = [("Verdict", VERDICTS[selection["verdict"]]), ("Weights", WEIGHTS[selection.get("weights", "none")])]
    words.append(("Simulated", "included" if selection["include_simulated"] else "left out"))
    for name, value in selection.items():
        if name not in ("verdict", "weights", "include_simulated"):
            if name == "queues":
                value = f"{len(value)} chosen"
            shown = ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)
            words.append((name.replace("_", " ").capitalize(), {"True": "yes"}.get(shown, shown)))
    return words
