"""Accept, reject or put right what annotators said, and take that back. The log of reviews is never rewritten.

What counts of a judgment is its latest review (`Review.state`). Undoing writes one more review, which says again what
counted before the one that it undoes: the state of a judgment is the fold of its log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from feedback.answers import Answer, BadJudgment, check_answer
from feedback.audit import record
from feedback.filling import add_slots
from feedback.locks import lock_task
from feedback.models import Assignment, BulkAction, Gold, Judgment, Queue, Review, Skip, Task, User
from feedback.refusals import Refusal
from feedback.schemas import TaskKind

REASON_LENGTH_LIMIT = 2_000
UNSEEN = -1
"""Instead of the review that a curator looked at, where nobody says which."""


class ReviewRefused(Refusal):
    """A review cannot be stored as asked; `field` says which value is wrong."""


class ReviewMovedOn(Exception):
    """Another curator reviewed the judgment since this one looked at it."""


def review_judgment(
    *,
    judgment: Judgment,
    reviewer: User,
    accepted: bool,
    reason: str = "",
    requeue: bool = False,
    seen: int | None = UNSEEN,
    now: datetime | None = None,
) -> Review:
    """Accept the judgment, or reject it and say why; the latest review counts.

    With `requeue`, a rejected judgment's task gets one more slot, which never goes to anybody who has had the task.
    `seen` is the review that the reviewer looked at (None: there was none), so that of two at once the second one is
    told; left out, nobody is. The same review by the same person again adds none. Snapshots that hold the judgment
    keep it. Raises ReviewRefused, ReviewMovedOn.
    """
    reason = checked_reason(reason)
    if not accepted and not reason:
        raise ReviewRefused("reason", "say why, so that the annotator can learn from it")
    if accepted and requeue:
        raise ReviewRefused("requeue", "what is accepted needs no other judgment; reject it, or leave requeue out")
    return decide(
        judgment=judgment, reviewer=reviewer, accepted=accepted, reason=reason, requeue=requeue, seen=seen, now=now
    )


def fix_judgment(
    *,
    judgment: Judgment,
    reviewer: User,
    answer: Mapping[str, Any],
    flags: Sequence[Any] | None = None,
    reason: str = "",
    seen: int | None = UNSEEN,
    now: datetime | None = None,
) -> Review:
    """Accept the judgment with the reviewer's answer in place of what was said; snapshots use and mark it.

    `answer` and `flags` count in response order and are checked by the label schema that the judgment was made under;
    flags that are left out stay. What the annotator said stays, too. Raises ReviewRefused, ReviewMovedOn.
    """
    fixed = checked_fix(judgment, answer, judgment.flags if flags is None else flags)
    return decide(
        judgment=judgment,
        reviewer=reviewer,
        accepted=True,
        fixed=fixed,
        reason=checked_reason(reason),
        seen=seen,
        now=now,
    )


@transaction.atomic
def undo_review(*, review: Review, undone_by: User, reason: str = "", now: datetime | None = None) -> Review:
    """Take back a review while it is the one that counts: what counted before counts again.

    A slot that it gave the task is taken out if nobody has claimed it; one that somebody has stays, and the audit log
    says so. Raises ReviewRefused, ReviewMovedOn.
    """
    judgment = review.judgment
    lock_task(judgment.task_id)
    check_may_review(judgment=judgment, reviewer=undone_by)
    if review.undoes_id is not None:
        raise ReviewRefused("review", "this took another review back; review the judgment anew instead")
    latest = judgment.reviews.select_related("reviewer").first()
    if latest != review:
        who = latest.reviewer.username if latest is not None else "somebody"
        raise ReviewMovedOn(f"{who} has reviewed this judgment since; take that back, or review it anew")
    try:
        with transaction.atomic():
            return restore(review=review, undone_by=undone_by, reason=checked_reason(reason), now=now)
    except IntegrityError as error:
        if Review.objects.filter(undoes=review).exists():
            raise ReviewMovedOn("somebody has taken this review back already") from error
        raise


# How it is done ---------------------------------------------------------------------------------------


@transaction.atomic
def decide(
    *,
    judgment: Judgment,
    reviewer: User,
    accepted: bool,
    fixed: dict[str, Any] | None = None,
    reason: str = "",
    requeue: bool = False,
    seen: int | None = UNSEEN,
    now: datetime | None = None,
    bulk: BulkAction | None = None,
) -> Review:
    now = now or timezone.now()
    lock_task(judgment.task_id)
    check_may_review(judgment=judgment, reviewer=reviewer)
    latest = judgment.reviews.select_related("reviewer").first()
    if (
        latest is not None
        and latest.undoes_id is None
        and says_the_same(latest, accepted, fixed, reason, reviewer, requeue)
    ):
        return latest
    if seen != UNSEEN and (latest.pk if latest else None) != seen:
        who = latest.reviewer.username if latest is not None else "somebody"
        raise ReviewMovedOn(f"{who} has reviewed this judgment since you looked at it; look again")
    slot = one_more_slot(judgment) if requeue else None
    review = Review.objects.create(
        judgment=judgment, reviewer=reviewer, accepted=accepted, fixed=fixed, reason=reason, slot=slot, bulk=bulk,
        created_at=now,
    )  # fmt: skip
    record(
        project=judgment.queue.project,
        actor=reviewer,
        action=f"judgment.{'fix' if fixed is not None else 'accept' if accepted else 'reject'}",
        subject=judgment,
        before=told(latest),
        after=told(review),
        reason=reason,
        bulk=bulk,
        now=now,
    )
    return review


def says_the_same(
    latest: Review, accepted: bool, fixed: dict[str, Any] | None, reason: str, reviewer: User, requeue: bool
) -> bool:
    said = (latest.accepted, latest.fixed, latest.reason, latest.reviewer_id)
    return said == (accepted, fixed, reason, reviewer.pk) and (latest.slot_id is not None or not requeue)


def told(review: Review | None) -> dict[str, Any]:
    """Return what the audit log keeps of a review."""
    if review is None:
        return {"review": ""}
    told: dict[str, Any] = {"review": review.state}
    if review.fixed is not None:
        told["fixed"] = review.fixed
    if review.reason:
        told["reason"] = review.reason
    if review.slot_id is not None:
        told["one_more_slot"] = review.slot_id
    return told


def restore(
    *, review: Review, undone_by: User, reason: str, now: datetime | None, bulk: BulkAction | None = None
) -> Review:
    """Write the review that says again what counted before `review`, which counts now; the caller holds the task."""
    now = now or timezone.now()
    before = Review.objects.filter(judgment=review.judgment_id, pk__lt=review.pk).first()
    restored = Review.objects.create(
        judgment=review.judgment,
        reviewer=undone_by,
        accepted=before.accepted if before else None,
        fixed=before.fixed if before else None,
        reason=before.reason if before else "",
        slot_id=before.slot_id if before else None,
        undoes=review,
        bulk=bulk,
        created_at=now,
    )
    after = told(restored)
    if review.slot_id is not None and review.slot_id != restored.slot_id:
        after["slot_taken_out"] = take_out_slot(review)
    record(
        project=review.judgment.queue.project,
        actor=undone_by,
        action="judgment.undo",
        subject=review.judgment,
        before=told(review),
        after=after,
        reason=reason,
        bulk=bulk,
        now=now,
    )
    return restored


def take_out_slot(review: Review) -> bool:
    """Take out the slot that a rejection gave the task; False when somebody has claimed it already."""
    assert review.slot_id is not None, "asked of a review that gave a slot"
    still_open = Assignment.objects.filter(pk=review.slot_id, state=Assignment.State.OPEN, reserved_for__isnull=True)
    return bool(still_open.update(state=Assignment.State.WITHDRAWN))


def one_more_slot(judgment: Judgment) -> Assignment:
    """Give the judgment's task one more slot. Raises ReviewRefused where nobody would get it."""
    if problem := no_slot_because(judgment):
        raise ReviewRefused("requeue", problem)
    task = judgment.task
    (slot,) = add_slots(task=task, queue=judgment.queue, language=task.prompt.language, count=1)
    return slot


