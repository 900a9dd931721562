"""Draw what a claim gives: gold, a repeat, a task uniformly at random, or the next one by priority. Nobody sees which.

The server draws at every new claim. The shares are the policy's `gold_percent` (`newcomer_gold_percent`, where that is
more, until a person has judged `newcomer_judgments` tasks), `repeat_percent` and `random_percent`; what is left is the
priority arm's. Gold that the person has all had, and repeats that they have no judgment for, leave their share to the
priority arm. So the stored propensity is the very probability with which this claim would give that arm, given what the
queue could offer then. Gold and repeats are mixed into work: when the queue's order has nothing for the person, they
are not handed out alone, which would give them away.

Two more arms are no draw, and their propensity is 1: a slot that a curator reserved (NAMED), a task that the person
asked for by name (ASKED). A task that was put off comes back before its time, when nothing else is left, by priority
and with propensity 1. Every task of a qualification queue is gold with propensity 1.

Only what can be compared with itself is repeated: comparisons, rankings, ratings. Who is asked to write or talk again
would know the task.

Within the random arm every task is as likely as any other: a task's key is a uniform draw that says nothing of what the
task is about. (Given the keys, the task after a wide gap is likelier; keys are used for nothing else, and not shown.)
"""

from __future__ import annotations

import random
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Exists, OuterRef

from feedback.contract import digest
from feedback.gold import KINDS as COMPARABLE
from feedback.gold import gold_left
from feedback.models import Arm, Assignment, Judgment, Queue, Task, TaskResponse, User
from feedback.models.people import new_id_beside
from feedback.prepared import prepared

CHANCE = random.SystemRandom()
GOLD_LIMIT = 500
"""Of so many gold tasks that a person has left, one is drawn."""
REPEAT_WINDOW = 200
"""Of so many of a person's latest judgments that are old enough, one is drawn to be repeated."""


def arm_shares(*, queue: Queue, annotator: User, now: datetime) -> dict[Arm, float]:
    """Return the probability of each arm at this claim; they sum to 1, and no arm that has nothing is in it.

    The caller has seen that the queue's order has something for the person. `queue` comes with its policy.
    """
    policy = queue.policy
    assert policy is not None, "an open queue has its policy"
    shares: dict[Arm, float] = {}
    gold = gold_percent(queue=queue, annotator=annotator)
    if gold and gold_left(queue=queue, annotator=annotator).exists():
        shares[Arm.GOLD] = gold / 100
    may_repeat = policy.repeat_percent and queue.kind in COMPARABLE
    if may_repeat and first_repeatable.all(**old_enough(queue=queue, annotator=annotator, now=now)):
        shares[Arm.REPEAT] = policy.repeat_percent / 100
    if policy.random_percent:
        shares[Arm.RANDOM] = policy.random_percent / 100
    shares[Arm.PRIORITY] = 1.0 - sum(shares.values())
    return {arm: share for arm, share in shares.items() if share > 0}


def draw_arm(shares: dict[Arm, float], chance: random.Random) -> Arm:
    at = chance.random()
    for arm, share in shares.items():
        if at < share:
            return arm
        at -= share
    return list(shares)[-1]  # what rounding leaves


def gold_percent(*, queue: Queue, annotator: User) -> int:
    """Return the gold share for this person, in percent: the larger one for a newcomer to the queue."""
    policy = queue.policy
    assert policy is not None, "an open queue has its policy"
    if queue.kind not in COMPARABLE:
        return 0
    if policy.newcomer_gold_percent <= policy.gold_percent or not policy.newcomer_judgments:
        return policy.gold_percent
    judged = Assignment.objects.filter(queue=queue, annotator=annotator).done().order_by()
    is_newcomer = judged[: policy.newcomer_judgments].count() < policy.newcomer_judgments
    return policy.newcomer_gold_percent if is_newcomer else policy.gold_percent


def repeatable(*, queue: Any, annotator: Any, until: Any) -> models.QuerySet[Judgment, Any]:
    """Return the tasks of the person's judgments until then that may be asked once more: ordinary, not repeated yet."""
    old = Judgment.objects.filter(annotator=annotator, queue=queue, revision=1, created_at__lte=until)
    window = old.order_by("-created_at").values("pk")[:REPEAT_WINDOW]
    again = Assignment.objects.filter(task__repeat_of=OuterRef("task"), reserved_for=annotator)
    once_more = Judgment.objects.filter(
        ~Exists(again),
        pk__in=window,
        task__repeat_of__isnull=True,
        task__gold__isnull=True,
        task__withdrawn_at__isnull=True,
    )
    return once_more.order_by("pk").values_list("task")


@prepared
def first_repeatable(*, queue: Any, annotator: Any, until: Any) -> models.QuerySet[Judgment, Any]:
    return repeatable(queue=queue, annotator=annotator, until=until).order_by()[:1]


def old_enough(*, queue: Queue, annotator: User, now: datetime) -> dict[str, Any]:
    """Return for `repeatable` whose judgments are meant, and until when they were made."""
    assert queue.policy is not None, "an open queue has its policy"
    until = now - timedelta(hours=queue.policy.repeat_after_hours)
    return {"queue": queue.pk, "annotator": annotator.pk, "until": until}


def gold_slot(*, queue: Queue, annotator: User, chance: random.Random) -> Assignment | None:
    """Return a slot of a gold task, made for this person and not stored yet; None when they have had all of it."""
    left = list(gold_left(queue=queue, annotator=annotator).values_list("task", flat=True)[:GOLD_LIMIT])
    return own_slot(task=Task.objects.get(pk=chance.choice(left)), annotator=annotator) if left else None


def repeat_slot(*, queue: Queue, annotator: User, now: datetime, chance: random.Random) -> Assignment | None:
    """Return a slot of a repeat of one of the person's own tasks, not stored yet; the repeat itself is stored.

    Its sides are swapped by `Task.order_for`, its key holds the person, and nobody else is ever shown it. Its id says
    that it is as old as some task that waits: the person sees the id, and must not read from it that it is new.
    """
    old = list(repeatable(**old_enough(queue=queue, annotator=annotator, now=now)))
    if not old:
        return None
    original = Task.objects.get(pk=chance.choice(old)[0])
    task = Task.objects.create(
        id=new_id_beside(waiting_task(queue=queue, chance=chance) or original.pk),
        queue=queue,
        prompt_id=original.prompt_id,
        key=digest(["repeat", str(original.pk), str(annotator.pk)]),
        propensity=original.propensity,
        repeat_of=original,
    )
    TaskResponse.objects.bulk_create(
        TaskResponse(task=task, response_id=link.response_id, place=link.place) for link in original.links.all()
    )
    return own_slot(task=task, annotator=annotator)


def waiting_task(*, queue: Queue, chance: random.Random) -> uuid.UUID | None:
    """Return the id of any task that has a slot for somebody."""
    waiting = Assignment.objects.filter(
        queue=queue, state__in=[Assignment.State.OPEN, Assignment.State.LEASED], reserved_for__isnull=True
    ).order_by("random_key")
    found = waiting.filter(random_key__gte=chance.random()).first() or waiting.first()
    return None if found is None else found.task_id


def own_slot(*, task: Task, annotator: User) -> Assignment:
    return Assignment(task=task, queue_id=task.queue_id, slot=None, reserved_for=annotator)
