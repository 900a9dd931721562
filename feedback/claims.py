"""Take a slot, keep it, pass it over. A slot changes hands by one conditional UPDATE whose row count decides.

On PostgreSQL a claim also locks the slot that it has picked (`FOR UPDATE SKIP LOCKED`), so that claimers do not queue
up behind each other, and the person's own row, so that two tabs of one person cannot take two slots. SQLite needs
neither: a transaction there holds the database's write lock from its first statement on.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q

from feedback.eligibility import check_eligible
from feedback.lease_tokens import draw_token
from feedback.models import Arm, Assignment, Draft, Queue, Skip, Task, User
from feedback.models.tasks import AssignmentQuerySet
from feedback.refusals import Refusal

NOTE_LENGTH_LIMIT = 2_000
LATER = timedelta(minutes=30)
"""After so long a task that was put off may come back; before that only when nothing else is left."""


class QueueNotOpen(Exception):
    """The queue is paused or closed; nothing new is handed out."""


class SlotGone(Exception):
    """No slot of the task is free for this person; the message says why."""


class LeaseLost(Exception):
    """The person no longer holds the slot: the lease ran out, somebody else has it, or it is done.

    `slot_free` tells whether `reclaim` would give the person a slot of the same task now.
    """

    def __init__(self, *, slot_free: bool) -> None:
        super().__init__("the lease on this task has run out" if slot_free else "the slot has moved on")
        self.slot_free = slot_free


class BadSkip(Refusal):
    """A task cannot be passed over as asked; `field` says which value is wrong."""


@transaction.atomic
def claim_next(*, queue: Queue, annotator: User, now: datetime, beside: Iterable[uuid.UUID] = ()) -> Assignment | None:
    """Return a slot that `annotator` holds under a lease, or None when the queue has nothing for them.

    In this order: a live lease that the person already has in the queue; their own lease that ran out over a draft; the
    first free slot by priority. Never a task that the person has judged, holds or has passed over. `beside` names
    the assignments that the person has before them: a page that fetches the next task ahead gets another one.
    Raises QueueNotOpen and NotEligible, unless a live lease is there to be finished.
    """
    lock_person(annotator)
    beside = set(beside)
    mine = own_leases(queue=queue, annotator=annotator)
    for slot in mine:
        if slot.pk not in beside and not slot.is_claimable(now):
            return held(slot)
    queue = Queue.objects.in_force().get(pk=queue.pk)
    if queue.state != Queue.State.OPEN:
        raise QueueNotOpen(f"{queue.name} is {queue.get_state_display().lower()}")
    check_eligible(queue=queue, annotator=annotator, now=now)
    for slot in mine:
        if (
            slot.pk not in beside
            and slot.has_draft
            and take(  # type: ignore[attr-defined]  # annotated
                slot=slot, queue=queue, annotator=annotator, now=now, arm=slot.arm, arm_propensity=slot.arm_propensity
            )
        ):
            return held(slot)
    while (slot := first_of(next_slots(queue=queue, annotator=annotator, now=now))) is not None:
        if take(slot=slot, queue=queue, annotator=annotator, now=now, arm=Arm.PRIORITY, arm_propensity=1.0):
            return held(slot)
    return None


def lock_person(person: User) -> None:
    User.objects.select_for_update(no_key=True).filter(pk=person.pk).values_list("pk", flat=True).first()


def own_leases(*, queue: Queue, annotator: User) -> list[Assignment]:
    """Return the slots that are leased to the person, live or run out, the oldest first, each with `has_draft`."""
    drafts = Draft.objects.filter(task=OuterRef("task"), annotator=annotator)
    return list(
        Assignment.objects.filter(queue=queue, annotator=annotator, state=Assignment.State.LEASED)
        .annotate(has_draft=Exists(drafts))
        .order_by("leased_at", "pk")
    )


def held(slot: Assignment) -> Assignment:
    """Read a slot that was just taken or found, with all that its page shows."""
    return Assignment.objects.with_task().get(pk=slot.pk)


def held_slot(*, queue: Queue, annotator: User, now: datetime) -> Assignment | None:
    """Return the live lease that `annotator` has in the queue, the oldest one if there are two; changes nothing."""
    return (
        Assignment.objects.held_by(annotator, now).filter(queue=queue).with_task().order_by("leased_at", "pk").first()
    )


def first_of(slots: AssignmentQuerySet) -> Assignment | None:
    return slots.select_for_update(skip_locked=True, of=("self",)).first()


def next_slots(*, queue: Queue, annotator: User, now: datetime) -> AssignmentQuerySet:
    """Return the slots that may go to `annotator`, first come first; read along the index `assignment_claim_order`."""
    elsewhere = Assignment.objects.filter(task=OuterRef("task"), annotator=annotator)
    return (
        Assignment.objects.claimable(now)
        # Says again what `claimable` implies, in the index's own words.
        .filter(state__in=[Assignment.State.OPEN, Assignment.State.LEASED], reserved_for__isnull=True)
        .filter(~Exists(elsewhere.exclude(pk=OuterRef("pk"))), ~Exists(passed_over(annotator, now)), queue=queue)
        .order_by("-priority", "order_key", "slot")
    )


def passed_over(annotator: User, now: datetime) -> models.QuerySet[Skip]:
    """Return the skips for which the outer slot's task is not offered to the person now."""
    return Skip.objects.filter(task=OuterRef("task"), annotator=annotator, taken_back_at__isnull=True).filter(
        Q(until__isnull=True) | Q(until__gt=now)
    )


