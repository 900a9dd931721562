"""What charts are made of, and those that every kind of training has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    name: str
    """As in metrics.jsonl."""
    label: str

    @property
    def is_sparse(self) -> bool:
        """It comes with some steps only, so that a curve goes on over those that lack it."""
        return self.name.startswith(HELD_OUT)


@dataclass(frozen=True)
class Line:
    """A value to hold a curve against."""

    value: float
    label: str


@dataclass(frozen=True)
class Chart:
    title: str
    series: tuple[Series, ...]
    meaning: str
    healthy: str = ""
    trouble: str = ""
    line: Line | None = None
    folded: bool = False

    @property
    def key(self) -> str:
        return self.series[0].name


def one(
    name: str,
    title: str,
    meaning: str,
    healthy: str = "",
    trouble: str = "",
    line: Line | None = None,
    folded: bool = False,
) -> Chart:
    return Chart(title, (Series(name, title),), meaning, healthy, trouble, line, folded)


LEARNING_RATE = one(
    "learning_rate", "Learning rate", "Of the optimizer at this step.", "Follows its schedule.", folded=True
)
GRAD_NORM = one(
    "grad_norm",
    "Gradient norm",
    "Size of the gradient before clipping.",
    "Steady, with single spikes.",
    "Growing without end: lower the learning rate. Zero: nothing is learned; look at the log.",
    folded=True,
)

SECONDS = one("seconds", "Seconds per step", "Wall time of the step.", "Steady.", folded=True)
TOKENS_PER_SECOND = one(
    "tokens_per_second",
    "Tokens per second",
    "Tokens that the step read or wrote, by its wall time; padding is not counted.",
    "Steady.",
    "Falls: the machine is shared, or the texts get longer.",
    folded=True,
)
MEMORY = one(
    "memory_mb",
    "Memory",
    "The most memory held so far, in MiB: of the GPU where there is one, else of the process.",
    "Level after the first steps.",
    "Climbs from step to step: it will run out; lower the batch size, or turn gradient checkpointing on.",
    folded=True,
)
HOUSEKEEPING = (LEARNING_RATE, GRAD_NORM, SECONDS, TOKENS_PER_SECOND, MEMORY)
HELD_OUT = "held_out_"
"""Before the name of a metric: the same of rows or prompts that are never learned from."""


def both(name: str, title: str, meaning: str, healthy: str = "", trouble: str = "", line: Line | None = None) -> Chart:
    """Return a chart of a metric on training rows and on held-out ones."""
    series = (Series(name, "training rows"), Series(f"{HELD_OUT}{name}", "held-out rows"))
    return Chart(title, series, meaning, healthy, trouble, line)


def sides(
    name: str, title: str, meaning: str, healthy: str = "", trouble: str = "", line: Line | None = None
) -> tuple[Chart, Chart]:
    """Return a chart of a metric of the chosen and the rejected side, and a folded one of held-out rows."""
    series = (Series(f"{name}_chosen", "chosen"), Series(f"{name}_rejected", "rejected"))
    held_out = tuple(Series(f"{HELD_OUT}{one.name}", one.label) for one in series)
    return (
        Chart(title, series, meaning, healthy, trouble, line),
        Chart(f"{title}, held out", held_out, f"{meaning} Of held-out rows.", "As on training rows.", folded=True),
    )
