"""Find the next slot for a person in a queue's order, at a cost that grows neither with the queue nor with their work.

The order is (priority, order key): two indexes hold it, one for all languages (`assignment_claim_order`) and one with
the language before it (`assignment_language_order`). Reading it from the front would make a person read past
every task that they have judged and that waits for others. So a person goes on from their *place*: the furthest slot
that the queue's order has given them lately. Whatever stands before it was not for them then (`Assignment.chosen_at`);
since then it can only have become so by being opened (`opened_at`) or by a lease that ran out, and both are found
along an index of their own. A new policy, and a slot that was moved in the order, make a place void.

Every set of slots is a queryset that a function here makes (`free_slots`, `from_the_front`, `at_place`, ...), and that
is compiled once (feedback.prepared).

A transaction that took longer than MARGIN to commit can hide a slot before somebody's place. It is not lost: nobody is
told that nothing is left before the queue was read from the front.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from inspect import Parameter, Signature
from typing import Any, NamedTuple

from django.db import models
from django.db.models import Case, Exists, OuterRef, Q, Value, When

from feedback.eligibility import languages_of
from feedback.models import Adjudication, Assignment, Judgment, Queue, Skip, User
from feedback.models.skips import SkipQuerySet
from feedback.models.tasks import AssignmentQuerySet
from feedback.prepared import prepared, prepared_for_each

LATEST = 12
"""Of so many of a person's latest judgments the furthest is their place: a few urgent tasks do not throw them back."""
EVENTS_LIMIT = 50
"""After more changes than these (a large import), reading from the front is cheaper."""
MARGIN = timedelta(minutes=1)
PUT_OFF_LIMIT = 50
LEFT_LIMIT = 100
"""Tasks that are counted as left; above it there are "more than" so many."""

ORDER = ("-priority", "order_key", "slot")


class Found(NamedTuple):
    """A free slot, and where it stands in the two orders."""

    pk: uuid.UUID
    priority: float
    order_key: float
    slot: int
    random_key: float


@dataclass(frozen=True)
class Place:
    priority: float
    order_key: float
    since: datetime
    """When everything before it was not for the person."""

    def is_after(self, priority: float, order_key: float) -> bool:
        return (-priority, order_key) < (-self.priority, self.order_key)


# Sets of slots. `queue` and `annotator` are ids; `lane` is a language ("" = none), left out in the order of all.


def free_slots(*, queue: uuid.UUID, annotator: int, now: datetime, **lane: str) -> AssignmentQuerySet:
    """Return the slots that nobody holds and that may go to the person, in no order."""
    elsewhere = Assignment.objects.filter(task=OuterRef("task"), annotator=annotator).exclude(pk=OuterRef("pk"))
    # CASE keeps PostgreSQL from joining all that the person has done to all that is free, before it has statistics.
    not_theirs = Case(
        When(Exists(elsewhere), then=Value(False)),
        When(Exists(adjudicated_by(annotator)), then=Value(False)),
        default=Value(True),
    )
    slots = (
        Assignment.objects.claimable(now)
        .filter(queue=queue, reserved_for__isnull=True)
        .filter(not_theirs, ~Exists(passed_over(annotator=annotator, now=now)), ~Exists(kept_out()))
    )
    return slots.filter(language=lane["lane"]) if lane else slots


def passed_over(*, annotator: int, now: datetime) -> SkipQuerySet:
    """Return the skips for which the outer slot's task is not offered to the person now."""
    mine = Skip.objects.standing().filter(task=OuterRef("task"), annotator=annotator)
    return mine.filter(Q(until__isnull=True) | Q(until__gt=now))


def adjudicated_by(annotator: int | User) -> models.QuerySet[Adjudication]:
    """Return what the person settled the outer slot's task on: who has, has seen what others said, and judges no more.

    One that was taken back counts too.
    """
    return Adjudication.objects.filter(task=OuterRef("task"), adjudicator=annotator).order_by()


def kept_out() -> SkipQuerySet:
    """Return the skips by anybody for which nobody gets the outer slot's task."""
    return Skip.objects.keeping_out().filter(task=OuterRef("task"))


def from_the_front(**who: Any) -> AssignmentQuerySet:
    return free_slots(**who).order_by(*ORDER)


def at_place(*, priority: float, order_key: float, **who: Any) -> AssignmentQuerySet:
    """Return what follows a place at its own priority; with `below_place` one range of the index, said in two."""
    return free_slots(**who).filter(priority=priority, order_key__gte=order_key).order_by("order_key", "slot")


def below_place(*, priority: float, **who: Any) -> AssignmentQuerySet:
    return free_slots(**who).filter(priority__lt=priority).order_by(*ORDER)


def at_random(*, random_key: float, **who: Any) -> AssignmentQuerySet:
    """Return the slots from a point on in an order that has nothing to do with priority."""
    return free_slots(**who).filter(random_key__gte=random_key).order_by("random_key")