def take(
    *, slot: Assignment, queue: Queue, annotator: User, now: datetime, arm: str, arm_propensity: float | None
) -> bool:
    """Try to lease `slot`; False when somebody else was faster. `queue` comes with what is in force (`in_force`)."""
    assert queue.policy is not None, "an open queue has its policy"
    taken = (
        Assignment.objects.claimable(now)
        .filter(pk=slot.pk)
        .update(
            state=Assignment.State.LEASED,
            annotator=annotator,
            lease_token=draw_token(salt=slot.task.queue.project.salt, assignment_id=slot.pk, person=annotator.pk),
            leased_at=now,
            lease_expires_at=now + timedelta(minutes=queue.policy.lease_minutes),
            display_order=slot.task.order_for(annotator),
            guideline=queue.guideline,
            policy=queue.policy,
            schema=queue.schema,
            arm=arm,
            arm_propensity=1.0 if arm_propensity is None else arm_propensity,
        )
    )
    return taken == 1


def free_slot(*, task: Task, annotator: User, now: datetime) -> Assignment | None:
    """Return a slot of `task` that `annotator` could take now, their own first; changes nothing."""
    slots = list(task.assignments.order_by("slot", "pk"))
    mine = next((slot for slot in slots if slot.annotator_id == annotator.pk), None)
    free = [slot for slot in slots if slot.is_claimable(now) and slot.reserved_for_id in (None, annotator.pk)]
    if mine is not None:
        return mine if mine in free else None
    return free[0] if free else None


@transaction.atomic
def reclaim(*, task: Task, annotator: User, now: datetime) -> Assignment:
    """Give `annotator` a fresh lease on a task they lost or passed over, or the live one they hold. Their draft stays.

    A skip of it is taken back: asking for the task by name says more. Raises SlotGone.
    """
    lock_person(annotator)
    queue = Queue.objects.in_force().get(pk=task.queue_id)
    live = Assignment.objects.held_by(annotator, now).filter(task=task).first()
    if live is not None:
        return live
    if queue.state != Queue.State.OPEN:
        raise SlotGone(f"the queue is {queue.get_state_display().lower()}; your text is kept")
    bring_back(task=task, annotator=annotator)
    while (slot := free_slot(task=task, annotator=annotator, now=now)) is not None:
        if take(
            slot=slot,
            queue=queue,
            annotator=annotator,
            now=now,
            arm=slot.arm or Arm.PRIORITY,
            arm_propensity=slot.arm_propensity,
        ):
            Skip.objects.filter(task=task, annotator=annotator, taken_back_at__isnull=True).update(taken_back_at=now)
            return Assignment.objects.get(pk=slot.pk)
    if task.assignments.done().filter(annotator=annotator).exists():
        raise SlotGone("you have already judged this task")
    raise SlotGone("other people have taken every slot of this task")


