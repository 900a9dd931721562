"""Find the next slot for a person in a queue's order, at a cost that grows neither with the queue nor with their work.

The order is (priority, order key): two indexes hold it, one for all languages (`assignment_claim_order`) and one with
the language before it (`assignment_language_order`). Reading it from the front would make a person read past
every task that they have judged and that waits for others. So a person goes on from their *place*: the furthest slot
that the queue's order has given them lately. Whatever stands before it was not for them then (`Assignment.chosen_at`);
since then it can only have become so by being opened (`opened_at`) or by a lease that ran out, and both are found
along an index of their own. A new policy, and a slot that was moved in the order, make a place void.

A transaction that took longer than MARGIN to commit can hide a slot before somebody's place. It is not lost: nobody is
told that nothing is left before the queue was read from the front.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from feedback.eligibility import languages_of
from feedback.models import Assignment, Judgment, Queue, Skip, User
from feedback.models.tasks import AssignmentQuerySet, SkipQuerySet

LATEST = 40
"""Of so many of a person's latest judgments the furthest is their place: a few urgent tasks do not throw them back."""
EVENTS_LIMIT = 200
"""After more changes than these (a large import), reading from the front is cheaper."""
MARGIN = timedelta(minutes=5)
PUT_OFF_LIMIT = 50

ORDER = ("-priority", "order_key", "slot")


@dataclass(frozen=True)
class Place:
    priority: float
    order_key: float
    since: datetime
    """When everything before it was not for the person."""

    def is_after(self, priority: float, order_key: float) -> bool:
        return (-priority, order_key) < (-self.priority, self.order_key)


@dataclass(frozen=True)
class Reader:
    """One person who looks for work in one queue, at one time. `queue` comes with its policy."""

    queue: Queue
    annotator: User
    now: datetime
    without: frozenset[uuid.UUID] = frozenset()
    """Assignments that the person has before them already."""

    def lanes(self) -> Sequence[str | None]:
        """Return the languages whose order is read, "" for tasks without one; [None] for the order of all."""
        if self.queue.policy is None or not self.queue.policy.route_by_language:
            return [None]
        return sorted({"", *languages_of(self.annotator)})

    def slots(self, lane: str | None) -> AssignmentQuerySet:
        """Return the free slots that may go to the person, in no order."""
        elsewhere = Assignment.objects.filter(task=OuterRef("task"), annotator=self.annotator)
        slots = (
            Assignment.objects.claimable(self.now)
            .filter(queue=self.queue, reserved_for__isnull=True)
            .filter(~Exists(elsewhere.exclude(pk=OuterRef("pk"))), ~Exists(self.passed_over()), ~Exists(kept_out()))
        )
        if lane is not None:
            slots = slots.filter(language=lane)
        return slots.exclude(pk__in=self.without) if self.without else slots

    def passed_over(self) -> SkipQuerySet:
        """Return the skips for which the outer slot's task is not offered to the person now."""
        mine = Skip.objects.standing().filter(task=OuterRef("task"), annotator=self.annotator)
        return mine.filter(Q(until__isnull=True) | Q(until__gt=self.now))

    def from_the_front(self, lane: str | None) -> AssignmentQuerySet:
        return self.slots(lane).order_by(*ORDER)

    def from_place(self, lane: str | None, place: Place) -> Iterator[AssignmentQuerySet]:
        """Yield what follows the place, as two ranges of one index: at its priority, and below."""
        here = self.slots(lane).filter(priority=place.priority, order_key__gte=place.order_key)
        yield here.order_by("order_key", "slot")
        yield self.slots(lane).filter(priority__lt=place.priority).order_by(*ORDER)

    def at_random(self, lane: str | None, key: float) -> AssignmentQuerySet:
        """Return the slots from a point on in an order that has nothing to do with priority."""
        return self.slots(lane).filter(random_key__gte=key).order_by("random_key")

    def places(self) -> dict[str | None, Place]:
        """Return the person's place in each lane, and under None the one in the order of all."""
        assert self.queue.policy is not None, "an open queue has its policy"
        latest = (
            Judgment.objects.filter(annotator=self.annotator, queue=self.queue, revision=1)
            .order_by("-created_at")
            .values_list(
                "assignment__policy_id",
                "assignment__language",
                "assignment__priority",
                "assignment__order_key",
                "assignment__opened_at",
                "assignment__chosen_at",
            )[:LATEST]
        )
        places: dict[str | None, Place] = {}
        for policy_id, language, priority, order_key, opened_at, chosen_at in latest:
            if policy_id != self.queue.policy.pk or chosen_at is None or opened_at > chosen_at:
                continue
            for lane in (None, language):
                if lane not in places or not places[lane].is_after(priority, order_key):
                    places[lane] = Place(priority, order_key, chosen_at)
        return places

    def reopened(self, since: datetime) -> list[tuple[uuid.UUID, str, float, float]] | None:
        """Return id, language and place of the slots that became free since then; None if they are too many.

        A task that the person put off and that is due again counts as too many: its slots are anywhere.
        """
        fields = ("pk", "language", "priority", "order_key")
        mine = Assignment.objects.filter(queue=self.queue, reserved_for__isnull=True).order_by()
        opened = mine.filter(state=Assignment.State.OPEN, opened_at__gt=since - MARGIN)
        ended = mine.filter(
            state=Assignment.State.LEASED, lease_expires_at__gt=since - MARGIN, lease_expires_at__lte=self.now
        )
        due = Skip.objects.filter(annotator=self.annotator, until__gt=since, until__lte=self.now)
        if due.exists():
            return None
        rows = list(opened.values_list(*fields).union(ended.values_list(*fields), all=True)[: EVENTS_LIMIT + 1])
        return rows if len(rows) <= EVENTS_LIMIT else None

    def in_order(self) -> Iterator[tuple[str | None, list[AssignmentQuerySet]]]:
        """Yield each lane with the sets of slots that it is read by: the first slot of the first set is the next one.

        Sets of a lane hold no slot twice, unless the reading starts from the front.
        """
        lanes = self.lanes()
        places = {lane: place for lane, place in self.places().items() if lane in lanes}
        since = min((place.since for place in places.values()), default=None)
        rows = self.reopened(since) if since is not None else None
        for lane in lanes:
            place = places.get(lane)
            if place is None or rows is None:
                yield lane, [self.from_the_front(lane)]
                continue
            early = [
                pk
                for pk, language, priority, order_key in rows
                if lane in (None, language) and place.is_after(priority, order_key)
            ]
            before = [self.slots(lane).filter(pk__in=early).order_by(*ORDER)] if early else []
            yield lane, [*before, *self.from_place(lane, place)]


