"""Settle what a good answer to a task is, where people differ or the task is hard."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from feedback.answers import Answer, BadJudgment, check_answer
from feedback.audit import record
from feedback.locks import lock_task
from feedback.models import Adjudication, Assignment, Judgment, Queue, Task, User
from feedback.refusals import Refusal
from feedback.schemas import Schema, TaskKind

REASON_LENGTH_LIMIT = 2_000


class AdjudicationRefused(Refusal):
    """A task cannot be adjudicated as asked; `field` says which value is wrong."""


class AdjudicationMovedOn(Exception):
    """Another curator adjudicated the task since this one looked at it."""


@transaction.atomic
def adjudicate(
    *,
    task: Task,
    adjudicator: User,
    answer: Mapping[str, Any],
    rationale: str = "",
    flags: Sequence[Any] = (),
    reason: str = "",
    seen: int | None = -1,
    now: datetime,
) -> Adjudication:
    """Store what a good answer to the task is; the latest adjudication counts, and snapshots can go by it.

    `answer` and `flags` count in response order and are checked by the label schema in force. Whoever has judged the
    task, or has it before them, does not adjudicate it. `seen` is the adjudication that the adjudicator looked at
    (None: there was none), so that of two at once the second one is told; left out, nobody is. The same answer by the
    same person again adds none. Raises AdjudicationRefused, AdjudicationMovedOn.
    """
    lock_task(task.pk)
    queue = Queue.objects.in_force().get(pk=task.queue_id)
    assert queue.schema is not None, "an open queue has its label schema"
    check_may_adjudicate(task=task, adjudicator=adjudicator)
    said = checked_adjudication(queue.schema.asks, task, answer, rationale=rationale, flags=flags)
    return store(task=task, answer=stored(said), adjudicator=adjudicator, reason=reason, seen=seen, now=now)


@transaction.atomic
def take_back(
    *, task: Task, adjudicator: User, reason: str = "", seen: int | None = -1, now: datetime
) -> Adjudication | None:
    """Let the task be as if nobody had adjudicated it; returns None when nobody had.

    Raises AdjudicationRefused, AdjudicationMovedOn.
    """
    lock_task(task.pk)
    check_may_adjudicate(task=task, adjudicator=adjudicator)
    if adjudication_of(task) is None:
        return None
    return store(task=task, answer=None, adjudicator=adjudicator, reason=reason, seen=seen, now=now)


def adjudication_of(task: Task) -> Adjudication | None:
    """Return the adjudication of the task that counts; None where there is none or it was taken back."""
    latest = task.adjudications.first()
    return latest if latest is not None and latest.answer is not None else None


def answer_of(adjudication: Adjudication) -> Answer:
    """Return what was settled on, in response order."""
    kept = adjudication.answer or {}
    return Answer(
        kept.get("preference"), kept.get("content") or {}, kept.get("rationale") or "", kept.get("flags") or []
    )


def has_part_in(*, task_id: uuid.UUID, person: User) -> bool:
    """Tell whether the person has judged the task or a repeat of it, or has it before them now."""
    theirs = Q(task=task_id) | Q(task__repeat_of=task_id)
    if Judgment.objects.filter(theirs, annotator=person).exists():
        return True
    held = [Assignment.State.LEASED, Assignment.State.DONE]
    return Assignment.objects.filter(theirs, annotator=person, state__in=held).exists()


def check_may_adjudicate(*, task: Task, adjudicator: User) -> None:
    if task.repeat_of_id is not None:
        raise AdjudicationRefused("task", "this task is one person's repeat of another one; adjudicate that one")
    if has_part_in(task_id=task.pk, person=adjudicator):
        raise AdjudicationRefused(
            "adjudicator", "you have judged this task, or have it before you; somebody else adjudicates it"
        )


def checked_adjudication(
    schema: Schema, task: Task, answer: Mapping[str, Any], *, rationale: str, flags: Sequence[Any]
) -> Answer:
    if schema.kind == TaskKind.CONVERSATION:
        raise AdjudicationRefused("task", "a talk is one person's own; there is no one answer to settle on")
    # An adjudicator may give a reason for any answer, and has to for none.
    asks = replace(schema, rationale="optional")
    try:
        return check_answer(asks, len(task.texts), answer, rationale=rationale, flags=flags)
    except BadJudgment as refusal:
        raise AdjudicationRefused(refusal.field, refusal.message) from refusal


def stored(answer: Answer) -> dict[str, Any]:
    """Return an answer in response order as JSON keeps it."""
    kept = {"preference": answer.preference, "content": answer.content, "flags": answer.flags}
    return {**kept, "rationale": answer.rationale} if answer.rationale else kept


def store(
    *,
    task: Task,
    answer: dict[str, Any] | None,
    adjudicator: User,
    reason: str,
    seen: int | None,
    now: datetime,
) -> Adjudication:
    reason = reason.strip()
    if len(reason) > REASON_LENGTH_LIMIT or "\x00" in reason:
        raise AdjudicationRefused("reason", f"write at most {REASON_LENGTH_LIMIT:,} characters, without NUL")
    latest = task.adjudications.select_related("adjudicator").first()
    said = (answer, reason, adjudicator.pk)
    if latest is not None and (latest.answer, latest.reason, latest.adjudicator_id) == said:
        return latest
    if seen != -1 and (latest.pk if latest else None) != seen:
        who = latest.adjudicator.username if latest else "somebody"
        raise AdjudicationMovedOn(f"{who} has adjudicated this task since you looked at it; look again")
    made = Adjudication.objects.create(task=task, answer=answer, reason=reason, adjudicator=adjudicator, created_at=now)
    record(
        project=task.queue.project,
        actor=adjudicator,
        action="task.adjudicate" if answer is not None else "task.adjudication_taken_back",
        subject=task,
        before=latest.answer if latest else None,
        after=answer,
        reason=reason,
        now=now,
    )
    return made
