"""Take gold out of use, by hand or by the limits of the queue's rules, and back.

Gold wears out in two ways. Too many people have seen it (`QueuePolicy.gold_exposure_percent`): they may have talked
about it, and soon nobody is left whom it could tell something about. Or good people contradict it
(`gold_dispute_percent`): then most likely the gold is wrong, and it must not count against anybody.

What is beyond a limit is retired by `rotate_gold`, with no person as the actor in the audit log. Two things are left to
a curator: the gold of a test, which a test cannot do without, and gold that a curator has put back before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef

from feedback.audit import record
from feedback.gold_marks import Mark, read_marks
from feedback.locks import lock_task
from feedback.models import Assignment, Gold, GoldRetirement, Judgment, Queue, User
from feedback.refusals import Refusal

FEW_PEOPLE = 5
"""Below so many people or judgments nothing is said of exposure or dispute."""
FEW_OTHERS = 5
"""Answers to other gold from which a person's own record counts."""
GOOD = 0.6
"""Who is right on a smaller share of the other gold does not count as somebody who disputes this one."""
NOTE_LENGTH_LIMIT = 2_000
COUNTED_AT_ONCE = 5_000
"""Answers to a queue's gold; of more, pages show what the latest report on people counted."""


class RetirementRefused(Refusal):
    """Gold cannot be taken out of use, or put back, as asked; `field` says which value is wrong."""


@dataclass(frozen=True)
class GoldUse:
    """How worn one gold is."""

    gold: Gold
    judged: int
    """Times that somebody answered it as gold."""
    right: int
    good: int
    """Of them, those by people who do well on other gold, or of whom too little is known."""
    good_wrong: int
    seen: int
    """People who had it before them, those from whose votes it was made among them."""
    people: int
    """Of the whole queue."""

    @property
    def counts(self) -> list[int]:
        """Its figures as a report keeps them; `use_from` reads them again."""
        return [self.gold.pk, self.judged, self.right, self.good, self.good_wrong, self.seen, self.people]

    @property
    def exposure(self) -> float:
        """Share of the queue's people who have seen it, in percent."""
        return 100 * self.seen / self.people if self.people else 0.0

    @property
    def dispute(self) -> float:
        """Share of good people who contradict it, in percent."""
        return 100 * self.good_wrong / self.good if self.good else 0.0

    @property
    def accuracy(self) -> float:
        return 100 * self.right / self.judged if self.judged else 0.0

    def worn(self, *, exposure_limit: int, dispute_limit: int) -> str:
        """Return the reason to retire it by the two limits in percent; empty for none. Dispute weighs more."""
        if self.good >= FEW_PEOPLE and self.dispute > dispute_limit:
            return GoldRetirement.Reason.DISPUTED
        if self.people >= FEW_PEOPLE and self.exposure > exposure_limit:
            return GoldRetirement.Reason.EXPOSED
        return ""


def uses_of_gold(queue: Queue) -> list[GoldUse]:
    """Return how worn every gold of the queue is, retired gold too, the oldest first."""
    golds = list(Gold.objects.filter(queue=queue).select_related("created_by", "task__prompt").order_by("pk"))
    # Led by the gold and not by the queue, whose judgments may be a million.
    judgments = Judgment.objects.current().by_people().filter(task__in=[gold.task_id for gold in golds])
    people = people_of(queue)
    seen: dict[int, int] = defaultdict(int)
    for gold in judgments.order_by().values_list("task__gold__id", flat=True).iterator(10_000):
        seen[gold] += 1  # a person judges a task once
    marks: dict[int, list[Mark]] = defaultdict(list)
    all_marks = read_marks(judgments, Gold.objects.filter(queue=queue), with_disputed=True)
    for mark in all_marks:
        marks[mark.gold].append(mark)
    tally = tally_of(all_marks)
    return [use_of(gold, marks.get(gold.pk, []), tally, seen[gold.pk], people) for gold in golds]


def people_of(queue: Queue) -> int:
    """Count the people who have judged in the queue, without reading what they judged."""
    had = Judgment.objects.filter(annotator=OuterRef("pk"), queue=queue, simulation_rule="")
    return User.objects.filter(Exists(had)).count()


def use_of(gold: Gold, marks: Sequence[Mark], tally: dict[int, tuple[int, int]], seen: int, people: int) -> GoldUse:
    good = [mark for mark in marks if does_well(tally[mark.person], mark)]
    return GoldUse(
        gold=gold,
        judged=len(marks),
        right=sum(mark.right for mark in marks),
        good=len(good),
        good_wrong=sum(not mark.right for mark in good),
        seen=seen,
        people=people,
    )


def uses_from(queue: Queue, counts: Iterable[Sequence[int]]) -> list[GoldUse]:
    """Return uses that a report has kept; gold that was made since stands there without answers."""
    kept = {gold: figures for gold, *figures in counts}
    golds = Gold.objects.filter(queue=queue).select_related("created_by", "task__prompt").order_by("pk")
    return [GoldUse(gold, *kept.get(gold.pk, [0] * 6)) for gold in golds]


def is_much_answered(queue: Queue) -> bool:
    """Tell whether the queue's gold has more answers than a page should count at once."""
    golds = Gold.objects.filter(queue=queue).values("task")
    answers = Judgment.objects.filter(task__in=golds).order_by()
    return answers[: COUNTED_AT_ONCE + 1].count() > COUNTED_AT_ONCE


