"""What reward models say of responses: stored once per scorer, and read as the gap of a comparison.

A gap is the reward of the response at place 1 less that at place 0, so that it has the sign of a preference: where the
two signs differ, the reward model and the person contradict each other. Never shown to annotators.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, FloatField, OuterRef, Subquery
from django.db.models.functions import Sign

from feedback.models import Project, Response, Score, TaskResponse
from feedback.models.judgments import JudgmentQuerySet
from feedback.refusals import Refusal

BATCH = 500
"""Scores that are stored with one statement; SQLite knows no more than 999 values in older builds."""


class ScoreRefused(Refusal):
    """A score cannot be stored; the message says which one and why."""


@dataclass(frozen=True)
class Scored:
    response: uuid.UUID
    value: float
    spread: float | None = None
    """Standard deviation over an ensemble's members."""
    attributes: Mapping[str, float] = field(default_factory=dict)
    """By key, where on its scale a head expects the response: 0 = its lower end, 1 = its upper."""

    @property
    def is_finite(self) -> bool:
        numbers = (self.value, self.spread or 0.0, *self.attributes.values())
        return all(math.isfinite(one) for one in numbers)


@dataclass(frozen=True)
class Scorer:
    """A reward model that has scored responses of a project."""

    pk: uuid.UUID
    name: str


def store_scores(*, project: Project, scorer: Scorer, scored: Iterable[Scored]) -> int:
    """Store what `scorer` gives to responses; returns how many are new. The same response again stays as it was.

    Raises ScoreRefused for a response of another project, or a value that is no number.
    """
    rows = list(scored)
    for row in rows:
        if not row.is_finite:
            raise ScoreRefused("value", f"the score of response {row.response} is no finite number")
    pieces = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    return sum(store_batch(project, scorer, batch) for batch in pieces)


def store_batch(project: Project, scorer: Scorer, rows: list[Scored]) -> int:
    wanted = {row.response for row in rows}
    known = set(Response.objects.in_project(project).filter(pk__in=wanted).values_list("pk", flat=True))
    if strange := sorted(wanted - known, key=str):
        raise ScoreRefused("response", f"there is no response {strange[0]} in {project.name}")
    before = set(Score.objects.filter(scorer_id=scorer.pk, response__in=wanted).values_list("response_id", flat=True))
    new = {row.response: row for row in rows if row.response not in before}
    Score.objects.bulk_create(
        [
            Score(
                project=project, response_id=row.response, scorer_id=scorer.pk, scorer_name=scorer.name,
                value=row.value, spread=row.spread, attributes=dict(row.attributes),
            )
            for row in new.values()
        ],
        ignore_conflicts=True,
    )  # fmt: skip
    return len(new)


def scorers(project: Project) -> list[Scorer]:
    """Return the reward models that have scored responses of the project, the latest first."""
    rows = Score.objects.filter(project=project).order_by("-scorer_id").values_list("scorer_id", "scorer_name")
    found: list[Scorer] = []
    while row := (rows.filter(scorer_id__lt=found[-1].pk) if found else rows).first():  # from one to the next
        found.append(Scorer(*row))
    return found


def with_gap(judgments: JudgmentQuerySet, scorer: uuid.UUID) -> JudgmentQuerySet:
    """Annotate each judgment of a comparison with `reward_gap`; None where a response has no score of `scorer`."""

    def value(place: int) -> Subquery:
        # A subquery in a subquery: joined, the database might read all scores of the scorer for each judgment.
        scores = Score.objects.filter(response=OuterRef("response"), scorer_id=scorer).values("value")
        links = TaskResponse.objects.filter(task=OuterRef("task"), place=place).order_by()
        return Subquery(links.values_list(Subquery(scores)), output_field=FloatField())

    return judgments.annotate(reward_gap=value(1) - value(0))


def contradicting(judgments: JudgmentQuerySet, scorer: uuid.UUID, least: float = 0.0) -> JudgmentQuerySet:
    """Return the judgments that prefer the response to which `scorer` gives less, by a gap of more than `least`.

    The widest gap comes first.
    """
    # The gap stands in the condition once: the database would look it up again for each time.
    against = with_gap(judgments.exclude(preference=0), scorer).annotate(
        reward_conflict=-F("reward_gap") * Sign("preference")
    )
    return against.filter(reward_conflict__gt=least).order_by("-reward_conflict", "-id")


def read_gaps(*, project: Project, scorer: uuid.UUID) -> Iterator[tuple[uuid.UUID, float]]:
    """Yield (task, gap) of every comparison whose two responses `scorer` has scored, in raw tuples by task."""
    links = TaskResponse.objects.filter(
        task__queue__project=project, task__queue__kind="comparison", place__lt=2,
        response__scores__scorer_id=scorer,
    )  # fmt: skip
    first: tuple[Any, float] | None = None
    rows = links.order_by("task_id", "place").values_list("task_id", "place", "response__scores__value")
    for task, place, value in rows.iterator(chunk_size=10_000):
        if place == 0:
            first = task, value
        elif first is not None and first[0] == task:
            yield task, value - first[1]