def kept_out() -> SkipQuerySet:
    """Return the skips by anybody for which nobody gets the outer slot's task."""
    return Skip.objects.keeping_out().filter(task=OuterRef("task"))


def next_slot(reader: Reader) -> Assignment | None:
    """Return the slot that is next for the person in the queue's order, locked where the database locks rows."""
    found = []
    for lane, sets in reader.in_order():
        slot = next((slot for slots in sets if (slot := first_of(slots)) is not None), None)
        if slot is None and len(sets) > 1:
            slot = first_of(reader.from_the_front(lane))
        if slot is not None:
            found.append(slot)
    return min(found, key=lambda slot: (-slot.priority, slot.order_key, slot.slot or 0), default=None)


def random_slot(reader: Reader, key: float) -> Assignment | None:
    """Return the free slot that follows `key` in the random order, which goes round."""
    for start in (key, 0.0):
        found = [slot for lane in reader.lanes() if (slot := first_of(reader.at_random(lane, start))) is not None]
        if found:
            return min(found, key=lambda slot: slot.random_key)
    return None


def put_off_slot(reader: Reader) -> Assignment | None:
    """Return a free slot of the task that the person put off first, though it is not due yet."""
    mine = Skip.objects.standing().filter(annotator=reader.annotator, task__queue=reader.queue)
    tasks = list(mine.filter(until__gt=reader.now).order_by("until").values_list("task", flat=True)[:PUT_OFF_LIMIT])
    if not tasks:
        return None
    elsewhere = Assignment.objects.filter(task=OuterRef("task"), annotator=reader.annotator)
    for_good = mine.filter(task=OuterRef("task"), until__isnull=True)
    free = (
        Assignment.objects.claimable(reader.now)
        .filter(Q(reserved_for__isnull=True) | Q(reserved_for=reader.annotator), task__in=tasks)
        .filter(~Exists(elsewhere.exclude(pk=OuterRef("pk"))), ~Exists(for_good), ~Exists(kept_out()))
        .exclude(pk__in=reader.without)
    )
    return min(free, key=lambda slot: (tasks.index(slot.task_id), slot.slot or 0), default=None)


def count_left(reader: Reader, limit: int) -> int:
    """Count the tasks that the queue's order still has for the person, up to `limit`."""
    left = 0
    for _, sets in reader.in_order():
        for slots in sets:
            if left < limit:
                left += slots.order_by().values("task").distinct()[: limit - left].count()
    return left


def first_of(slots: AssignmentQuerySet) -> Assignment | None:
    return slots.select_for_update(skip_locked=True, of=("self",)).first()
