"""Take a slot, keep it, pass it over. A slot changes hands by one conditional UPDATE whose row count decides.

On PostgreSQL a claim also locks the slot that it has picked (`FOR UPDATE SKIP LOCKED`), so that claimers do not queue
up behind each other, and the person's own row, so that two tabs of one person cannot take two slots. SQLite needs
neither: a transaction there holds the database's write lock from its first statement on.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_noop

from feedback.arms import CHANCE, arm_shares, draw_arm, gold_slot, repeat_slot
from feedback.eligibility import NotEligible, check_eligible
from feedback.leases import FREED, FREED_FOR_ONE, Lease, read_queue
from feedback.locks import lock_person, lock_task
from feedback.models import Arm, Assignment, Draft, Gold, Qualification, Queue, Skip, Task, User
from feedback.models.tasks import AssignmentQuerySet
from feedback.places import Reader, adjudicated_by, next_slot, passed_over, put_off_slot, random_slot
from feedback.prepared import prepared
from feedback.refusals import Refusal
from feedback.settling import open_again

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
def claim_next(
    *,
    queue: Queue,
    annotator: User,
    now: datetime,
    beside: Iterable[uuid.UUID] = (),
    chance: random.Random = CHANCE,
) -> Assignment | None:
    """Return a slot that `annotator` holds under a lease, or None when the queue has nothing for them.

    In this order: a live lease that the person already has in the queue; their own lease that ran out over a draft; a
    slot that is reserved for them; what `feedback.arms` draws. Never a task that the person has judged, adjudicated,
    holds or has passed over; one that they only put off comes back before its time when nothing else is left. `beside`
    names the assignments that the person has before them: a page that fetches the next task ahead gets another one.
    Raises QueueNotOpen and NotEligible, unless a live lease is there to be finished.
    """
    lock_person(annotator)
    without = frozenset(beside)
    mine = [own for own in own_slots(queue=queue, annotator=annotator, now=now) if own.pk not in without]
    for own in mine:
        if own.is_live(annotator, now):
            return held(own.pk)
    queue = read_queue(queue.pk)
    if queue.state != Queue.State.OPEN:
        raise QueueNotOpen(f"{queue.name} is {queue.get_state_display().lower()}")
    check_eligible(queue=queue, annotator=annotator, now=now)
    lease = Lease(queue=queue, annotator=annotator, now=now)
    for own in mine:
        if own.comes_first(annotator) and (taken := lease.take_own(own.pk)):
            return taken
    if queue.is_qualification:
        return claim_test(lease=lease, chance=chance)
    return claim_drawn(lease=lease, without=without, chance=chance)


def claim_drawn(*, lease: Lease, without: frozenset[uuid.UUID], chance: random.Random) -> Assignment | None:
    """Draw an arm and take what it gives; whoever is faster at a slot makes this person look again."""
    queue, annotator, now = lease.queue, lease.annotator, lease.now
    reader = Reader(queue=queue, annotator=annotator, now=now, without=without)
    slot = next_slot(reader)
    if slot is not None:
        shares = arm_shares(queue=queue, annotator=annotator, now=now)
        arm = draw_arm(shares, chance)
        if arm == Arm.GOLD and (made := gold_slot(queue=queue, annotator=annotator, chance=chance)):
            return lease.start(made, arm=arm, propensity=shares[arm])
        if arm == Arm.REPEAT and (made := repeat_slot(queue=queue, annotator=annotator, now=now, chance=chance)):
            return lease.start(made, arm=arm, propensity=shares[arm])
        if arm == Arm.RANDOM:
            while (slot := random_slot(reader, chance.random())) is not None:
                if taken := lease.take(slot.pk, arm=arm, propensity=shares[arm]):
                    return taken
        while (slot := slot or next_slot(reader)) is not None:
            if taken := lease.take(slot.pk, arm=Arm.PRIORITY, propensity=shares.get(Arm.PRIORITY, 1.0), chosen=True):
                return taken
            slot = None
    while (put_off := put_off_slot(reader)) is not None:
        if put_off.reserved_for_id is not None:  # gold, a repeat, or given by a curator: why they have it stays true
            taken = lease.take_own(put_off.pk)
        else:
            taken = lease.take(put_off.pk, arm=Arm.PRIORITY, propensity=1.0)
        if taken:
            return taken
    return None


def claim_test(*, lease: Lease, chance: random.Random) -> Assignment | None:
    """Give the next task of a qualification test, as many as its pass rule needs and no more once it is decided."""
    queue, annotator = lease.queue, lease.annotator
    assert queue.policy is not None, "an open queue has its policy"
    if Qualification.objects.filter(queue=queue, person=annotator).exists():
        return None
    begun = Assignment.objects.filter(queue=queue, annotator=annotator).order_by()
    if begun[: queue.policy.pass_judgments].count() >= queue.policy.pass_judgments:
        return None
    made = gold_slot(queue=queue, annotator=annotator, chance=chance)
    return lease.start(made, arm=Arm.GOLD, propensity=1.0) if made else None


class OwnSlot(NamedTuple):
    """A slot that is leased to the person or reserved for them."""

    pk: uuid.UUID
    annotator_id: int | None
    reserved_for_id: int | None
    state: str
    leased_at: datetime | None
    lease_expires_at: datetime | None
    has_draft: bool
    is_passed_over: bool

    def is_live(self, annotator: User, now: datetime) -> bool:
        return self.annotator_id == annotator.pk and self.lease_expires_at is not None and self.lease_expires_at > now

    def comes_first(self, annotator: User) -> bool:
        """Tell of a slot that is not live whether the person gets it before any other.

        Their lease on it ran out over a draft, or it is reserved for them and they have not passed it over.
        """
        is_given = self.reserved_for_id == annotator.pk and not self.is_passed_over
        return is_given or (self.annotator_id == annotator.pk and self.has_draft)


@prepared
def slots_of_person(*, queue: Any, annotator: Any, now: Any) -> models.QuerySet[Assignment, Any]:
    drafts = Draft.objects.filter(task=OuterRef("task"), annotator=annotator)
    in_queue = (
        Assignment.objects.filter(queue=queue)
        .annotate(
            has_draft=Exists(drafts),
            is_passed_over=Exists(passed_over(annotator=annotator, now=now)),
        )
        .values_list(*OwnSlot._fields)
    )
    # Two sets in one statement: an OR would be read along neither of their indexes.
    leased = in_queue.filter(annotator=annotator, state=Assignment.State.LEASED)
    given = in_queue.filter(
        ~Exists(adjudicated_by(annotator)),
        reserved_for=annotator,
        state__in=[Assignment.State.OPEN, Assignment.State.LEASED],
    )
    return leased.union(given)


def own_slots(*, queue: Queue, annotator: User, now: datetime) -> list[OwnSlot]:
    """Return what the person holds, has held or shall get in the queue, what they have held longest first."""
    rows = slots_of_person.all(queue=queue.pk, annotator=annotator.pk, now=now)
    return sorted((OwnSlot(*row) for row in rows), key=lambda own: (own.leased_at or now, own.pk))


def held(slot_id: uuid.UUID) -> Assignment:
    """Read a slot that was found, with all that its page shows."""
    return Assignment.objects.with_task().get(pk=slot_id)


def held_slot(*, queue: Queue, annotator: User, now: datetime) -> Assignment | None:
    """Return the live lease that `annotator` has in the queue, the oldest one if there are two; changes nothing."""
    return (
        Assignment.objects.held_by(annotator, now).filter(queue=queue).with_task().order_by("leased_at", "pk").first()
    )


def free_slot(*, task: Task, annotator: User, now: datetime) -> Assignment | None:
    """Return a slot of `task` that `annotator` could take now, their own first; changes nothing."""
    slots = list(task.assignments.order_by("slot", "pk"))
    mine = next((slot for slot in slots if annotator.pk in (slot.annotator_id, slot.reserved_for_id)), None)
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
    lock_task(task.pk)
    queue = read_queue(task.queue_id)
    live = Assignment.objects.held_by(annotator, now).filter(task=task).first()
    if live is not None:
        return live
    if queue.state != Queue.State.OPEN:
        raise SlotGone(f"the queue is {queue.get_state_display().lower()}; your text is kept")
    if task.assignments.done().filter(annotator=annotator).exists():
        raise SlotGone(gettext_noop("you have already judged this task"))
    if task.adjudications.filter(adjudicator=annotator).exists():
        raise SlotGone(gettext_noop("you have adjudicated this task, so you no longer judge it"))
    try:
        check_eligible(queue=queue, annotator=annotator, now=now)
    except NotEligible as refusal:
        raise SlotGone(f"{refusal}; your text is kept") from refusal
    if not Task.objects.filter(pk=task.pk, withdrawn_at__isnull=False).exists():
        bring_back(task=task, annotator=annotator, now=now)
    lease = Lease(queue=queue, annotator=annotator, now=now)
    while (slot := free_slot(task=task, annotator=annotator, now=now)) is not None:
        is_mine = annotator.pk in (slot.annotator_id, slot.reserved_for_id)
        if lease.take_own(slot.pk) if is_mine else lease.take(slot.pk, arm=Arm.ASKED, propensity=1.0):
            Skip.objects.standing().filter(task=task, annotator=annotator).update(taken_back_at=now)
            return Assignment.objects.get(pk=slot.pk)
    raise SlotGone(gettext_noop("other people have taken every slot of this task"))


def bring_back(*, task: Task, annotator: User, now: datetime) -> None:
    """Open what only this person's own skip has closed, while no curator has settled it; the task is locked."""
    closed = task.assignments.filter(state=Assignment.State.WITHDRAWN)
    if Skip.objects.standing().filter(task=task, annotator=annotator, settled_at__isnull=True).exists():
        made_for_them = Q(slot__isnull=True) | Q(task__gold__isnull=False)
        closed.filter(made_for_them, reserved_for=annotator).update(state=Assignment.State.OPEN, opened_at=now)
    if set(Skip.objects.up_for_review().filter(task=task).values_list("annotator", flat=True)) == {annotator.pk}:
        open_again(task_id=task.pk, now=now)


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
    if (task_id := live.values_list("task_id", flat=True).first()) is not None:
        lock_task(task_id)  # a curator who makes it gold or takes it out at this moment does so before, or after
    slot = live.first()
    if slot is None or not live.update(**after_skip(slot=slot, kind=kind, now=now)):
        raise lease_lost(assignment_id=assignment_id, annotator=annotator, now=now)
    if kind == Skip.Kind.REVIEW:
        Assignment.objects.filter(task=slot.task_id, state=Assignment.State.OPEN).update(
            state=Assignment.State.WITHDRAWN
        )
    return Skip.objects.create(
        task_id=slot.task_id,
        annotator=annotator,
        kind=kind,
        reason=reason,
        note=note,
        active_seconds=active_seconds,
        until=now + LATER if kind == Skip.Kind.LATER else None,
    )


def after_skip(*, slot: Assignment, kind: str, now: datetime) -> dict[str, Any]:
    """Return what an update sets on a slot that its holder passes over.

    One that was made for the person goes to nobody else. One that a curator gave them goes to everybody, unless they
    only put it off. Nothing of a task that is out for review, or that a curator took out, is opened.
    """
    if slot.slot is None or Gold.objects.filter(task=slot.task_id).exists():
        state = Assignment.State.OPEN if kind == Skip.Kind.LATER else Assignment.State.WITHDRAWN
        return {**FREED_FOR_ONE, "state": state, "opened_at": now, "reserved_for_id": slot.annotator_id}
    out = (
        kind == Skip.Kind.REVIEW
        or Task.objects.filter(pk=slot.task_id, withdrawn_at__isnull=False).exists()
        or Skip.objects.keeping_out().filter(task=slot.task_id).exists()
    )
    return {
        **FREED,
        "state": Assignment.State.WITHDRAWN if out else Assignment.State.OPEN,
        "opened_at": now,
        "reserved_for_id": slot.reserved_for_id if kind == Skip.Kind.LATER else None,
    }
