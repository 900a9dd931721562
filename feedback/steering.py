"""Steer what waits in a queue: what comes first, and what is taken out. Who holds a task finishes it undisturbed."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from django.db import transaction

from feedback.claims import FREED
from feedback.models import Assignment, Queue, Response, Skip, Task, User
from feedback.refusals import Refusal

PRIORITY_LIMIT = 1_000_000
CHUNK = 500
"""Ids in one statement; SQLite takes no more than about a thousand variables."""


class SteeringRefused(Refusal):
    """Tasks cannot be steered as asked; `field` says which value is wrong."""


@transaction.atomic
def set_priority(*, queue: Queue, tasks: Iterable[Task], priority: float) -> int:
    """Let the tasks be claimed before all of the queue's with a lower priority; returns how many were set.

    It counts from the next claim on, also for slots that a task gets later. Raises SteeringRefused.
    """
    check_priority(priority)
    ids = []
    for task in tasks:
        if task.queue_id != queue.pk:
            raise SteeringRefused("tasks", f"task {task.pk} is in another queue")
        ids.append(task.pk)
    return prioritize(queue, ids, priority)


@transaction.atomic
def set_priority_by_tag(*, queue: Queue, tag: str, priority: float) -> int:
    """As `set_priority`, of all the queue's tasks whose prompt has this very tag. Raises SteeringRefused."""
    check_priority(priority)
    tag = tag.strip()
    if not tag:
        raise SteeringRefused("tag", "name a tag that prompts have")
    found = list(tagged(queue, tag))
    if not found:
        raise SteeringRefused("tag", f"no task of this queue has a prompt with the tag {tag!r}")
    return prioritize(queue, found, priority)


def tagged(queue: Queue, tag: str) -> Iterator[uuid.UUID]:
    """Yield the ids of the tasks whose prompt has the tag; compared here, for SQLite cannot look into a list."""
    for task_id, tags in queue.tasks.values_list("pk", "prompt__tags").iterator():
        if tag in tags:
            yield task_id


def check_priority(priority: float) -> None:
    if not math.isfinite(priority) or abs(priority) > PRIORITY_LIMIT:
        raise SteeringRefused("priority", f"give a number from -{PRIORITY_LIMIT:,} to {PRIORITY_LIMIT:,}")


def prioritize(queue: Queue, ids: Sequence[uuid.UUID], priority: float) -> int:
    for start in range(0, len(ids), CHUNK):
        Assignment.objects.filter(queue=queue, task__in=ids[start : start + CHUNK]).update(priority=priority)
    return len(ids)


@transaction.atomic
def withdraw_task(*, task: Task, withdrawn_by: User, now: datetime) -> int:
    """Take out the slots of the task that nobody holds; returns how many. What was judged stays.

    Skips of it that are up for review are settled as left out, so that no annotator brings it back.
    """
    withdrawn = task.assignments.claimable(now).update(**{**FREED, "state": Assignment.State.WITHDRAWN})
    settle(task, "discard", withdrawn_by, now)
    return withdrawn


@transaction.atomic
def return_task(*, task: Task, returned_by: User, now: datetime) -> int:
    """Open the slots of the task that were taken out; returns how many."""
    returned = task.assignments.filter(state=Assignment.State.WITHDRAWN).update(state=Assignment.State.OPEN)
    settle(task, "return", returned_by, now)
    return returned


def settle(task: Task, settlement: str, settled_by: User, now: datetime) -> None:
    Skip.objects.filter(task=task, kind=Skip.Kind.REVIEW, taken_back_at__isnull=True, settled_at__isnull=True).update(
        settlement=settlement, settled_by=settled_by, settled_at=now
    )


@transaction.atomic
def withdraw_tasks_with(*, response: Response, withdrawn_by: User, now: datetime) -> int:
    """Take out the free slots of every task that shows the response, in all queues; returns how many slots."""
    return sum(withdraw_task(task=task, withdrawn_by=withdrawn_by, now=now) for task in response.tasks.all())
