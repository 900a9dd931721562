"""Make gold of what is settled already: adjudicated tasks, and comparisons that several people judged alike.

What a good candidate is, is asked when it is proposed and again when it is made gold, so that a list that was read an
hour ago cannot make gold of what has been disputed since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Exists, Max, Min, OuterRef, Q, QuerySet, Subquery

from feedback.answers import Answer
from feedback.contract import TRAIN
from feedback.gold import KINDS, GoldRefused, make_gold
from feedback.gold_rotation import people_of
from feedback.locks import lock_task
from feedback.models import Adjudication, Gold, Judgment, Queue, Report, Review, Skip, Task, User
from feedback.models.judgments import JudgmentQuerySet
from feedback.quality.reports import report_for
from feedback.refusals import Refusal
from feedback.schemas import TaskKind
from feedback.standings import suspended_people

VOTES = 5
"""So many people have to have said the same, unless the curator asks for others."""
VOTES_LEAST, VOTES_MOST = 3, 20
BULK_LIMIT = 500
LOOKED_THROUGH = 20_000
"""Judgments of a queue; in a larger one, candidates are those that the latest report on people found."""


class SourceRefused(Refusal):
    """Gold cannot be made as asked; `field` says which value is wrong."""


@dataclass(frozen=True)
class Candidate:
    task: UUID
    answer: dict[str, Any]
    """In response order, as `feedback.gold` takes it."""
    people: int
    """How many judged it alike, or were adjudicated."""
    why: str


@dataclass(frozen=True)
class MadeGold:
    made: list[Gold]
    refused: list[tuple[UUID, str]]
    """Tasks that are no candidates any more, each with what is in the way."""


def candidates(*, queue: Queue, source: str, votes: int = VOTES, limit: int = BULK_LIMIT) -> list[Candidate]:
    """Return tasks of the queue that could be made gold from `source` now, those with most votes first.

    Raises SourceRefused.
    """
    check_source(source, votes)
    if queue.kind not in KINDS:
        return []
    tasks = eligible_tasks(Q(queue=queue))
    if source == Gold.MadeFrom.ADJUDICATED:
        # Few are adjudicated of a queue of a million, so ask of these whether they are eligible, and not of all.
        adjudicated_ones = Adjudication.objects.filter(task__queue=queue).values("task")
        settled = list(latest_adjudications(eligible_tasks(Q(pk__in=adjudicated_ones)))[:limit])
        judged = people_per_task([one.task_id for one in settled])
        return [adjudicated(queue, one, judged.get(one.task_id, 0)) for one in settled]
    if (among := measured_alike(queue)) is not None:
        known = list(eligible_tasks(Q(pk__in=among[: 3 * limit])).values_list("pk", flat=True))
        return unanimous(queue, votes_on(Q(task__in=known)), votes, limit)
    return unanimous(queue, votes_on(Q(task__in=tasks, queue=queue)), votes, limit)


def measured_alike(queue: Queue) -> list[UUID] | None:
    """Return the tasks that the latest report on people found alike; None of a queue small enough to look through.

    Raises SourceRefused of a large queue before a report is there.
    """
    if Judgment.objects.filter(queue=queue).order_by()[: LOOKED_THROUGH + 1].count() <= LOOKED_THROUGH:
        return None
    report = report_for(project=queue.project, kind=Report.Kind.PEOPLE)
    if report is None or "unanimous" not in report.content:
        raise SourceRefused("source", "this queue is too large to look through at once; measure people first")
    return [UUID(task) for task in report.content["unanimous"].get(str(queue.pk), [])]


def make_gold_from(
    *, queue: Queue, tasks: Sequence[UUID], source: str, votes: int = VOTES, created_by: User, now: datetime
) -> MadeGold:
    """Make gold of each of `tasks` that still is a candidate, one transaction each. Raises SourceRefused."""
    check_source(source, votes)
    if len(tasks) > BULK_LIMIT:
        raise SourceRefused("tasks", f"{len(tasks):,} are too many at once; choose at most {BULK_LIMIT}")
    made, refused = [], []
    for task in Task.objects.filter(queue=queue, pk__in=tasks).select_related("queue").order_by("id"):
        try:
            made.append(make_one(queue=queue, task=task, source=source, votes=votes, created_by=created_by, now=now))
        except GoldRefused as refusal:
            refused.append((task.pk, refusal.message))
    return MadeGold(made, refused)


@transaction.atomic
def make_one(*, queue: Queue, task: Task, source: str, votes: int, created_by: User, now: datetime) -> Gold:
    """Make gold of one task by what is settled about it at this moment. Raises GoldRefused."""
    lock_task(task.pk)
    tasks = eligible_tasks(Q(queue=queue, pk=task.pk))
    if source == Gold.MadeFrom.ADJUDICATED:
        settled = latest_adjudications(tasks).first()
        found = adjudicated(queue, settled, people_per_task([task.pk]).get(task.pk, 0)) if settled else None
        missing = "no adjudication of it stands, or it was taken out, or kept for evaluation"
    else:
        (found,) = unanimous(queue, votes_on(Q(task=task.pk, task__in=tasks)), votes, 1) or (None,)
        missing = f"fewer than {votes} people judged it, or not all alike and without a flag"
    if found is None:
        raise GoldRefused("task", missing)
    return make_gold(task=task, answer=found.answer, made_from=source, created_by=created_by, now=now)


def check_source(source: str, votes: int) -> None:
    if source not in (Gold.MadeFrom.ADJUDICATED, Gold.MadeFrom.UNANIMOUS):
        raise SourceRefused("source", f"{source!r} is neither adjudicated nor unanimous")
    if isinstance(votes, bool) or not VOTES_LEAST <= votes <= VOTES_MOST:
        raise SourceRefused("votes", f"{votes} is not between {VOTES_LEAST} and {VOTES_MOST}")


def eligible_tasks(wanted: Q) -> QuerySet[Task]:
    """Return those of the wanted tasks that may become gold: in use, no repeat, and not kept for evaluation.

    Gold is left out of every snapshot, so gold of evaluation prompts would shrink what models are measured on.
    """
    out = Skip.objects.keeping_out().filter(task=OuterRef("pk"))
    return Task.objects.filter(
        wanted,
        ~Exists(out),
        gold__isnull=True,
        repeat_of__isnull=True,
        withdrawn_at__isnull=True,
        prompt__split=TRAIN,
    )


# Adjudicated


def latest_adjudications(tasks: QuerySet[Task]) -> QuerySet[Adjudication]:
    """Return what stands adjudicated of each of `tasks`, the newest first."""
    latest = Adjudication.objects.filter(task=OuterRef("task")).order_by("-id").values("pk")[:1]
    standing = Adjudication.objects.filter(task__in=tasks, pk=Subquery(latest), answer__isnull=False)
    return standing.select_related("adjudicator").order_by("-id")


def adjudicated(queue: Queue, settled: Adjudication, people: int) -> Candidate:
    return Candidate(
        task=settled.task_id,
        answer=answer_of(queue.kind, settled.answer),
        people=people,
        why=f"adjudicated by {settled.adjudicator.username}",
    )


def answer_of(kind: str, settled: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return an adjudication's answer as gold takes it: without flags, and nobody is held to an edit."""
    assert settled is not None, "an adjudication that stands has its answer"
    known = Answer(settled.get("preference"), dict(settled.get("content") or {})).as_sent(kind)
    known.pop("edited", None)
    return known


