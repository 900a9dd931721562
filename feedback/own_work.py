"""What a person has typed, how far they are, how long they were at it, and taking a task back."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery

from feedback.answers import Answer, to_shown
from feedback.claims import reclaim
from feedback.eligibility import midnight
from feedback.gold import gold_left
from feedback.judging import stored_answer, submit_judgment, submitted_before
from feedback.models import Assignment, Draft, Judgment, Qualification, Queue, Task, User
from feedback.places import LEFT_LIMIT, Reader, count_left
from feedback.prepared import prepared

ROUNDED_TO = 5


@dataclass(frozen=True)
class OwnProgress:
    done_today: int
    left: int
    """Tasks that the person could still judge, with those they hold; at most LEFT_LIMIT + 1."""
    is_rounded: bool = False
    """`left` is rounded up, for where gold or repeats are mixed in, an exact count would tell them from other tasks."""

    @property
    def left_is_more(self) -> bool:
        return self.left > LEFT_LIMIT

    @property
    def whole(self) -> int:
        return self.done_today + self.left


def own_progress(*, queue: Queue, annotator: User, now: datetime) -> OwnProgress:
    """Count the person's judgments since midnight (the site's time zone), and what the queue still has for them.

    Gold and repeats are counted once somebody holds them, like any other task.
    """
    today = Judgment.objects.filter(queue=queue, annotator=annotator, revision=1, created_at__gte=midnight(now))
    live = Q(annotator=annotator, state=Assignment.State.LEASED, lease_expires_at__gt=now)
    given = Q(reserved_for=annotator, state__in=[Assignment.State.OPEN, Assignment.State.LEASED])
    own = Assignment.objects.filter(live | given, queue=queue).values("task_id").distinct().count()
    left = own + waiting(queue=queue, annotator=annotator, now=now)
    is_rounded = mixes_unseen(queue)
    if is_rounded:
        left += -left % ROUNDED_TO
    return OwnProgress(done_today=today.count(), left=min(left, LEFT_LIMIT + 1), is_rounded=is_rounded)


def mixes_unseen(queue: Queue) -> bool:
    """Tell whether tasks come to people beside those that the queue counts; in a test every task is such a one."""
    policy = queue.policy
    assert policy is not None, "an open queue has its policy"
    shares = (policy.gold_percent, policy.newcomer_gold_percent, policy.repeat_percent)
    return any(shares) and not queue.is_qualification


def waiting(*, queue: Queue, annotator: User, now: datetime) -> int:
    """Count the tasks that the queue would give the person beside those that are theirs already."""
    if not queue.is_qualification:
        return count_left(Reader(queue=queue, annotator=annotator, now=now))
    assert queue.policy is not None, "an open queue has its policy"
    if Qualification.objects.filter(queue=queue, person=annotator).exists():
        return 0
    begun = Assignment.objects.filter(queue=queue, annotator=annotator).count()
    return max(0, min(queue.policy.pass_judgments - begun, gold_left(queue=queue, annotator=annotator).count()))


@dataclass(frozen=True)
class Revisable:
    """Whether a judgment of one's own may be revised, and for how long."""

    now: bool
    until: datetime | None
    """None = until the queue closes."""


def revisable(*, first_at: datetime, queue: Queue, now: datetime) -> Revisable:
    """Tell whether a judgment that was first made at `first_at` may be revised; `check_may_revise` decides."""
    hours = queue.policy.revise_hours if queue.policy else None
    until = None if hours is None else first_at + timedelta(hours=hours)
    return Revisable(queue.state != Queue.State.CLOSED and (until is None or now <= until), until)


def credible_seconds(*, claimed: float, task: Task, annotator: User, now: datetime) -> float:
    """Return the active time that a client claims, cut to what can have passed.

    At most the time since the person took the slot; where a draft of theirs is stored, at most its seconds and the time
    since then. Of a slot that somebody else has taken over, at most one lease.
    """
    held = taken.first(task=task.pk, annotator=annotator)
    if held is None:
        taken_at, drafted = None, draft_times.first(task=task.pk, annotator=annotator)
    else:
        taken_at, drafted = held[0], None if held[2] is None else held[1:]
    if drafted is not None:
        seconds, updated_at = drafted
        since = max(updated_at, taken_at) if taken_at else updated_at
        limit = timedelta(seconds=seconds) + (now - since)
    elif taken_at is not None:
        limit = now - taken_at
    else:
        limit = timedelta(minutes=task.queue.policy.lease_minutes if task.queue.policy else 0)
    return max(0.0, min(claimed, limit.total_seconds()))


@prepared
def taken(*, task: Any, annotator: Any) -> QuerySet[Assignment, Any]:
    """Return since when the person holds the task, or held it when they judged it; and their draft's times, if any."""
    draft = Draft.objects.filter(task=OuterRef("task"), annotator=OuterRef("annotator"))
    slots = Assignment.objects.filter(task=task, annotator=annotator)
    return slots.values_list("leased_at", *(Subquery(draft.values(name)) for name in ("active_seconds", "updated_at")))


@prepared
def draft_times(*, task: Any, annotator: Any) -> QuerySet[Draft, Any]:
    return Draft.objects.filter(task=task, annotator=annotator).values_list("active_seconds", "updated_at")


@prepared
def drafts_of(*, task: Any, annotator: Any) -> QuerySet[Draft]:
    return Draft.objects.filter(task=task, annotator=annotator)


def credible_revision_seconds(*, claimed: float, judgment: Judgment, now: datetime) -> float:
    """Return the active time that a client claims for a revision, cut to the time since `judgment` was made."""
    return max(0.0, min(claimed, (now - judgment.created_at).total_seconds()))


def entered(draft: Draft | None, *, order: Sequence[int], kind: str) -> dict[str, Any]:
    """Return what a person has typed, in the order in which they see the responses; blank without a draft."""
    if draft is None:
        return {"answer": {}, "rationale": "", "flags": [], "active_seconds": 0.0}
    shown = to_shown(Answer(draft.preference, draft.content, draft.rationale, draft.flags), order)
    return {
        "answer": shown.as_sent(kind),
        "rationale": shown.rationale,
        "flags": shown.flags,
        "active_seconds": draft.active_seconds,
    }


@transaction.atomic
def retake_and_submit(
    *,
    task: Task,
    annotator: User,
    submission_id: uuid.UUID,
    answer: Mapping[str, Any],
    rationale: str,
    flags: Sequence[Any],
    active_seconds: float,
    interface: str,
    now: datetime,
) -> Judgment:
    """Take a lost task again and submit what was judged before it was lost.

    Raises SlotGone, and what submit_judgment raises; then the slot is as it was.
    """
    before = Judgment.objects.filter(submission_id=submission_id, task=task).select_related("schema__queue").first()
    schema = before.schema if before is not None else task.queue.schema
    assert schema is not None, "a queue has its label schema"
    said = stored_answer(schema, task.order_for(annotator), answer, rationale=rationale, flags=flags)
    if stored := submitted_before(submission_id, annotator, said, task_id=task.pk):
        return stored
    slot = reclaim(task=task, annotator=annotator, now=now)
    assert slot.lease_token is not None, "a slot that was just taken has a token"
    return submit_judgment(
        assignment_id=slot.pk,
        annotator=annotator,
        lease_token=slot.lease_token,
        submission_id=submission_id,
        answer=answer,
        rationale=rationale,
        flags=flags,
        active_seconds=active_seconds,
        interface=interface,
        now=now,
    )