def latest_places(*, queue: uuid.UUID, annotator: int, now: datetime) -> models.QuerySet[Judgment, Any]:
    """Return where the tasks of the person's latest judgments stand in the queue's order, and since when.

    `is_due`: a task that they had put off has come back since, and its slots are anywhere.
    """
    due = Skip.objects.filter(annotator=annotator, until__gt=OuterRef("assignment__chosen_at"), until__lte=now)
    latest = Judgment.objects.filter(annotator=annotator, queue=queue, revision=1).annotate(is_due=Exists(due))
    fields = ("policy_id", "language", "priority", "order_key", "opened_at", "chosen_at")
    return latest.order_by("-created_at").values_list(*(f"assignment__{field}" for field in fields), "is_due")[:LATEST]


def freed_since(*, queue: uuid.UUID, since: datetime, now: datetime) -> models.QuerySet[Assignment, Any]:
    """Return the slots that were opened, or whose lease has run out, since then."""
    in_queue = Assignment.objects.filter(queue=queue, reserved_for__isnull=True)
    slots = in_queue.order_by().values_list("pk", "language", "priority", "order_key")
    opened = slots.filter(state=Assignment.State.OPEN, opened_at__gt=since)
    ended = slots.filter(state=Assignment.State.LEASED, lease_expires_at__gt=since, lease_expires_at__lte=now)
    return opened.union(ended, all=True)[: EVENTS_LIMIT + 1]


# The same, compiled


WHO = ("queue", "annotator", "now")


def compiled(make: Callable[..., models.QuerySet[Any, Any]], *names: str) -> prepared[tuple[Any, ...]]:
    """Return a set of slots as a statement; `names` are the values that it takes.

    How much of a queue is in a language differs too much for one plan to suit all.
    """

    def build(**given: Any) -> models.QuerySet[Any, Any]:
        return make(**given)

    build.__signature__ = Signature([Parameter(name, Parameter.KEYWORD_ONLY) for name in names])  # type: ignore[attr-defined]
    return prepared_for_each(build) if "lane" in names else prepared(build)


class First:
    """Find the first slot of a set, locked where the database locks rows, in one lane or in the order of all."""

    def __init__(self, make: Callable[..., AssignmentQuerySet], *names: str) -> None:
        def first(**given: Any) -> models.QuerySet[Assignment, Any]:
            return make(**given).select_for_update(skip_locked=True).values_list(*Found._fields)[:1]

        self.make = make
        self.of_all = compiled(first, *WHO, *names)
        self.of_lane = compiled(first, *WHO, *names, "lane")

    def found(self, reader: Reader, lane: str | None, **where: float) -> Found | None:
        who = reader.who(lane)
        row = (self.of_all if lane is None else self.of_lane).first(**who, **where)
        if row is not None and row[0] in reader.without:  # rare: its lease ran out while the task is on the screen
            others = self.make(**who, **where).exclude(pk__in=reader.without)
            row = others.values_list(*Found._fields).first()
        return Found(*row) if row is not None else None


class Left:
    """Count the tasks of a set, up to one more than LEFT_LIMIT, by reading so many slots as a claim would."""

    def __init__(self, make: Callable[..., AssignmentQuerySet], *names: str) -> None:
        self.make = make
        self.names = names
        self.kept: dict[tuple[int, bool], prepared[tuple[Any, ...]]] = {}

    def count(self, reader: Reader, lane: str | None, **where: float) -> int:
        most = reader.most_slots()
        if (most, lane is None) not in self.kept:
            self.kept[most, lane is None] = self.slots(most, () if lane is None else ("lane",))
        rows = self.kept[most, lane is None].all(**reader.who(lane), **where)
        return len(set(rows))

    def slots(self, most: int, lane: tuple[str, ...]) -> prepared[tuple[Any, ...]]:
        def tasks(**given: Any) -> models.QuerySet[Assignment, Any]:
            # DISTINCT would make PostgreSQL sort the queue.
            return self.make(**given).values_list("task")[: most * (LEFT_LIMIT + 1)]

        return compiled(tasks, *WHO, *self.names, *lane)


PLACES = compiled(latest_places, *WHO)
FREED = compiled(freed_since, "queue", "since", "now")
FRONT, FRONT_LEFT = First(from_the_front), Left(from_the_front)
HERE, HERE_LEFT = First(at_place, "priority", "order_key"), Left(at_place, "priority", "order_key")
BELOW, BELOW_LEFT = First(below_place, "priority"), Left(below_place, "priority")
RANDOM = First(at_random, "random_key")