def bring_back(*, task: Task, annotator: User) -> None:
    """Open the slots that only this person's own skip took out for review, while no curator has settled it."""
    up = Skip.objects.filter(
        task=task, kind=Skip.Kind.REVIEW, taken_back_at__isnull=True, settled_at__isnull=True
    ).values_list("annotator", flat=True)
    if set(up) == {annotator.pk}:
        task.assignments.filter(state=Assignment.State.WITHDRAWN).update(state=Assignment.State.OPEN)


def held_by_token(
    *, assignment_id: uuid.UUID, annotator: User, lease_token: uuid.UUID, now: datetime
) -> AssignmentQuerySet:
    """Return the slot as a set of one while this very lease on it is live, else the empty set."""
    return Assignment.objects.held_by(annotator, now).filter(pk=assignment_id, lease_token=lease_token)


def lease_lost(*, assignment_id: uuid.UUID, annotator: User, now: datetime) -> LeaseLost:
    """Say whether the person could have a slot of the same task instead."""
    slot = Assignment.objects.filter(pk=assignment_id).select_related("task__queue").first()
    if slot is None or slot.task.queue.state != Queue.State.OPEN:
        return LeaseLost(slot_free=False)
    free = free_slot(task=slot.task, annotator=annotator, now=now)
    return LeaseLost(slot_free=free is not None)


def renew_lease(*, assignment_id: uuid.UUID, annotator: User, lease_token: uuid.UUID, now: datetime) -> Assignment:
    """Let the lease run anew from `now`. Raises LeaseLost."""
    live = held_by_token(assignment_id=assignment_id, annotator=annotator, lease_token=lease_token, now=now)
    slot = live.select_related("policy").first()
    if (
        slot is None
        or slot.policy is None
        or not live.update(lease_expires_at=now + timedelta(minutes=slot.policy.lease_minutes))
    ):
        raise lease_lost(assignment_id=assignment_id, annotator=annotator, now=now)
    slot.refresh_from_db(fields=["lease_expires_at"])
    return slot


@transaction.atomic
def skip(
    *,
    assignment_id: uuid.UUID,
    annotator: User,
    lease_token: uuid.UUID,
    kind: str = Skip.Kind.OTHERS,
    reason: str,
    note: str = "",
    active_seconds: float = 0.0,
    now: datetime,
) -> Skip:
    """Free the slot, and put the task off for this person, leave it to others, or take it out for review.

    `reclaim` takes any of it back while a slot is free. Raises LeaseLost, BadSkip.
    """
    if kind not in Skip.Kind.values:
        raise BadSkip("kind", f"{kind!r} is not one of {', '.join(Skip.Kind.values)}")
    if reason not in Skip.Reason.values:
        raise BadSkip("reason", f"{reason!r} is not one of {', '.join(Skip.Reason.values)}")
    note = note.strip()
    if len(note) > NOTE_LENGTH_LIMIT or "\x00" in note:
        raise BadSkip("note", f"write at most {NOTE_LENGTH_LIMIT:,} characters, without NUL")
    live = held_by_token(assignment_id=assignment_id, annotator=annotator, lease_token=lease_token, now=now)
    if not live.update(**FREED):
        raise lease_lost(assignment_id=assignment_id, annotator=annotator, now=now)
    task_id = Assignment.objects.values_list("task_id", flat=True).get(pk=assignment_id)
    if kind == Skip.Kind.REVIEW:
        Assignment.objects.filter(task_id=task_id, state=Assignment.State.OPEN).update(state=Assignment.State.WITHDRAWN)
    return Skip.objects.create(
        task_id=task_id,
        annotator=annotator,
        kind=kind,
        reason=reason,
        note=note,
        active_seconds=active_seconds,
        until=now + LATER if kind == Skip.Kind.LATER else None,
    )


FREED = {
    "state": Assignment.State.OPEN,
    "annotator": None,
    "lease_token": None,
    "leased_at": None,
    "lease_expires_at": None,
    "display_order": None,
    "guideline": None,
    "policy": None,
    "schema": None,
    "arm": "",
    "arm_propensity": None,
}
"""What an update sets on a slot that goes back to the queue."""
