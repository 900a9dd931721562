"""Pictures about people as numbers for SVG, each with the rows of the table that says the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from feedback.quality.person_evidence import GoldSeries

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 200, 44, 168, 12


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    marked_y: float
    marked_height: float
    label: str
    number: int
    marked: int


@dataclass(frozen=True)
class Histogram:
    title: str
    bars: list[Bar]
    ticks: list[tuple[float, str]]
    most: int
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    bottom: int = BOTTOM

    @property
    def rows(self) -> list[Bar]:
        """Those that have anything in them, for the table."""
        return [bar for bar in self.bars if bar.number]


def histogram(
    values: Sequence[float],
    *,
    edges: Sequence[float],
    says: Callable[[float, float], str],
    title: str,
    marked: Sequence[bool] = (),
) -> Histogram:
    """Count values between `edges`; what lies outside counts into the first or last bin. `marked` are drawn apart."""
    bins = len(edges) - 1
    counts, marks = [0] * bins, [0] * bins
    for place, value in enumerate(values):
        at = next((number for number in range(bins) if value < edges[number + 1]), bins - 1)
        counts[at] += 1
        marks[at] += bool(marked[place]) if marked else 0
    most = max(counts, default=0) or 1
    step = (WIDTH - LEFT - 8) / bins
    bars = []
    for number in range(bins):
        height = (BOTTOM - TOP) * counts[number] / most
        dark = (BOTTOM - TOP) * marks[number] / most
        bars.append(
            Bar(
                x=round(LEFT + number * step + 1, 1),
                y=round(BOTTOM - height, 1),
                width=round(step - 2, 1),
                height=round(height, 1),
                marked_y=round(BOTTOM - dark, 1),
                marked_height=round(dark, 1),
                label=says(edges[number], edges[number + 1]),
                number=counts[number],
                marked=marks[number],
            )
        )
    every = max(1, bins // 5)
    ticks = [
        (round(LEFT + number * step, 1), says(edges[number], edges[number]).split(" to ")[0])
        for number in range(0, bins + 1, every)
    ]
    return Histogram(title, bars, ticks, most)


def pace_picture(seconds: Sequence[float], title: str) -> Histogram | None:
    """Draw how long tasks took, in bins that double; None of fewer than five."""
    if len(seconds) < 5:
        return None
    edges = [0.0, *(2.0**power for power in range(11))]
    return histogram(seconds, edges=edges, says=lambda low, high: f"{low:g} to {high:g} s", title=title)


@dataclass(frozen=True)
class EvidencePicture:
    """The e-value after each answer to gold, on a scale of powers of ten."""

    path: str
    dots: list[tuple[float, float, bool]]
    threshold: float
    """Height of the line at 100 to 1."""
    even: float
    ticks: list[tuple[float, str]]
    series: GoldSeries
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    bottom: int = BOTTOM
    right: int = WIDTH - 8
    rows: list[Any] = field(default_factory=list)


def evidence_picture(series: GoldSeries) -> EvidencePicture | None:
    """Draw the series; None without an answer."""
    if not series.points:
        return None
    values = [point.evidence for point in series.points]
    low, high = min(-2.0, math.floor(min(values))), max(3.0, math.ceil(max(values)))

    def y(value: float) -> float:
        return round(BOTTOM - (value - low) / (high - low) * (BOTTOM - TOP), 1)

    step = (WIDTH - LEFT - 16) / max(1, len(values) - 1)
    dots = [
        (round(LEFT + place * step, 1), y(point.evidence), point.right) for place, point in enumerate(series.points)
    ]
    every = max(1, math.ceil((high - low) / 6))
    ticks = [(y(power), power_words(power)) for power in range(int(low), int(high) + 1, every)]
    return EvidencePicture(
        path="M" + "L".join(f"{x} {at}" for x, at, _ in dots),
        dots=dots,
        threshold=y(2.0),
        even=y(0.0),
        ticks=ticks,
        series=series,
        rows=series.points[-30:],
    )


def power_words(power: int) -> str:
    """Say odds: even at 0, 100 at 2, 1/100 at -2."""
    if abs(power) > 4:
        return f"1e{power}"
    return "even" if power == 0 else f"{10**power:,}" if power > 0 else f"1/{10**-power:,}"
