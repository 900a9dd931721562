"""Let a difference between people stand, so that nobody is asked to settle it any more."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from feedback.audit import record
from feedback.locks import lock_task
from feedback.models import Adjudication, Dispute, Task, User


class AlreadyDismissed(Exception):
    """Another curator has let the difference stand."""


@transaction.atomic
def let_stand(*, task: Task, dismissed_by: User, reason: str = "", now: datetime) -> Dispute:
    """Take the task off the list of disputes without an answer: good people can differ on it.

    An adjudication is still possible later. Raises AlreadyDismissed.
    """
    lock_task(task.pk)
    dispute, _ = Dispute.objects.get_or_create(task=task, defaults={"queue": task.queue})
    waiting = Dispute.objects.filter(pk=dispute.pk, dismissed_at__isnull=True)
    if not waiting.update(dismissed_at=now, dismissed_by=dismissed_by):
        raise AlreadyDismissed("another curator has let this difference stand already")
    record(
        project=task.queue.project,
        actor=dismissed_by,
        action="task.let_stand",
        subject=task,
        reason=reason.strip()[:2_000].replace("\x00", ""),
        now=now,
    )
    dispute.refresh_from_db()
    return dispute


def settled_among(tasks: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Return those of the tasks that are adjudicated, or on which the difference may stand."""
    wanted = list(tasks)
    adjudicated = Adjudication.objects.standing().filter(task__in=wanted).values_list("task_id", flat=True)
    dismissed = Dispute.objects.filter(task__in=wanted, dismissed_at__isnull=False).values_list("task_id", flat=True)
    return {*adjudicated, *dismissed}