def people_per_task(tasks: Iterable[UUID]) -> dict[UUID, int]:
    judged = Judgment.objects.current().by_people().filter(task__in=list(tasks)).order_by().values("task")
    return {row["task"]: row["people"] for row in judged.annotate(people=Count("annotator", distinct=True))}


# Unanimous


def votes_on(wanted: Q) -> JudgmentQuerySet:
    """Return the judgments that count as votes: of people, each one's own first look at the task."""
    return Judgment.objects.current().by_people().filter(wanted).order_by()


def unanimous(queue: Queue, judgments: JudgmentQuerySet, votes: int, limit: int) -> list[Candidate]:
    """Return tasks that `votes` or more people judged to the same side, with nothing against it.

    Against it is: a tie, a flag, a review that rejects, the vote of somebody suspended, and so many of the queue's
    people among the voters that the gold would be known to too many from the start.
    """
    if queue.kind != TaskKind.COMPARISON:
        return []
    grouped = judgments.values("task").annotate(
        people=Count("annotator", distinct=True), low=Min("preference"), high=Max("preference")
    )
    alike = grouped.filter(Q(low__gt=0) | Q(high__lt=0), people__gte=votes, people__lte=exposed_from(queue))
    rows = list(alike.order_by("-people", "task")[: 2 * limit])  # what is spoilt below is replaced by the next ones
    spoilt = spoilt_tasks(queue, {row["task"]: 1 if row["low"] > 0 else -1 for row in rows})
    return [
        Candidate(
            task=row["task"],
            answer={"preference": middle(row["low"], row["high"])},
            people=row["people"],
            why=f"{row['people']} of {row['people']} people alike",
        )
        for row in rows
        if row["task"] not in spoilt
    ][:limit]


def middle(low: int, high: int) -> int:
    """Return the strength between the weakest and the strongest vote, towards the weaker one; never a tie."""
    between = (abs(low) + abs(high)) // 2
    return max(1, between) if low > 0 else -max(1, between)


def exposed_from(queue: Queue) -> int:
    """Return how many people may know a task for it to be worth making gold of it."""
    assert queue.policy is not None, "an open queue has its policy"
    return people_of(queue) * queue.policy.gold_exposure_percent // 100


def spoilt_tasks(queue: Queue, sides: Mapping[UUID, int]) -> set[UUID]:
    """Return those of the tasks, with the side that everybody chose, that something speaks against."""
    votes = Judgment.objects.current().by_people().filter(task__in=list(sides))
    latest = Review.objects.filter(judgment=OuterRef("pk")).order_by("-id").values("accepted")[:1]
    rejected = votes.annotate(review=Subquery(latest)).filter(review=False)
    flagged = votes.exclude(flags=[])
    suspended = votes.filter(annotator__in=suspended_people(queue.project))
    spoilt = {task for found in (rejected, flagged, suspended) for task in found.values_list("task", flat=True)}
    repeats = dict(Task.objects.filter(repeat_of__in=list(sides)).values_list("pk", "repeat_of"))
    again = Judgment.objects.current().filter(task__in=list(repeats))
    for repeat, said in again.values_list("task", "preference"):
        task = repeats[repeat]
        if task is not None and (said or 0) * sides[task] <= 0:
            spoilt.add(task)  # somebody said otherwise when they were asked once more
    return spoilt
