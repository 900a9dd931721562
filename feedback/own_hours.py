"""A person's pace, the hours that count for their pay, and how far others judged as they did. Sums only, never a task.

Nothing here names an arm: which tasks were gold or repeats stays unseen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, Q, Sum
from django.utils import timezone

from feedback.eligibility import midnight
from feedback.gold import is_right, pair_orders, sign
from feedback.gold_marks import of_gold
from feedback.models import AnnotatorProfile, Judgment, Project, Queue, Skip, User
from feedback.schemas import TaskKind

DAYS = 14
FEW = 5
"""Below so many comparable judgments, agreement says nothing and could point at one task."""
LATEST = 500
"""Of so many of the person's latest judgments, or gold judgments, agreement and rightness are computed."""


@dataclass(frozen=True)
class Day:
    day: date
    judgments: int
    seconds: float
    """Active time of judgments, revisions and skips."""

    @property
    def hours(self) -> float:
        return self.seconds / 3600


@dataclass(frozen=True)
class Hours:
    days: list[Day]
    """The last DAYS days with today, the oldest first, those without work too."""
    judgments: int
    seconds: float
    """Since the person's first day in the project."""
    rate: float | None
    currency: str

    @property
    def hours(self) -> float:
        return self.seconds / 3600

    @property
    def pay(self) -> float | None:
        return None if self.rate is None else self.rate * self.hours

    @property
    def per_hour(self) -> float | None:
        """Judgments in an hour of active time; None before the first."""
        return self.judgments / self.hours if self.seconds and self.judgments else None


@dataclass(frozen=True)
class Agreement:
    alike: float
    compared: int
    """Pairs of this person's judgment and somebody else's of the same task."""

    @property
    def percent(self) -> float:
        return 100 * self.alike / self.compared if self.compared else 0.0

    @property
    def too_few(self) -> bool:
        return self.compared < FEW


def own_hours(*, project: Project, annotator: User, now: datetime, queue: Queue | None = None) -> Hours:
    """Sum the person's active time in the project, or in one queue of it, by day of the site's time zone."""
    judged = Judgment.objects.filter(annotator=annotator).order_by()
    skipped = Skip.objects.filter(annotator=annotator).order_by()
    if queue is None:
        judged, skipped = judged.filter(queue__project=project), skipped.filter(task__queue__project=project)
    else:
        judged, skipped = judged.filter(queue=queue), skipped.filter(task__queue=queue)
    today = midnight(now).date()
    counts: dict[date, int] = defaultdict(int)
    seconds: dict[date, float] = defaultdict(float)
    # From a day early on, because a day of the site's may have 25 hours.
    since = midnight(now) - timedelta(days=DAYS)
    lately = judged.filter(created_at__gte=since)
    for made_at, revision, active in lately.values_list("created_at", "revision", "active_seconds"):
        day = timezone.localtime(made_at).date()
        counts[day] += revision == 1
        seconds[day] += active or 0.0  # nobody measured it of a judgment that was imported
    for made_at, active in skipped.filter(created_at__gte=since).values_list("created_at", "active_seconds"):
        seconds[timezone.localtime(made_at).date()] += active
    whole = judged.aggregate(judgments=Count("pk", filter=Q(revision=1)), seconds=Sum("active_seconds"))
    passed_over = skipped.aggregate(seconds=Sum("active_seconds"))["seconds"]
    profile = AnnotatorProfile.objects.filter(user=annotator).first()
    rate = profile.hourly_rate if profile else None
    shown = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    return Hours(
        days=[Day(day, counts.get(day, 0), seconds.get(day, 0.0)) for day in shown],
        judgments=whole["judgments"],
        seconds=(whole["seconds"] or 0.0) + (passed_over or 0.0),
        rate=None if rate is None else float(rate),
        currency=profile.currency if profile else "",
    )


def own_agreement(*, queue: Queue, annotator: User) -> Agreement | None:
    """Compare the person's judgments with those of other people on the same tasks; None where words are written.

    Of a comparison: the same side, or both a tie. Of a ranking: the share of pairs in the same order. Of a rating: the
    share of values at most one step apart.
    """
    if queue.kind not in ALIKE:
        return None
    latest = Judgment.objects.current().filter(queue=queue, annotator=annotator).order_by("-created_at")[:LATEST]
    mine = {judgment.task_id: judgment for judgment in latest}
    others = Judgment.objects.current().by_people().filter(task__in=list(mine)).exclude(annotator=annotator)
    shares = [ALIKE[queue.kind](mine[other.task_id], other) for other in others.order_by()]
    compared = [share for share in shares if share is not None]
    return Agreement(sum(compared), len(compared))


@dataclass(frozen=True)
class Known:
    right: int
    judged: int

    @property
    def too_few(self) -> bool:
        return self.judged < FEW


def own_gold(*, queue: Queue, annotator: User) -> Known | None:
    """Count how often the person was right by gold (`feedback.gold`), of their latest gold judgments.

    None where words are written. A sum that grows by FEW at once, so that nobody who looks after each task learns
    from it which one was gold.
    """
    if queue.kind not in ALIKE:
        return None
    mine = of_gold(Judgment.objects.current().filter(queue=queue, annotator=annotator))
    latest = list(mine.select_related("task__gold", "schema__queue").order_by("-created_at")[:LATEST])
    counted = latest[len(latest) % FEW :]
    right = sum(is_right(judgment.schema.asks, judgment.task.gold.answer, judgment.answer) for judgment in counted)
    return Known(right, len(counted))


def same_side(mine: Judgment, other: Judgment) -> float | None:
    if mine.preference is None or other.preference is None:
        return None
    return float(sign(mine.preference) == sign(other.preference))


def ordered_alike(mine: Judgment, other: Judgment) -> float | None:
    pairs = pair_orders(mine.content.get("ranks", []), other.content.get("ranks", []))
    return sum(a == b for a, b in pairs) / len(pairs) if pairs else None


def rated_alike(mine: Judgment, other: Judgment) -> float | None:
    close = list(closeness(mine.content.get("ratings", []), other.content.get("ratings", [])))
    return sum(close) / len(close) if close else None


def closeness(mine: list[Mapping[str, Any]], other: list[Mapping[str, Any]]) -> Iterator[bool]:
    for rated, rated_too in zip(mine, other, strict=False):
        for key in rated.keys() & rated_too.keys():
            yield abs(rated[key] - rated_too[key]) <= 1


ALIKE: Mapping[str, Callable[[Judgment, Judgment], float | None]] = {
    TaskKind.COMPARISON: same_side,
    TaskKind.RANKING: ordered_alike,
    TaskKind.RATING: rated_alike,
}
