"""Several runs beside each other: their curves on the same charts, what differs between them, what came of each."""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from feedback.models import Project
from training.glossary import Chart, charts_of
from training.glossary.figures import told
from training.models import Run
from training.plans import number, work
from training.reading import latest_metrics, metric_names, metrics_after, settings_of, step_named

MOST_RUNS = 8
"""More lines on one chart cannot be told apart."""
OFFERED = 30
BOUNDS = frozenset({"low", "high"})
"""Ends of an interval, which stand beside its figure."""
INTERVALS = ("accuracy", "win_rate")
"""The figures that have one."""


@dataclass(frozen=True)
class Line:
    """A row of the comparison: one thing of every run, in their order."""

    label: str
    values: list[Any]
    meaning: str = ""
    is_share: bool = False
    mean: float | None = None
    spread: float | None = None
    """Mean and standard deviation over the runs; of those of a sweep only."""
    bounds: list[tuple[float, float] | None] = field(default_factory=list)
    """The 95 % interval of each value, where the line is a share of labels or prompts."""

    def cells(self) -> list[tuple[Any, tuple[float, float] | None]]:
        """Return each value with its interval."""
        return list(zip(self.values, self.bounds or [None] * len(self.values), strict=True))


def runs_named(project: Project, names: Sequence[str], sweep: str = "") -> list[Run]:
    """Return the project's runs of these ids in their order, or those of a sweep; what is no run is passed over."""
    related = project.runs.select_related("checkpoint", "policy", "reward", "snapshot")
    if (together := as_uuid(sweep)) is not None:
        return list(related.filter(sweep=together).order_by("pk")[:MOST_RUNS])
    wanted = dict.fromkeys(one for one in map(as_uuid, names) if one is not None)
    found = {run.pk: run for run in related.filter(pk__in=list(wanted)[:MOST_RUNS])}
    return [found[pk] for pk in wanted if pk in found]


def as_uuid(text: str) -> uuid.UUID | None:
    """Return the id that a query string names; None for anything else."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def offered(project: Project) -> list[Run]:
    """Return the latest runs that have curves, for people to choose from."""
    return list(project.runs.filter(metrics__isnull=False).distinct()[:OFFERED])


def charts_together(runs: Sequence[Run]) -> list[Chart]:
    """Return the charts that any of the runs has, each once."""
    charts: dict[str, Chart] = {}
    for run in runs:
        for chart in charts_of(run.kind, metric_names(run), looks=False):
            charts.setdefault(chart.key, chart)
    return sorted(charts.values(), key=lambda chart: chart.folded)


def rows_of_a_step(run: Run) -> int:
    """Return how many rows or responses a step of the run learns from; 0 where that is not known."""
    steps = number(run.config, "updates") or number(run.config, "steps")
    return round(work(run.kind, run.config) / steps) if steps else 0


def settings_apart(runs: Sequence[Run]) -> list[Line]:
    """Return the settings and inputs in which the runs differ."""
    lines = [
        Line(label, [str(getattr(run, name) or "none") for run in runs])
        for name, label in (("policy", "Starts from"), ("reward", "Reward model"), ("snapshot", "Snapshot"))
    ]
    settings = [{one.name: one for one in settings_of(run)} for run in runs]
    for name in dict.fromkeys(name for of_run in settings for name in of_run):
        label = next(of_run[name].label for of_run in settings if name in of_run)
        lines.append(Line(label, [of_run[name].value if name in of_run else "none" for of_run in settings]))
    return [line for line in lines if len(set(map(str, line.values))) > 1]


def figures_together(runs: Sequence[Run]) -> list[Line]:
    """Return what came of each run, and of the seeds of one sweep the mean and the spread."""
    evaluations = [run.outcome.get("evaluation") or {} for run in runs]
    of_runs = [{one.name: one for one in told(evaluation, BOUNDS)} for evaluation in evaluations]
    is_sweep = len({run.sweep for run in runs}) == 1 and runs[0].sweep is not None
    lines = []
    for name in dict.fromkeys(name for figures in of_runs for name in figures):
        known = next(figures[name] for figures in of_runs if name in figures)
        values = [figures[name].value if name in figures else None for figures in of_runs]
        there = [value for value in values if value is not None]
        several = is_sweep and len(there) > 1 and name != "n"
        lines.append(
            Line(
                known.label,
                values,
                known.meaning,
                known.is_share,
                statistics.fmean(there) if several else None,
                statistics.stdev(there) if several else None,
                [interval_of(evaluation) for evaluation in evaluations] if name in INTERVALS else [],
            )
        )
    pace = [latest_metrics(run).get("tokens_per_second") for run in runs]
    if any(value is not None for value in pace):
        lines.append(Line("Tokens per second", pace, "Of the last step."))
    return lines


def interval_of(evaluation: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the ends of the 95 % interval of an outcome's share."""
    low, high = evaluation.get("low"), evaluation.get("high")
    return (low, high) if isinstance(low, int | float) and isinstance(high, int | float) else None


def steps_after(project: Project, asked: Sequence[str]) -> list[dict[str, Any]]:
    """Return the new steps of each run that `asked` names as `id:after`."""
    after = dict(part.partition(":")[::2] for part in asked)
    runs = runs_named(project, list(after))
    return [
        {"id": str(run.pk), **metrics_after(run, step_named(after[str(run.pk)]) or 0)}
        for run in runs
        if str(run.pk) in after
    ]
