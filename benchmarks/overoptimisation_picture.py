"""Draw the over-optimisation curves as an SVG: PPO left, best-of-n right; the reward model's view above gold's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

WIDTH, HEIGHT = 400, 220
LEFT, TOP, RIGHT, BOTTOM = 52, 30, 14, 34
COLOURS = ("#c2410c", "#0f766e", "#1d4ed8", "#7c3aed")
PANELS = (("ppo", "PPO without a KL penalty"), ("best_of_n", "Best of n"))
ROWS = (("proxy", "reward model's score"), ("gold", "gold reward"))


def draw(lines: Sequence[dict[str, Any]]) -> str:
    """Return the picture of those of `lines` that are curves."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {2 * HEIGHT + 30}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{2 * WIDTH}" height="{2 * HEIGHT + 30}" fill="#ffffff"/>',
    ]
    for column, (figure, title) in enumerate(PANELS):
        curves = [line for line in lines if line["figure"] == figure]
        for row, (name, label) in enumerate(ROWS):
            parts.append(f'<g transform="translate({column * WIDTH} {row * HEIGHT})">')
            parts += panel(curves, name, f"{title}: {label}")
            parts.append("</g>")
    counts = [line["comparisons"] for line in lines if line["figure"] == "ppo"]
    for place, count in enumerate(counts):
        x = LEFT + place * 200
        parts.append(f'<rect x="{x}" y="{2 * HEIGHT + 8}" width="14" height="4" fill="{COLOURS[place]}"/>')
        parts.append(f'<text x="{x + 20}" y="{2 * HEIGHT + 15}">{count} comparisons</text>')
    return "\n".join([*parts, "</svg>", ""])


def panel(curves: Sequence[dict[str, Any]], name: str, title: str) -> Iterable[str]:
    """Yield one panel: the curves of `name` over the square root of the KL."""
    points = [point for curve in curves for point in curve["points"]]
    if not points:
        return
    right = max(point["root_kl"] for point in points) or 1.0
    low, high = min(0.0, *(point[name] for point in points)), max(0.0, *(point[name] for point in points))
    high = high if high > low else low + 1.0

    def x(value: float) -> float:
        return round(LEFT + value / right * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    yield f'<text x="{LEFT}" y="18" font-weight="bold">{title}</text>'
    yield f'<line x1="{LEFT}" y1="{y(0)}" x2="{WIDTH - RIGHT}" y2="{y(0)}" stroke="#9ca3af"/>'
    yield f'<line x1="{LEFT}" y1="{TOP}" x2="{LEFT}" y2="{HEIGHT - BOTTOM}" stroke="#9ca3af"/>'
    for value in (low, high):
        yield f'<text x="{LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{value:.1f}</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - BOTTOM + 16}" text-anchor="end">{right:.1f}</text>'
    yield f'<text x="{LEFT}" y="{HEIGHT - BOTTOM + 16}">square root of the KL to the start, nats</text>'
    for place, curve in enumerate(curves):
        path = " ".join(f"{x(point['root_kl'])},{y(point[name])}" for point in curve["points"])
        yield f'<polyline points="{path}" fill="none" stroke="{COLOURS[place % len(COLOURS)]}" stroke-width="2"/>'
