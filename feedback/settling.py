"""Settle what annotators took out for review."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction

from feedback.audit import record
from feedback.locks import lock_task
from feedback.models import Assignment, Gold, Skip, User
from feedback.refusals import Refusal

SETTLEMENTS = ("return", "discard")


class SettlementRefused(Refusal):
    """A skip cannot be settled as asked; `field` says which value is wrong."""


class AlreadySettled(Exception):
    """Another curator settled the task, or the person who took it out has taken it back."""


@transaction.atomic
def settle_skip(*, skip: Skip, settlement: str, settled_by: User, now: datetime) -> Skip:
    """Return the task to the queue ("return"), or leave it out for good ("discard").

    Settles the task: whoever else took it out is answered too. A returned task goes to others than those who took it
    out. Judgments that are there stay either way. Raises SettlementRefused, AlreadySettled.
    """
    if settlement not in SETTLEMENTS:
        raise SettlementRefused("settlement", f"{settlement!r} is not one of {', '.join(SETTLEMENTS)}")
    if skip.kind != Skip.Kind.REVIEW:
        raise SettlementRefused("skip", "the task was put off or left to others; there is nothing to settle")
    lock_task(skip.task_id)
    up = Skip.objects.up_for_review().filter(task=skip.task_id)
    if not up.filter(pk=skip.pk).exists():
        raise AlreadySettled("this task was settled, or taken back by the person who passed it over")
    up.update(settled_at=now, settled_by=settled_by, settlement=settlement)
    if settlement == "return":
        open_again(task_id=skip.task_id, now=now)
    record(
        project=skip.task.queue.project, actor=settled_by, action="task.settle_skip", subject=skip.task,
        after={"settlement": settlement, "reason": skip.reason, "note": skip.note}, now=now,
    )  # fmt: skip
    skip.refresh_from_db()
    return skip


def open_again(*, task_id: uuid.UUID, now: datetime) -> int:
    """Open the slots of a task that were withdrawn, and return how many; those of gold stay withdrawn."""
    if Gold.objects.filter(task=task_id).exists():
        return 0
    withdrawn = Assignment.objects.filter(task=task_id, state=Assignment.State.WITHDRAWN, slot__isnull=False)
    return withdrawn.update(state=Assignment.State.OPEN, opened_at=now)