def no_slot_because(judgment: Judgment) -> str:
    """Say why the task cannot be given to somebody else; empty when it can."""
    task = Task.objects.get(pk=judgment.task_id)
    queue = Queue.objects.get(pk=judgment.queue_id)
    if queue.state == Queue.State.CLOSED:
        return "the queue is closed; reopen it first, or reject without asking anybody else"
    if queue.is_qualification or task.repeat_of_id is not None or Gold.objects.filter(task=task).exists():
        return "this task is handed out by the queue itself (gold, a repeat or a test); reject without asking anybody"
    if task.withdrawn_at is not None or Skip.objects.keeping_out().filter(task=task).exists():
        return "this task was taken out; return it first, or reject without asking anybody else"
    return ""


def check_may_review(*, judgment: Judgment, reviewer: User) -> None:
    """Raise ReviewRefused unless the judgment counts and somebody else made it."""
    if judgment.annotator_id == reviewer.pk:
        raise ReviewRefused("reviewer", "this judgment is your own; somebody else reviews it")
    if Judgment.objects.filter(supersedes=judgment).exists():
        raise ReviewRefused("judgment", "the annotator has revised this judgment; review the revision")
    if judgment.erased_by_id is not None:
        raise ReviewRefused("judgment", "this judgment was erased; there is nothing to review")


def checked_reason(reason: str) -> str:
    reason = reason.strip()
    if len(reason) > REASON_LENGTH_LIMIT or "\x00" in reason:
        raise ReviewRefused("reason", f"write at most {REASON_LENGTH_LIMIT:,} characters, without NUL")
    return reason


def checked_fix(judgment: Judgment, answer: Mapping[str, Any], flags: Sequence[Any]) -> dict[str, Any]:
    schema = judgment.schema.asks
    if schema.kind == TaskKind.CONVERSATION:
        raise ReviewRefused("answer", "a talk is made of its turns; reject it, or accept it as it is")
    try:  # the reason is the annotator's own, whatever the schema asks of it
        said = check_answer(replace(schema, rationale="optional"), len(judgment.display_order), answer, flags=flags)
    except BadJudgment as refusal:
        raise ReviewRefused(refusal.field, refusal.message) from refusal
    if (said.preference, said.content, said.flags) == (judgment.preference, judgment.content, judgment.flags):
        raise ReviewRefused("answer", "this is what the annotator said; accept it instead")
    return {"preference": said.preference, "content": said.content, "flags": said.flags}


def fixed_answer(review: Review, judgment: Judgment) -> Answer:
    """Return what a fix puts in place of the answer, in response order, with the annotator's own reason."""
    kept = review.fixed or {}
    return Answer(kept.get("preference"), kept.get("content") or {}, judgment.rationale, kept.get("flags") or [])