@dataclass(frozen=True)
class Reader:
    """One person who looks for work in one queue, at one time. `queue` comes with its policy."""

    queue: Queue
    annotator: User
    now: datetime
    without: frozenset[uuid.UUID] = frozenset()
    """Assignments that the person has before them already."""

    def who(self, lane: str | None) -> dict[str, Any]:
        who = {"queue": self.queue.pk, "annotator": self.annotator.pk, "now": self.now}
        return who if lane is None else {**who, "lane": lane}

    def most_slots(self) -> int:
        """Return how many slots a task has at most, by the policy of now."""
        policy = self.queue.policy
        assert policy is not None, "an open queue has its policy"
        return max(policy.overlap, policy.evaluation_overlap or 1, policy.overlap_cap or 1)

    def lanes(self) -> Sequence[str | None]:
        """Return the languages whose order is read, "" for tasks without one; [None] for the order of all."""
        if self.queue.policy is None or not self.queue.policy.route_by_language:
            return [None]
        return sorted({"", *languages_of(self.annotator)})

    def places(self) -> dict[str | None, Place]:
        """Return the person's place in each lane, and under None the one in the order of all."""
        assert self.queue.policy is not None, "an open queue has its policy"
        policy = self.queue.policy.pk
        places: dict[str | None, Place] = {}
        for policy_id, language, priority, order_key, opened_at, chosen_at, is_due in PLACES.all(**self.who(None)):
            if policy_id != policy or chosen_at is None or opened_at > chosen_at or is_due:
                continue
            for lane in (None, language):
                if lane not in places or not places[lane].is_after(priority, order_key):
                    places[lane] = Place(priority, order_key, chosen_at)
        return places

    def freed(self, since: datetime) -> list[tuple[uuid.UUID, str, float, float]] | None:
        """Return id, language and place of the slots that became free since then; None if they are too many."""
        rows = FREED.all(queue=self.queue.pk, since=since - MARGIN, now=self.now)
        return rows if len(rows) <= EVENTS_LIMIT else None

    def known_lanes(self) -> list[tuple[str | None, Place | None, list[uuid.UUID]]]:
        """Return each lane with the person's place in it, and the slots before the place that became free since.

        Without a place the lane is read from the front.
        """
        lanes = self.lanes()
        places = {lane: place for lane, place in self.places().items() if lane in lanes}
        since = min((place.since for place in places.values()), default=None)
        rows = self.freed(since) if since is not None else None
        known: list[tuple[str | None, Place | None, list[uuid.UUID]]] = []
        for lane in lanes:
            place = places.get(lane) if rows is not None else None
            early = [
                pk
                for pk, language, priority, order_key in rows or ()
                if place is not None and lane in (None, language) and place.is_after(priority, order_key)
            ]
            known.append((lane, place, early))
        return known

    def early_slots(self, lane: str | None, ids: list[uuid.UUID]) -> AssignmentQuerySet:
        return free_slots(**self.who(lane)).filter(pk__in=ids).exclude(pk__in=self.without)


def next_slot(reader: Reader) -> Found | None:
    """Return the slot that is next for the person in the queue's order, locked where the database locks rows."""
    found = [
        slot
        for lane, place, early in reader.known_lanes()
        if (slot := next_in_lane(reader, lane, place, early)) is not None
    ]
    return min(found, key=lambda slot: (-slot.priority, slot.order_key, slot.slot), default=None)


def next_in_lane(reader: Reader, lane: str | None, place: Place | None, early: list[uuid.UUID]) -> Found | None:
    if early:
        slots = reader.early_slots(lane, early).select_for_update(skip_locked=True)
        first = slots.order_by(*ORDER).values_list(*Found._fields).first()
        if first is not None:
            return Found(*first)
    if place is not None:
        slot = HERE.found(reader, lane, priority=place.priority, order_key=place.order_key)
        if slot := slot or BELOW.found(reader, lane, priority=place.priority):
            return slot
    return FRONT.found(reader, lane)


def random_slot(reader: Reader, key: float) -> Found | None:
    """Return the free slot that follows `key` in the random order, which goes round."""
    for start in (key, 0.0):
        found = [slot for lane in reader.lanes() if (slot := RANDOM.found(reader, lane, random_key=start)) is not None]
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
        .filter(~Exists(adjudicated_by(reader.annotator)))
        .exclude(pk__in=reader.without)
    )
    # Of one task the slot that is theirs: two slots of it must not be one person's.
    return min(
        free,
        key=lambda slot: (tasks.index(slot.task_id), slot.reserved_for_id is None, slot.slot or 0),
        default=None,
    )


def count_left(reader: Reader) -> int:
    """Count the tasks that the queue's order still has for the person; above LEFT_LIMIT it stops at one more."""
    left = 0
    for lane, place, early in reader.known_lanes():
        if early:
            left += reader.early_slots(lane, early).values("task").distinct().count()
        if place is None:
            left += FRONT_LEFT.count(reader, lane)
            continue
        left += HERE_LEFT.count(reader, lane, priority=place.priority, order_key=place.order_key)
        if left <= LEFT_LIMIT:
            left += BELOW_LEFT.count(reader, lane, priority=place.priority)
    return min(left, LEFT_LIMIT + 1)
