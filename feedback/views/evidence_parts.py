"""The evidence about a person as lines to read and look at, the same for the curator and for the person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from feedback.views.charts import DASH, Track, track

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One figure: what it is, what it says, and where it stands between 0 and 100 %."""

    key: str
    label: str
    words: str
    track: Track | None
    note: str = ""


def lines_of(evidence: Json, *, for_annotator: bool = False) -> list[Line]:
    """Return what is known of a person; what cannot be said yet is said so. `for_annotator`: gold counted as `told`."""
    return [
        gold_line(evidence, for_annotator=for_annotator),
        share_line(
            evidence,
            "accuracy",
            _("Like what others settle on"),
            _("Answers that all judgments together make likely, each weighed by how reliable its person is."),
        ),
        share_line(
            evidence,
            "agreement",
            _("The same as somebody else"),
            _("Other people's answers to the same tasks that are like these."),
        ),
        share_line(
            evidence, "same", _("The same when asked once more"), _("Answers to tasks that came twice, sides swapped.")
        ),
        rate_line(evidence, "first_rate", _("Chose the one shown first"), _("Near 50 % is what blind judging gives.")),
        rate_line(evidence, "longer_rate", _("Chose the longer one"), _("Longer is sometimes better, but not always.")),
        rate_line(evidence, "tie_rate", _("Called it a tie"), ""),
        pace_line(evidence),
        review_line(evidence),
    ]


def gold_line(evidence: Json, *, for_annotator: bool) -> Line:
    gold = evidence.get("gold") or {}
    counted = gold.get("told") if for_annotator else gold
    asked, right = (counted or {}).get("asked", 0), (counted or {}).get("right", 0)
    label = _("Known answers right")
    note = _("Tasks whose good answer is known. Which ones they are is not said, so that they stay a fair measure.")
    if not asked:
        return Line("gold", label, _("None so far."), None, note)
    words = _("%(right)d of %(asked)d") % {"right": right, "asked": asked}
    figure = [right / asked, None, None] if for_annotator else [right / asked, gold["low"], gold["high"]]
    return Line("gold", label, f"{words} ({spelled(figure)})", track(figure, scale=(0.0, 1.0)), note)


def share_line(evidence: Json, name: str, label: str, note: str) -> Line:
    figures = evidence.get("figures") or {}
    figure = [figures.get(name), figures.get(f"{name}_low"), figures.get(f"{name}_high")]
    if figure[0] is None:
        return Line(name, label, _("Too little to say so far."), None, note)
    return Line(name, label, spelled(figure), track(figure, scale=(0.0, 1.0)), note)


def rate_line(evidence: Json, name: str, label: str, note: str) -> Line:
    value = (evidence.get("figures") or {}).get(name)
    if value is None:
        return Line(name, label, _("Too little to say so far."), None, note)
    return Line(
        name, label, spelled([value, None, None]), track([value, None, None], scale=(0.0, 1.0), tone="muted"), note
    )


def pace_line(evidence: Json) -> Line:
    figures = evidence.get("figures") or {}
    label, note = _("Active time for a task"), _("The middle one, and the middle half of all. No time is too long.")
    if figures.get("seconds_median") is None:
        return Line("pace", label, _("Nobody measured it."), None, note)
    said = {name: f"{figures[f'seconds_{name}']:.0f}" for name in ("quarter", "median", "three_quarters")}
    words = _("%(median)s s (%(quarter)s to %(three_quarters)s)") % said
    if figures.get("per_100_words") is not None:
        words += "; " + _("%(seconds)s s for 100 words") % {"seconds": f"{figures['per_100_words']:.0f}"}
    return Line("pace", label, words, None, note)


def review_line(evidence: Json) -> Line:
    reviews = evidence.get("reviews") or {}
    accepted, rejected = reviews.get("accepted", 0), reviews.get("rejected", 0)
    label = _("Reviewed by curators")
    if not accepted + rejected:
        return Line("reviews", label, _("None so far."), None)
    words = _("%(accepted)d accepted, %(rejected)d rejected") % {"accepted": accepted, "rejected": rejected}
    share = accepted / (accepted + rejected)
    return Line("reviews", label, words, track([share, None, None], scale=(0.0, 1.0), tone="muted"))


def spelled(figure: list[float | None]) -> str:
    """Say a share with its interval in the reader's language."""
    value, low, high = figure
    if value is None:
        return DASH
    words = f"{100 * value:.0f} %"
    if low is None or high is None:
        return words
    return _("%(value)s, 95 %% interval %(low)s to %(high)s") % {
        "value": words,
        "low": f"{100 * low:.0f}",
        "high": f"{100 * high:.0f} %",
    }
