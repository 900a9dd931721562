"""Who needs a look first, and why, in words. It is an order to look in, never a decision: that is a person's.

Each rule has evidence behind it that holds up when one looks at everybody and looks often: gold by e-values and e-BH,
the others by intervals that leave out what would be harmless by a margin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]

EVIDENT = 2.0
"""log10 of the e-value from which gold alone is evidence: 100 to 1."""
DRIFTED = 3.0
"""log10 of the drift alarm's threshold (`feedback.stats.evidence.DRIFT_THRESHOLD`)."""
CHANCE = 0.55
"""Whose accuracy is below this with 97.5 % probability is looked at."""
LITTLE = 0.1
"""Bits of an answer below which it is as good as none; a perfect one is 1."""
SAME_FEW = 0.6
"""Answers own repeats alike less often than this, by the upper end of the interval."""
DRAWN = 0.7
"""Log-odds by which side, length or markup have to draw a person, by the nearer end: odds of 2 to 1."""
FAST_SHARE = 0.5
OFTEN = 0.4
ALWAYS = 0.95
FEW = 20


@dataclass(frozen=True)
class Look:
    """One reason to look at a person's work."""

    code: str
    weight: float
    """3 = look at once, 2 = look soon, 1 = good to know."""
    title: str
    why: str


def looks_of(figures: Figures) -> list[Look]:
    """Return the reasons to look at somebody, the weightiest first; none for most people."""
    found = [look for rule in RULES for look in rule(figures)]
    return sorted(found, key=lambda look: -look.weight)


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def odds(logarithm: float) -> str:
    """Say odds of which the logarithm is known; beyond a million nobody needs the figure."""
    return f"{10**logarithm:,.0f}" if logarithm < 6 else "more than a million"


def span(figures: Figures, name: str) -> str:
    return f"95 % interval {percent(figures[f'{name}_low'])} to {percent(figures[f'{name}_high'])}"


def misses_gold(figures: Figures) -> Iterator[Look]:
    evidence = figures["gold_evidence"]
    if evidence is None or not (figures["gold_named"] or evidence >= EVIDENT):
        return
    right, asked = figures["gold_right"], figures["gold_asked"]
    told = f"{right} of {asked} known answers right ({percent(right / asked)}, {span(figures, 'gold')})"
    if figures["gold_named"]:
        yield Look("gold", 3, "Misses known answers", f"{told}. It stands out even among everybody who is watched.")
    else:
        yield Look(
            "gold",
            2,
            "May miss known answers",
            f"{told}. Odds of {odds(evidence)} to 1; among so many people it may be chance.",
        )


def drifts(figures: Figures) -> Iterator[Look]:
    drift = figures["drift"]
    if drift is not None and drift >= DRIFTED:
        yield Look(
            "drift",
            3,
            "Misses known answers of late",
            f"Missed more than somebody right on 85 % would; odds of {odds(drift)} to 1. Look at what changed.",
        )


def says_little(figures: Figures) -> Iterator[Look]:
    high = figures["accuracy_high"]
    if high is None or high >= CHANCE or figures["overlapping"] < FEW:
        return
    right = f"Right on {percent(figures['accuracy'])} of what the others make likely ({span(figures, 'accuracy')})"
    bits = figures["bits"] or 0.0
    if bits < LITTLE:
        yield Look("accuracy", 3, "Says little more than a coin", f"{right}; an answer is worth {bits:.2f} bits.")
    else:
        yield Look("accuracy", 2, "Often unlike the others", f"{right}. {ties_in_words(figures)}")


def ties_in_words(figures: Figures) -> str:
    """Say what else may be behind it: somebody careful, who ties where others choose."""
    if (figures["tie_rate"] or 0.0) < OFTEN:
        return "They may see something that the others miss."
    return f"They call {percent(figures['tie_rate'])} a tie, which may only be careful."


def contradicts_self(figures: Figures) -> Iterator[Look]:
    high = figures["same_high"]
    if high is not None and high < SAME_FEW and figures["repeats"] >= 10:
        yield Look(
            "same",
            2,
            "Contradicts their own answers",
            f"Said the same on {percent(figures['same'])} of {figures['repeats']} repeats ({span(figures, 'same')}).",
        )


def drawn(name: str, rate: str, title: str, words: str, weight: float) -> Callable[[Figures], Iterator[Look]]:
    def rule(figures: Figures) -> Iterator[Look]:
        low, high = figures[f"{name}_low"], figures[f"{name}_high"]
        if low is None or figures["decided"] < FEW or not (low > DRAWN or high < -DRAWN):
            return
        share = f" It is so in {percent(figures[rate])} of their choices." if rate and figures[rate] is not None else ""
        less = "" if low > 0 else "the opposite of "
        yield Look(name, weight, title, f"Chooses {less}{words}, whatever it says.{share}")

    return rule


def too_fast(figures: Figures) -> Iterator[Look]:
    if figures["fast"] is not None and figures["fast"] > FAST_SHARE and figures["timed"] >= FEW:
        yield Look(
            "fast",
            2,
            "Faster than reading",
            f"{percent(figures['fast'])} of their judgments took less time than 600 words a minute would. Time alone "
            "proves nothing: look at the answers.",
        )


def always_ties(figures: Figures) -> Iterator[Look]:
    if figures["tie_rate"] is not None and figures["tie_rate"] > ALWAYS and figures["judgments"] >= FEW:
        yield Look("ties", 2, "Nearly always ties", f"{percent(figures['tie_rate'])} of their comparisons are ties.")


def is_rejected(figures: Figures) -> Iterator[Look]:
    rejected, judgments = figures["rejected"], figures["judgments"]
    if rejected >= 5 and rejected > 0.1 * judgments:
        yield Look("rejected", 2, "Often rejected in review", f"{rejected} of {judgments} judgments were rejected.")


RULES: tuple[Callable[[Figures], Iterator[Look]], ...] = (
    misses_gold,
    drifts,
    says_little,
    contradicts_self,
    drawn("side", "first_rate", "Drawn by the side", "what is shown first", 2),
    drawn("length", "longer_rate", "Drawn by length", "the longer response", 1),
    drawn("markup", "", "Drawn by markup", "the response with more lists, headings and bold", 1),
    too_fast,
    always_ties,
    is_rejected,
)
