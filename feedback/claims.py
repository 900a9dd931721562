"""Take a slot, keep it, pass it over. A slot changes hands by one conditional UPDATE whose row count decides.

On PostgreSQL a claim also locks the slot that it has picked (`FOR UPDATE SKIP LOCKED`), so that claimers do not queue
up behind each other, and the person's own row, so that two tabs of one person cannot take two slots. SQLite needs
neither: a transaction there holds the database's write lock from its first statement on.
"""

from __future__ import annotations

import random
import uuid
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef

from feedback.models import Assignment, Comparison, Draft, Queue, Skip, User
from feedback.models.queues import AssignmentQuerySet
from feedback.refusals import Refusal

NOTE_LENGTH_LIMIT = 2_000


class QueueNotOpen(Exception):
    """The queue is paused or closed; nothing new is handed out."""


class SlotGone(Exception):
    """No slot of the comparison is free for this person; the message says why."""


class LeaseLost(Exception):
    """The person no longer holds the slot: the lease ran out, somebody else has it, or it is done.

    `slot_free` tells whether `reclaim` would give the person a slot of the same comparison now.
    """

    def __init__(self, *, slot_free: bool) -> None:
        super().__init__("the lease on this comparison has run out" if slot_free else "the slot has moved on")
        self.slot_free = slot_free


class BadSkip(Refusal):
    """A comparison cannot be passed over as asked; `field` says which value is wrong."""


@transaction.atomic
def claim_next(*, queue: Queue, annotator: User, now: datetime) -> Assignment | None:
    """Return a slot that `annotator` holds under a lease, or None when the queue has nothing for them.

    In this order: the live lease the person already has in the queue; their own lease that ran out over a draft; the
    first free slot by priority. Never a comparison that the person has judged, holds or has skipped.
    Raises QueueNotOpen, unless a live lease is there to be finished.
    """
    lock_person(annotator)
    held = held_slot(queue=queue, annotator=annotator, now=now)
    if held is not None:
        return held
    queue.refresh_from_db(fields=["state"])
    if queue.state != Queue.State.OPEN:
        raise QueueNotOpen(f"{queue.name} is {queue.get_state_display().lower()}")
    for slots in (
        slots_with_draft(queue=queue, annotator=annotator, now=now),
        next_slots(queue=queue, annotator=annotator, now=now),
    ):
        while (slot := slots.select_for_update(skip_locked=True, of=("self",)).first()) is not None:
            if take(slot=slot, queue=queue, annotator=annotator, now=now):
                return held_slot(queue=queue, annotator=annotator, now=now)
    return None


def lock_person(person: User) -> None:
    User.objects.select_for_update(no_key=True).filter(pk=person.pk).values_list("pk", flat=True).first()


def held_slot(*, queue: Queue, annotator: User, now: datetime) -> Assignment | None:
    """Return the live lease that `annotator` has in the queue, the oldest one if there are two; changes nothing."""
    return (
        Assignment.objects.held_by(annotator, now).filter(queue=queue).with_task().order_by("leased_at", "pk").first()
    )


def slots_with_draft(*, queue: Queue, annotator: User, now: datetime) -> AssignmentQuerySet:
    """Return the slots of `annotator` whose lease ran out over a draft and that nobody has taken since."""
    drafts = Draft.objects.filter(comparison=OuterRef("comparison"), annotator=annotator)
    return (
        Assignment.objects.claimable(now).filter(Exists(drafts), queue=queue, annotator=annotator).order_by("leased_at")
    )


def next_slots(*, queue: Queue, annotator: User, now: datetime) -> AssignmentQuerySet:
    """Return the slots that may go to `annotator`, first come first; read along the index `assignment_claim_order`."""
    elsewhere = Assignment.objects.filter(comparison=OuterRef("comparison"), annotator=annotator)
    skipped = Skip.objects.filter(comparison=OuterRef("comparison"), annotator=annotator)
    return (
        Assignment.objects.claimable(now)
        .exclude(state=Assignment.State.DONE)  # says again what `claimable` implies, in the index's own words
        .filter(~Exists(elsewhere.exclude(pk=OuterRef("pk"))), ~Exists(skipped), queue=queue)
        .order_by("-priority", "order_key")
    )


def take(*, slot: Assignment, queue: Queue, annotator: User, now: datetime) -> bool:
    """Try to lease `slot`; False when somebody else was faster. The person's own slot keeps its display order."""
    pair = slot.comparison
    again = slot.annotator_id == annotator.pk and slot.shown_first_id is not None
    policy = queue.policy
    taken = (
        Assignment.objects.claimable(now)
        .filter(pk=slot.pk)
        .update(
            state=Assignment.State.LEASED,
            annotator=annotator,
            lease_token=uuid.uuid4(),
            leased_at=now,
            lease_expires_at=now + timedelta(minutes=policy.lease_minutes),
            shown_first=slot.shown_first_id if again else random.choice((pair.response_a_id, pair.response_b_id)),
            guideline=queue.guideline,
            policy=policy,
        )
    )
    return taken == 1