def tally_of(marks: Sequence[Mark]) -> dict[int, tuple[int, int]]:
    """Return how many gold answers each person has given, and how many were right."""
    tally: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for mark in marks:
        asked, right = tally[mark.person]
        tally[mark.person] = (asked + 1, right + mark.right)
    return tally


def does_well(tally: tuple[int, int], mark: Mark) -> bool:
    """Tell whether a person does well on the *other* gold, or has answered too little of it to say."""
    asked, right = tally[0] - 1, tally[1] - mark.right
    return asked < FEW_OTHERS or right >= GOOD * asked


def suggestions(uses: Sequence[GoldUse], queue: Queue) -> list[tuple[GoldUse, str]]:
    """Return the gold in use that is beyond a limit of the queue's rules, each with the reason."""
    policy = queue.policy
    assert policy is not None, "a queue has its policy"
    standing = set(Gold.objects.filter(queue=queue).retired().values_list("pk", flat=True))
    found = []
    for use in uses:
        # A test is taken by everybody once: that its gold is known is what it is for.
        exposure_limit = 100 if queue.is_qualification else policy.gold_exposure_percent
        reason = use.worn(exposure_limit=exposure_limit, dispute_limit=policy.gold_dispute_percent)
        if reason and use.gold.pk not in standing:
            found.append((use, reason))
    return found


def rotate_all_gold(now: datetime) -> list[GoldRetirement]:
    """Rotate the gold of every open queue."""
    with_gold = Queue.objects.open().filter(Exists(Gold.objects.filter(queue=OuterRef("pk")))).in_force()
    return [retirement for queue in with_gold for retirement in rotate_gold(queue=queue, now=now)]


def rotate_gold(*, queue: Queue, now: datetime, uses: Sequence[GoldUse] | None = None) -> list[GoldRetirement]:
    """Retire the queue's gold that is beyond a limit of its rules; of a test nothing, and nothing that was put back.

    `uses` is what was counted just now, if it was.
    """
    if queue.is_qualification:
        return []
    returned = set(GoldRetirement.objects.filter(gold__queue=queue).values_list("gold", flat=True))
    retired = []
    for use, reason in suggestions(uses_of_gold(queue) if uses is None else uses, queue):
        if use.gold.pk in returned:
            continue
        try:
            retired.append(
                retire_gold(gold=use.gold, reason=reason, note=words_of(use, reason), retired_by=None, now=now)
            )
        except RetirementRefused:
            continue  # a curator was faster
    return retired


def words_of(use: GoldUse, reason: str) -> str:
    if reason == GoldRetirement.Reason.DISPUTED:
        return f"{use.good_wrong} of {use.good} people who do well on other gold contradict it"
    return f"{use.seen} of the queue's {use.people} people have seen it"


@transaction.atomic
def retire_gold(
    *,
    gold: Gold,
    reason: str = GoldRetirement.Reason.CURATOR,
    note: str = "",
    retired_by: User | None,
    now: datetime,
) -> GoldRetirement:
    """Mix the gold in no more; who holds it finishes it. Raises RetirementRefused."""
    if reason not in GoldRetirement.Reason.values:
        raise RetirementRefused("reason", f"{reason!r} is not one of {', '.join(GoldRetirement.Reason.values)}")
    note = checked_note(note)
    lock_task(gold.task_id)
    if GoldRetirement.objects.filter(gold=gold, returned_at__isnull=True).exists():
        raise RetirementRefused("gold", "this gold is out of use already")
    slots = Assignment.objects.filter(task=gold.task_id, state=Assignment.State.OPEN)
    slots.update(state=Assignment.State.WITHDRAWN)
    retirement = GoldRetirement.objects.create(
        gold=gold, reason=reason, note=note, retired_by=retired_by, created_at=now
    )
    record(
        project=gold.queue.project,
        actor=retired_by,
        action="gold.retire",
        subject=gold.task,
        before={"in_use": True},
        after={"in_use": False, "why": reason},
        reason=note,
        now=now,
    )
    return retirement


@transaction.atomic
def return_gold(*, gold: Gold, note: str = "", returned_by: User, now: datetime) -> GoldRetirement:
    """Mix retired gold in again; the limits no longer retire it by themselves. Raises RetirementRefused."""
    note = checked_note(note)
    lock_task(gold.task_id)
    standing = GoldRetirement.objects.filter(gold=gold, returned_at__isnull=True)
    retirement = standing.first()
    if retirement is None or not standing.update(returned_at=now, returned_by=returned_by):
        raise RetirementRefused("gold", "this gold is in use, so there is nothing to put back")
    record(
        project=gold.queue.project,
        actor=returned_by,
        action="gold.return",
        subject=gold.task,
        before={"in_use": False, "why": retirement.reason},
        after={"in_use": True},
        reason=note,
        now=now,
    )
    retirement.refresh_from_db()
    return retirement


def checked_note(note: str) -> str:
    note = note.strip()
    if len(note) > NOTE_LENGTH_LIMIT or "\x00" in note:
        raise RetirementRefused("note", f"write at most {NOTE_LENGTH_LIMIT:,} characters, without NUL")
    return note
