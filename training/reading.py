"""A run's figures and settings as people and curves read them."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from dataclasses import dataclass
from typing import Any

from training.configs import CONFIGS
from training.glossary import in_order
from training.models import Run

METRICS_AT_ONCE = 5000
"""Steps per answer; a reader that is further behind asks again."""
TABLE_ROWS = 40
PACE_STEPS = 20
"""How many of the last steps say how fast a run goes."""


def step_named(text: str) -> int | None:
    """Return the step that a query string names; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


def metrics_after(run: Run, after: int, limit: int = METRICS_AT_ONCE) -> dict[str, Any]:
    """Return the steps after `after`, oldest first.

    `attempt` changes when the run was taken up again: steps after its last checkpoint are then taken a second time, so
    a reader starts over. `finished` comes with the last steps only.
    """
    found = list(run.metrics.filter(step__gt=after).values_list("step", "values")[: limit + 1])
    more = len(found) > limit
    return {
        "rows": [{"step": step, **values} for step, values in found[:limit]],
        "more": more,
        "attempt": run.attempt,
        "finished": not run.is_unfinished and not more,
    }


def metric_names(run: Run) -> list[str]:
    """Return the names of the run's metrics, in the order of the glossary.

    Its first, its last and its first looked-at step have all of them between them.
    """
    found = {*(run.metrics.values_list("values", flat=True).first() or {}), *latest_metrics(run)}
    every = run.config.get("evaluate_every")
    if isinstance(every, int) and every > 0:
        found.update(run.metrics.filter(step__gte=every).values_list("values", flat=True).first() or {})
    return in_order(run.kind, found)


def latest_metrics(run: Run) -> dict[str, Any]:
    """Return the metrics of the run's last step; empty before its first."""
    return run.metrics.order_by("-step").values_list("values", flat=True).first() or {}


def seconds_per_step(run: Run) -> float | None:
    """Return the median time of the run's last steps; None before its third, and for kinds without steps."""
    rows = run.metrics.order_by("-step").values_list("values", flat=True)[:PACE_STEPS]
    times = [row["time"] for row in rows if isinstance(row.get("time"), int | float)]
    gaps = [later - earlier for later, earlier in itertools.pairwise(times)]
    return statistics.median(gaps) if len(gaps) >= 2 else None


@dataclass(frozen=True)
class Numbers:
    names: list[str]
    rows: list[tuple[int, list[float | None]]]
    total: int


def numbers(run: Run, limit: int = TABLE_ROWS) -> Numbers:
    """Return the run's metrics as a table of at most `limit` steps, evenly chosen with the first and the last."""
    steps = list(run.metrics.values_list("step", flat=True))
    chosen = steps
    if len(steps) > limit:
        chosen = sorted({steps[round(place * (len(steps) - 1) / (limit - 1))] for place in range(limit)})
    names = metric_names(run)
    rows = run.metrics.filter(step__in=chosen).values_list("step", "values")
    return Numbers(names, [(step, [values.get(name) for name in names]) for step, values in rows], len(steps))


@dataclass(frozen=True)
class Setting:
    name: str
    label: str
    value: Any
    is_default: bool


def settings_of(run: Run) -> list[Setting]:
    """Return the run's config in the order of its dataclass; a key that the code no longer knows keeps its name."""
    lines = []
    known = {field.name: field for field in dataclasses.fields(CONFIGS[run.kind])}
    for name in [*known, *(name for name in run.config if name not in known)]:
        if name not in run.config:
            continue
        value, field = run.config[name], known.get(name)
        default = (
            list(field.default) if field and isinstance(field.default, tuple) else field.default if field else None
        )
        shown = value
        if isinstance(value, bool):
            shown = "yes" if value else "no"
        elif isinstance(value, list):
            shown = ", ".join(map(str, value))
        lines.append(Setting(name, field.metadata["label"] if field else name, shown, value == default))
    return lines


ENVIRONMENT = {
    "commit": "Code",
    "device": "Device",
    "devices": "Devices",
    "processes": "Processes",
    "threads": "Threads",
    "platform": "System",
    "seed": "Seed",
    "snapshot_sha256": "Snapshot's sha256",
}


def environment_of(run: Run) -> list[tuple[str, str]]:
    """Return what the run was carried out with, by labels, the versions last; nothing before it has begun."""
    found = run.environment
    asked = [
        (label, ", ".join(f"{name} {value}" for name, value in values.items() if value not in (0, "", "any", "none")))
        for label, values in (("Started with", run.launch), ("Needs", run.needs))
    ]
    lines = [(label, str(found[name])) for name, label in ENVIRONMENT.items() if found.get(name) not in (None, "")]
    if found.get("changed"):
        lines = [(label, f"{text}, with changed files" if label == "Code" else text) for label, text in lines]
    return [
        *(one for one in asked if one[1]),
        *lines,
        *sorted((str(name), str(version)) for name, version in (found.get("versions") or {}).items()),
    ]
