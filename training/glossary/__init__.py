"""What the curves of a run mean: what to look for, and what a bad shape says. docs/metrics.md has the formulas.

One chart may hold several metrics that are read together. Charts stand in the order in which a person should look at
them; `folded` ones are housekeeping.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from training.glossary.online import GRPO, ONLINE_DPO, PPO, RLOO
from training.glossary.supervised import DPO, KTO, REWARD, SFT
from training.glossary.terms import HELD_OUT, Chart, Line, Series, one

__all__ = ["CHARTS", "HELD_OUT", "NOT_DRAWN", "Chart", "Line", "Series", "charts_of", "explained", "in_order", "one"]

CHARTS: dict[str, tuple[Chart, ...]] = {
    "sft": SFT,
    "reward": REWARD,
    "dpo": DPO,
    "kto": KTO,
    "ppo": PPO,
    "grpo": GRPO,
    "rloo": RLOO,
    "online_dpo": ONLINE_DPO,
}
"""By run kind; the others take no steps."""

NOT_DRAWN = frozenset({"time", "step"})


def explained(kind: str) -> list[str]:
    """Return the names of the metrics that a run of `kind` can write, in the order of its charts."""
    return [series.name for chart in CHARTS.get(kind, ()) for series in chart.series]


def charts_of(kind: str, names: Collection[str] = (), *, looks: bool = True) -> list[Chart]:
    """Return the charts of a run of `kind` that has written `names`, with a plain one for each that nobody explains.

    Before its first step all of them; then only curves that have come, and with `looks` those of held-out rows, which
    come later.
    """
    shown = []
    for chart in CHARTS.get(kind, ()):
        series = tuple(one for one in chart.series if may_come(one.name, names, looks))
        if series:
            shown.append(dataclasses.replace(chart, series=series))
    others = set(names) - set(explained(kind)) - NOT_DRAWN
    return shown + [one(name, name.replace("_", " ").capitalize(), "", folded=True) for name in sorted(others)]


def may_come(name: str, names: Collection[str], looks: bool) -> bool:
    return name in names or (looks if name.startswith(HELD_OUT) else not names)


def in_order(kind: str, names: Collection[str]) -> list[str]:
    """Return `names` in the order of the charts, the unexplained ones last."""
    known = explained(kind)
    return [name for name in known if name in names] + sorted(set(names) - set(known) - NOT_DRAWN)
