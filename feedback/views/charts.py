"""Pictures of figures, as plain numbers for the attributes of SVG. Every picture stands beside the figures in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Figure = Sequence[float | None] | None
"""[value, low, high] as reports hold it."""


DASH = "\N{EN DASH}"
"""Stands where a figure cannot be said."""


@dataclass(frozen=True)
class Track:
    """A figure on a line of 100 units: its mark, its interval and the band of what is usual."""

    at: float
    low: float
    high: float
    band: tuple[float, float] | None
    tone: str
    """good, warn, bad, plain or muted."""

    @property
    def width(self) -> float:
        return round(max(self.high - self.low, 0.6), 2)

    @property
    def band_width(self) -> float:
        return round(self.band[1] - self.band[0], 2) if self.band else 0.0

    @property
    def mark(self) -> float:
        """Left edge of the mark, which is 1.6 wide."""
        return round(min(max(self.at - 0.8, 0.0), 98.4), 2)


def track(
    figure: Figure,
    *,
    scale: tuple[float, float] = (0.5, 1.0),
    band: tuple[float, float] | None = None,
    tone: str = "plain",
) -> Track | None:
    """Lay a figure on a line from `scale[0]` to `scale[1]`; None for a figure that cannot be said."""
    if figure is None or figure[0] is None:
        return None

    def place(value: float) -> float:
        return round(100 * min(max((value - scale[0]) / (scale[1] - scale[0]), 0.0), 1.0), 2)

    value, low, high = figure[0], figure[1], figure[2]
    ends = (value if low is None else low, value if high is None else high)
    return Track(place(value), place(ends[0]), place(ends[1]), (place(band[0]), place(band[1])) if band else None, tone)


def percent(figure: Figure, digits: int = 0) -> str:
    """Say a share with its interval: "83 % (80 to 86)"; a dash for what cannot be said."""
    if figure is None or figure[0] is None:
        return DASH
    value = f"{100 * figure[0]:.{digits}f} %"
    if figure[1] is None or figure[2] is None:
        return value
    return f"{value} ({100 * figure[1]:.{digits}f} to {100 * figure[2]:.{digits}f})"


def number(figure: Figure, digits: int = 2) -> str:
    """Say a coefficient with its interval: "0.48 (0.45 to 0.52)"."""
    if figure is None or figure[0] is None:
        return DASH
    value = minus(f"{figure[0]:.{digits}f}")
    if figure[1] is None or figure[2] is None:
        return value
    return f"{value} ({minus(f'{figure[1]:.{digits}f}')} to {minus(f'{figure[2]:.{digits}f}')})"


def minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    low: float
    high: float
    words: str


@dataclass(frozen=True)
class Line:
    name: str
    css: str
    points: list[Point]

    @property
    def path(self) -> str:
        return "M" + "L".join(f"{point.x} {point.y}" for point in self.points) if self.points else ""


@dataclass(frozen=True)
class Plot:
    """Lines over named steps of the horizontal axis, in a drawing of `width` by `height`."""

    lines: list[Line]
    labels: list[tuple[float, str]]
    ticks: list[tuple[float, str]]
    title: str
    width: int = 640
    height: int = 240
    left: int = 48
    right: int = 624
    bottom: int = 204
    floor: float = field(default=0.5)


TOP = 12


def plot(
    names: Sequence[str],
    lines: Sequence[tuple[str, str, Sequence[Figure]]],
    *,
    title: str,
    scale: tuple[float, float] = (0.5, 1.0),
) -> Plot:
    """Draw lines of (name, css, figures), one figure for each of `names`; what cannot be said is left out."""
    drawn = Plot([], [], [], title)
    step = (drawn.right - drawn.left) / max(len(names), 1)

    def x(place: int) -> float:
        return round(drawn.left + step * (place + 0.5), 1)

    def y(value: float) -> float:
        share = min(max((value - scale[0]) / (scale[1] - scale[0]), 0.0), 1.0)
        return round(drawn.bottom - share * (drawn.bottom - TOP), 1)

    for name, css, figures in lines:
        points = [
            Point(
                x(place), y(figure[0]), y(figure[1] if figure[1] is not None else figure[0]),
                y(figure[2] if figure[2] is not None else figure[0]), f"{name}, {names[place]}: {percent(figure)}",
            )
            for place, figure in enumerate(figures)
            if figure is not None and figure[0] is not None
        ]  # fmt: skip
        drawn.lines.append(Line(name, css, points))
    drawn.labels.extend((x(place), name) for place, name in enumerate(names))
    for tick in range(6):
        value = scale[0] + (scale[1] - scale[0]) * tick / 5
        drawn.ticks.append((y(value), f"{100 * value:.0f} %"))
    return drawn
