"""Steer what waits in a queue: what comes first, and what is taken out. Who holds a task finishes it undisturbed."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from feedback.audit import record
from feedback.claims import FREED
from feedback.finding import with_tag
from feedback.locks import lock_task
from feedback.models import Arm, Assignment, Gold, Queue, Response, Skip, Task, User
from feedback.refusals import Refusal
from feedback.settling import AlreadySettled, open_again

PRIORITY_LIMIT = 1_000_000
NAMED_IN_LOG = 100
"""Tasks that the audit log names of those whose priority was set; it counts the others."""
CHUNK = 500
"""Ids in one statement; SQLite takes no more than about a thousand variables."""


class SteeringRefused(Refusal):
    """Tasks cannot be steered as asked; `field` says which value is wrong."""


@transaction.atomic
def set_priority(*, queue: Queue, tasks: Iterable[Task], priority: float, set_by: User | None = None) -> int:
    """Let the tasks be claimed before all of the queue's with a lower priority; returns how many were set.

    It counts from the next claim on, also for slots that a task gets later. Raises SteeringRefused.
    """
    check_priority(priority)
    ids = []
    for task in tasks:
        if task.queue_id != queue.pk:
            raise SteeringRefused("tasks", f"task {task.pk} is in another queue")
        ids.append(task.pk)
    return prioritize(queue, ids, priority, set_by, after={"tasks": [str(pk) for pk in ids[:NAMED_IN_LOG]]})


@transaction.atomic
def set_priority_by_tag(*, queue: Queue, tag: str, priority: float, set_by: User | None = None) -> int:
    """As `set_priority`, of all the queue's tasks whose prompt has this very tag. Raises SteeringRefused."""
    check_priority(priority)
    tag = tag.strip()
    if not tag:
        raise SteeringRefused("tag", "name a tag that prompts have")
    found = list(tagged(queue, tag))
    if not found:
        raise SteeringRefused("tag", f"no task of this queue has a prompt with the tag {tag!r}")
    return prioritize(queue, found, priority, set_by, after={"tag": tag})


def tagged(queue: Queue, tag: str) -> Iterator[uuid.UUID]:
    """Yield the ids of the tasks whose prompt has this very tag; the database finds what looks like it."""
    likely = queue.tasks.filter(with_tag("prompt__tags", tag))
    for task_id, tags in likely.values_list("pk", "prompt__tags").iterator():
        if tag in tags:
            yield task_id


def check_priority(priority: float) -> None:
    if not math.isfinite(priority) or abs(priority) > PRIORITY_LIMIT:
        raise SteeringRefused("priority", f"give a number from -{PRIORITY_LIMIT:,} to {PRIORITY_LIMIT:,}")


def prioritize(
    queue: Queue, ids: Sequence[uuid.UUID], priority: float, set_by: User | None, after: dict[str, Any]
) -> int:
    for start in range(0, len(ids), CHUNK):
        Assignment.objects.filter(queue=queue, task__in=ids[start : start + CHUNK]).update(
            priority=priority, opened_at=timezone.now()
        )
    if ids:
        told = {"priority": priority, "count": len(ids), **after}
        record(project=queue.project, actor=set_by, action="queue.set_priority", subject=queue, after=told)
    return len(ids)


@transaction.atomic
def withdraw_task(*, task: Task, withdrawn_by: User, now: datetime) -> int:
    """Take out the task, with its slots that nobody holds; returns how many slots. What was judged stays.

    Who holds a slot may finish it, and nobody else gets it. Gold is not drawn any more. Skips of it that are up for
    review are settled as left out, so that no annotator brings it back.
    """
    lock_task(task.pk)
    Task.objects.filter(pk=task.pk).update(withdrawn_at=now, withdrawn_by=withdrawn_by)
    withdrawn = task.assignments.claimable(now).update(**{**FREED, "state": Assignment.State.WITHDRAWN})
    task.assignments.filter(state=Assignment.State.LEASED).update(reserved_for=F("annotator"))
    settle(task, "discard", withdrawn_by, now)
    record(
        project=task.queue.project, actor=withdrawn_by, action="task.take_out", subject=task,
        after={"slots_taken_out": withdrawn}, now=now,
    )  # fmt: skip
    return withdrawn


@transaction.atomic
def return_task(*, task: Task, returned_by: User, now: datetime) -> int:
    """Open the slots of the task that were taken out; returns how many. Gold is handed out by the draw again."""
    lock_task(task.pk)
    Task.objects.filter(pk=task.pk).update(withdrawn_at=None, withdrawn_by=None)
    returned = open_again(task_id=task.pk, now=now)
    if not Gold.objects.filter(task=task).exists():
        held = task.assignments.filter(state=Assignment.State.LEASED, slot__isnull=False).exclude(arm=Arm.NAMED)
        held.update(reserved_for=None)  # as before: when the lease runs out, others may have it
    settle(task, "return", returned_by, now)
    record(
        project=task.queue.project, actor=returned_by, action="task.return", subject=task,
        after={"slots_opened": returned}, now=now,
    )  # fmt: skip
    return returned


def settle(task: Task, settlement: str, settled_by: User, now: datetime) -> None:
    up = Skip.objects.up_for_review().filter(task=task)
    up.update(settlement=settlement, settled_by=settled_by, settled_at=now)


NAMING_SETTLEMENTS = ("discard", "leave")


@transaction.atomic
def settle_naming(*, response: Response, settlement: str, settled_by: User, now: datetime) -> int:
    """Decide of a response that names its model: take out its tasks ("discard"), or let it stay ("leave").

    Returns how many slots were taken out, over all queues; what was judged stays. Raises SteeringRefused,
    AlreadySettled.
    """
    if settlement not in NAMING_SETTLEMENTS:
        raise SteeringRefused("settlement", f"{settlement!r} is not one of {', '.join(NAMING_SETTLEMENTS)}")
    waiting = Response.objects.naming_itself().filter(pk=response.pk, naming_settled_at__isnull=True)
    if not waiting.update(naming_settlement=settlement, naming_settled_by=settled_by, naming_settled_at=now):
        raise AlreadySettled("another curator has decided this, or the response names nobody")
    record(
        project=response.prompt.project, actor=settled_by, action="response.settle_naming", subject=response,
        after={"settlement": settlement, "names": response.names_itself}, now=now,
    )  # fmt: skip
    if settlement == "leave":
        return 0
    return sum(withdraw_task(task=task, withdrawn_by=settled_by, now=now) for task in response.tasks.all())
