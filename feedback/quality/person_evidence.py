"""The evidence about one person: what a curator decides on, what is stored with the decision, what the person sees.

The figures that need everybody's judgments come from the latest report on people, with its age; answers to gold and
reviews are counted at this moment. Which tasks are gold is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from feedback.gold_marks import Mark, read_marks
from feedback.models import Gold, Judgment, Project, QueuePolicy, Review, User
from feedback.own_hours import FEW
from feedback.quality.people import PersonRow, people_report
from feedback.stats.evidence import drift_cusum, gold_e_process
from feedback.stats.intervals import wilson

POINTS = 400
"""Of a longer series of answers to gold, so many are drawn."""
PACE_LATEST = 500
"""So many of a person's latest judgments tell their pace."""
NOT_EVIDENCE = (
    "matrix",
    "first",
    "last",
    "gold_asked",
    "gold_right",
    "gold_low",
    "gold_high",
    "gold_evidence",
    "drift",
)

Json = dict[str, Any]


def evidence_of(*, project: Project, person: User, marks: Sequence[Mark] | None = None) -> Json:
    """Return everything that is known of how `person` does, as JSON holds it; what is not known is null.

    `marks` are their answers to gold, if they were read already (`marks_of`).
    """
    report = people_report(project=project)
    row = report.of(person.pk)
    judgments = Judgment.objects.current().in_project(project).filter(annotator=person)
    return {
        "computed_at": report.report.computed_at.isoformat() if report.report and row else None,
        "judgments": judgments.count(),
        "gold": gold_figures(marks_of(project=project, person=person) if marks is None else marks),
        "reviews": review_figures(project, person),
        "figures": {name: value for name, value in row.figures.items() if name not in NOT_EVIDENCE} if row else {},
        "looks": looks(row),
    }


def marks_of(*, project: Project, person: User) -> list[Mark]:
    """Return the person's answers to the project's gold, in the order of time."""
    return read_marks(Judgment.objects.current().filter(annotator=person), Gold.objects.filter(queue__project=project))


def looks(row: PersonRow | None) -> list[Json]:
    return [{"title": look.title, "why": look.why, "weight": look.weight} for look in row.looks] if row else []


def gold_figures(marks: Sequence[Mark]) -> Json:
    """Count answers to gold. `told` is what the person may read at any time: it grows by FEW answers at once, so that
    nobody who looks after each task learns which one was gold."""
    asked, right = len(marks), sum(mark.right for mark in marks)
    told = marks[: asked - asked % FEW]
    low, high = wilson(right, asked)
    process = gold_e_process([0] * asked, [mark.right for mark in marks], people_count=1)
    return {
        "asked": asked,
        "right": right,
        "low": round(float(low), 4) if asked else None,
        "high": round(float(high), 4) if asked else None,
        "evidence": round(float(np.log10(process.latest[0])), 4) if asked else None,
        "told": {"asked": len(told), "right": sum(mark.right for mark in told)},
    }


def review_figures(project: Project, person: User) -> Json:
    """Count the person's judgments by what the latest review of each says."""
    reviews = Review.objects.filter(
        judgment__annotator=person,
        judgment__queue__project=project,
        judgment__superseded_by__isnull=True,
        judgment__erased_by__isnull=True,
    )
    latest = dict(reviews.order_by("id").values_list("judgment", "accepted"))
    return {
        "accepted": sum(accepted is True for accepted in latest.values()),
        "rejected": sum(accepted is False for accepted in latest.values()),
    }


def hidden_now(project: Project) -> set[str]:
    """Return which figures no queue of the project shows people from day to day; with a decision they see them all."""
    policies = QueuePolicy.objects.filter(pk__in=project.queues.values("policy"))
    hidden = set()
    if not policies.filter(show_gold=True).exists():
        hidden.add("gold")
    if not policies.filter(show_agreement=True).exists():
        hidden |= {"agreement", "accuracy"}
    return hidden


# Pictures


@dataclass(frozen=True)
class GoldPoint:
    at: datetime
    right: bool
    evidence: float
    """log10 of the e-value after this answer."""


@dataclass(frozen=True)
class GoldSeries:
    """A person's answers to gold in time."""

    points: list[GoldPoint]
    shown: int
    of: int
    falling_since: datetime | None
    """When the drift alarm began to rise to where it is, if it stands above the threshold."""
    drift: float
    """log10 of the drift alarm."""


def gold_series(marks: Sequence[Mark]) -> GoldSeries:
    """Return how the evidence grew, one point an answer; of a long series the latest POINTS."""
    right = [mark.right for mark in marks]
    process = gold_e_process([0] * len(marks), right, people_count=1)
    drift = drift_cusum([0] * len(marks), right, people_count=1)
    points = [
        GoldPoint(mark.at, mark.right, float(np.log10(value)))
        for mark, value in zip(marks, process.running, strict=True)
    ][-POINTS:]
    level = float(np.log10(drift.latest[0]))
    # The alarm forgets whatever came before it was last at or below 1.
    calm = np.flatnonzero(drift.running <= 1)
    start = int(calm[-1]) + 1 if calm.size else 0
    falling = marks[start].at if level > 0 and start < len(marks) else None
    return GoldSeries(points, len(points), len(marks), falling, level)


def latest_seconds(*, project: Project, person: User) -> list[float]:
    """Return the active seconds of the person's latest judgments that have them."""
    queues = list(project.queues.values_list("pk", flat=True))
    latest = Judgment.objects.filter(annotator=person, queue__in=queues).order_by("-id").values_list("pk", flat=True)
    timed = Judgment.objects.current().filter(pk__in=list(latest[:PACE_LATEST]), active_seconds__isnull=False)
    return [seconds for seconds in timed.order_by().values_list("active_seconds", flat=True) if seconds is not None]
