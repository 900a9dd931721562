"""Which responses a score run gives to its reward model, and how its scores come back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from feedback.models import Project, Queue, Response, Score, TaskResponse
from feedback.scores import Scored, Scorer, store_scores
from training.configs import is_finite
from training.landing import Tail
from training.leases import Lease, renew_lease
from training.models import Checkpoint, Run
from training.rundir import finite

SCORES_AT_ONCE = 200
"""Rows per transaction: few enough that nobody waits long for SQLite's one write lock."""


def responses_to_score(*, project: Project, reward: Checkpoint, queue: Queue | None = None) -> QuerySet[Response]:
    """Return the responses, of the project or of a queue's tasks, to which `reward` has given no score yet."""
    scored = Score.objects.filter(response=OuterRef("pk"), scorer_id=reward.pk)
    found = Response.objects.in_project(project).filter(~Exists(scored), erased_by__isnull=True)
    if queue is not None:
        found = found.filter(Exists(TaskResponse.objects.filter(response=OuterRef("pk"), task__queue=queue)))
    return found.order_by("pk")


def response_rows(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the lines of responses.jsonl."""
    assert run.reward is not None, "a score run has its reward model"
    wanted = responses_to_score(project=run.project, reward=run.reward, queue=run.queue)
    rows = wanted.values_list("pk", "prompt__messages", "text")
    for pk, messages, text in rows.iterator(chunk_size=2_000):
        yield {"response_id": str(pk), "messages": messages, "text": text}


def land_scores(run: Run, lease: Lease, tail: Tail) -> int:
    """Store new lines of scores.jsonl; returns how many were read. Raises LeaseLost.

    What has been erased since the run began gets no score, nor does what the model could not score.
    """
    assert run.reward is not None, "a score run has its reward model"
    scorer = Scorer(run.reward.pk, run.reward.name)
    landed = 0
    while True:
        piece = tail.next(SCORES_AT_ONCE)
        if not piece.rows:
            return landed
        values = {
            str(row["response_id"]): (float(row["value"]), finite(row.get("spread")), attributes_of(row))
            for row in piece.rows
            if is_finite(row["value"])
        }
        with transaction.atomic():
            renew_lease(lease)
            there = Response.objects.in_project(run.project).filter(pk__in=values, erased_by__isnull=True)
            scored = [Scored(pk, *values[str(pk)]) for pk in there.values_list("pk", flat=True)]
            store_scores(project=run.project, scorer=scorer, scored=scored)
        tail.accept(piece)
        landed += len(piece.rows)


def attributes_of(row: Mapping[str, Any]) -> dict[str, float]:
    """Return what the attribute heads say in a line of scores.jsonl."""
    return {key: float(place) for key, place in (row.get("attributes") or {}).items() if is_finite(place)}