def free_slot(*, comparison: Comparison, annotator: User, now: datetime) -> Assignment | None:
    """Return a slot of `comparison` that `annotator` could take now, their own first; changes nothing."""
    slots = list(comparison.assignments.order_by("slot"))
    mine = next((slot for slot in slots if slot.annotator_id == annotator.pk), None)
    free = [slot for slot in slots if slot.is_claimable(now)]
    if mine is not None:
        return mine if mine in free else None
    return free[0] if free else None


@transaction.atomic
def reclaim(*, comparison: Comparison, annotator: User, now: datetime) -> Assignment:
    """Give `annotator` a fresh lease on a comparison they lost, or the live one they hold. Their draft stays.

    A skip of it is taken back: asking for the comparison by name says more. Raises SlotGone.
    """
    lock_person(annotator)
    queue = Queue.objects.get(pk=comparison.queue_id)
    held = Assignment.objects.held_by(annotator, now).filter(comparison=comparison).first()
    if held is not None:
        return held
    if queue.state != Queue.State.OPEN:
        raise SlotGone(f"the queue is {queue.get_state_display().lower()}; your text is kept")
    while (slot := free_slot(comparison=comparison, annotator=annotator, now=now)) is not None:
        if take(slot=slot, queue=queue, annotator=annotator, now=now):
            Skip.objects.filter(comparison=comparison, annotator=annotator).delete()
            return Assignment.objects.get(pk=slot.pk)
    if comparison.assignments.done().filter(annotator=annotator).exists():
        raise SlotGone("you have already judged this comparison")
    raise SlotGone("other people have taken every slot of this comparison")


def held_by_token(
    *, assignment_id: uuid.UUID, annotator: User, lease_token: uuid.UUID, now: datetime
) -> AssignmentQuerySet:
    """Return the slot as a set of one while this very lease on it is live, else the empty set."""
    return Assignment.objects.held_by(annotator, now).filter(pk=assignment_id, lease_token=lease_token)


def lease_lost(*, assignment_id: uuid.UUID, annotator: User, now: datetime) -> LeaseLost:
    """Say whether the person could have a slot of the same comparison instead."""
    slot = Assignment.objects.filter(pk=assignment_id).select_related("comparison__queue").first()
    if slot is None or slot.comparison.queue.state != Queue.State.OPEN:
        return LeaseLost(slot_free=False)
    free = free_slot(comparison=slot.comparison, annotator=annotator, now=now)
    return LeaseLost(slot_free=free is not None)


def renew_lease(*, assignment_id: uuid.UUID, annotator: User, lease_token: uuid.UUID, now: datetime) -> Assignment:
    """Let the lease run anew from `now`. Raises LeaseLost."""
    held = held_by_token(assignment_id=assignment_id, annotator=annotator, lease_token=lease_token, now=now)
    slot = held.select_related("policy").first()
    if (
        slot is None
        or slot.policy is None
        or not held.update(lease_expires_at=now + timedelta(minutes=slot.policy.lease_minutes))
    ):
        raise lease_lost(assignment_id=assignment_id, annotator=annotator, now=now)
    slot.refresh_from_db(fields=["lease_expires_at"])
    return slot


@transaction.atomic
def skip(
    *, assignment_id: uuid.UUID, annotator: User, lease_token: uuid.UUID, reason: str, note: str = "", now: datetime
) -> Skip:
    """Free the slot for others and do not offer the comparison to this person again. Raises LeaseLost, BadSkip."""
    if reason not in Skip.Reason.values:
        raise BadSkip("reason", f"{reason!r} is not one of {', '.join(Skip.Reason.values)}")
    note = note.strip()
    if len(note) > NOTE_LENGTH_LIMIT or "\x00" in note:
        raise BadSkip("note", f"write at most {NOTE_LENGTH_LIMIT:,} characters, without NUL")
    held = held_by_token(assignment_id=assignment_id, annotator=annotator, lease_token=lease_token, now=now)
    freed = held.update(
        state=Assignment.State.OPEN,
        annotator=None,
        lease_token=None,
        leased_at=None,
        lease_expires_at=None,
        shown_first=None,
        guideline=None,
        policy=None,
    )
    if not freed:
        raise lease_lost(assignment_id=assignment_id, annotator=annotator, now=now)
    comparison_id = Assignment.objects.values_list("comparison_id", flat=True).get(pk=assignment_id)
    passed_over, _ = Skip.objects.update_or_create(
        comparison_id=comparison_id, annotator=annotator, defaults={"reason": reason, "note": note}
    )
    return passed_over
