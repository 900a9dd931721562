"""Find judgments among very many, a page at a time, the same way for pages, the API and bulk actions.

A search never reads more than a stretch of the table at once. `Search.base` says what an index finds (queues, a
person); within a stretch of that, `Search.narrow` keeps what the database can judge row by row, and `Search.sift` what
only Python can (rankings and ratings that contradict each other). Stretches grow, and a search ends with a full page,
at the end of the table, or when its time is over; then it says from where it would go on. Nothing is counted.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db.models import OuterRef, Subquery

from feedback.gold import is_right
from feedback.models import Judgment, Queue
from feedback.models.judgments import JudgmentQuerySet
from feedback.overlap import DISAGREE, disagree

SHORTEST, LONGEST = 1_000, 64_000
"""Rows of each queue that are looked through at a time: few at first, more while that is quick."""
QUICK, SLOW = 0.05, 0.12
"""Seconds for a stretch below which the next one is longer, and above which it is shorter."""
SECONDS = 0.25
"""After so long a page shows what was found, and offers to look further."""

Narrow = Callable[[JudgmentQuerySet], JudgmentQuerySet]
Sift = Callable[[Sequence[Judgment]], list[Judgment]]


@dataclass(frozen=True)
class Search:
    queues: tuple[Queue, ...]
    annotator: int | None
    narrow: Narrow
    sifts: tuple[Sift, ...] = ()

    def base(self) -> JudgmentQuerySet:
        found: JudgmentQuerySet = Judgment.objects.all()
        return found if self.annotator is None else found.filter(annotator=self.annotator)


@dataclass(frozen=True)
class Found:
    judgments: list[uuid.UUID]
    """In the order of the search."""
    resume: uuid.UUID | None
    """The search would go on beyond this one; None when it has seen everything."""
    in_full: bool
    """The page is full; otherwise it ended before, with the table or with its time."""


def find(
    search: Search,
    *,
    beyond: uuid.UUID | None = None,
    limit: int,
    newest_first: bool = True,
    seconds: float | None = SECONDS,
) -> Found:
    """Return up to `limit` judgments that fit, beyond a judgment: older ones, or newer ones, as the order is."""
    ends = None if seconds is None else time.monotonic() + seconds
    found: list[uuid.UUID] = []
    rows = SHORTEST
    while True:
        began = time.monotonic()
        edge = edge_of(search, beyond, rows, newest_first)
        for kept in fitting(search, beyond, edge, newest_first, at_once=limit - len(found) + 1):
            found += kept
            if len(found) > limit:
                return Found(found[:limit], found[limit - 1], in_full=True)
        if edge is None:
            return Found(found, None, in_full=len(found) == limit)
        beyond, now = edge, time.monotonic()
        if ends is not None and now > ends:
            return Found(found, found[-1] if len(found) == limit else beyond, in_full=len(found) == limit)
        if now - began < QUICK:
            rows = min(4 * rows, LONGEST)
        elif now - began > SLOW:
            rows = max(rows // 2, SHORTEST)


def all_of(search: Search, *, beyond: uuid.UUID | None = None, at_once: int) -> Iterator[list[uuid.UUID]]:
    """Yield everything that fits, the newest first, in pieces of about `at_once`."""
    resume = beyond
    while True:
        found = find(search, beyond=resume, limit=at_once, seconds=None)
        if found.judgments:
            yield found.judgments
        if found.resume is None:
            return
        resume = found.resume


def count_up_to(search: Search, *, limit: int, seconds: float) -> tuple[int, bool]:
    """Count what fits, but no further than `limit` and for no longer than `seconds`; True when that is all."""
    ends, counted, beyond = time.monotonic() + seconds, 0, None
    while counted < limit:
        found = find(
            search, beyond=beyond, limit=min(5_000, limit - counted), seconds=max(0.0, ends - time.monotonic())
        )
        counted += len(found.judgments)
        if found.resume is None:
            return counted, True
        beyond = found.resume
        if time.monotonic() > ends:
            break
    return counted, False


def edge_of(search: Search, beyond: uuid.UUID | None, rows: int, newest_first: bool) -> uuid.UUID | None:
    """Return the last judgment of the next stretch, in which no queue has more than `rows`; None = all that is left."""
    judgments = past(search.base(), beyond, newest_first).filter(queue=OuterRef("pk"))
    last = Subquery(judgments.order_by("-id" if newest_first else "id").values("pk")[rows - 1 : rows])
    edges = Queue.objects.filter(pk__in=[queue.pk for queue in search.queues]).annotate(edge=last)
    known = [edge for edge in edges.values_list("edge", flat=True) if edge is not None]
    return (max(known) if newest_first else min(known)) if known else None


def fitting(
    search: Search, beyond: uuid.UUID | None, edge: uuid.UUID | None, newest_first: bool, *, at_once: int
) -> Iterator[list[uuid.UUID]]:
    """Yield what fits in a stretch, in pieces; every row of the stretch is looked at once."""
    in_queues = search.base().filter(queue__in=[queue.pk for queue in search.queues])
    at_once = max(at_once, 50) if search.sifts else at_once
    while True:
        stretch = past(in_queues, beyond, newest_first)
        if edge is not None:
            stretch = stretch.filter(**{"pk__gte" if newest_first else "pk__lte": edge})
        narrowed = search.narrow(stretch.current()).order_by("-id" if newest_first else "id")
        ids = list(narrowed.values_list("pk", flat=True)[:at_once])
        yield sifted(search, ids)
        if len(ids) < at_once:
            return
        beyond = ids[-1]


def past(judgments: JudgmentQuerySet, beyond: uuid.UUID | None, newest_first: bool) -> JudgmentQuerySet:
    if beyond is None:
        return judgments
    return judgments.filter(**{"pk__lt" if newest_first else "pk__gt": beyond})


def sifted(search: Search, ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    if not search.sifts or not ids:
        return list(ids)
    rows = {row.pk: row for row in Judgment.objects.filter(pk__in=ids).select_related("schema__queue", "task__gold")}
    kept = [rows[pk] for pk in ids if pk in rows]  # the undo of an import may have removed one meanwhile
    for sift in search.sifts:
        kept = sift(kept)
    return [row.pk for row in kept]


# What only Python can decide --------------------------------------------------------------------------


def really_differing(judgments: Sequence[Judgment]) -> list[Judgment]:
    """Keep those that some other judgment of the task contradicts."""
    others: dict[uuid.UUID, list[Judgment]] = defaultdict(list)
    tasks = {judgment.task_id for judgment in judgments if judgment.preference is None}
    if tasks:
        for one in (
            Judgment.objects.current().filter(task__in=tasks).only("task", "assignment", "content", "preference")
        ):
            others[one.task_id].append(one)

    def differs(judgment: Judgment) -> bool:
        asks = judgment.schema.asks
        return judgment.preference is not None or any(
            asks.kind in DISAGREE and disagree(asks, judgment.answer, other.answer)
            for other in others[judgment.task_id]
            if other.assignment_id != judgment.assignment_id
        )

    return [judgment for judgment in judgments if differs(judgment)]


def really_failing_gold(judgments: Sequence[Judgment]) -> list[Judgment]:
    """Keep those that are not right by their task's gold."""
    return [one for one in judgments if not is_right(one.schema.asks, one.task.gold.answer, one.answer)]


def in_order_of(ids: Iterable[uuid.UUID], judgments: JudgmentQuerySet) -> list[Judgment]:
    """Fetch judgments from `judgments` in the order of their ids."""
    wanted = list(ids)
    rows = {row.pk: row for row in judgments.filter(pk__in=wanted)}
    return [rows[pk] for pk in wanted if pk in rows]
