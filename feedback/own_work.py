"""What a person sees of their own work: how far they are, how long they were at it, and taking a comparison back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from feedback.claims import next_slots, reclaim
from feedback.judging import checked_flags, checked_rationale, submit_judgment, submitted_before
from feedback.models import Assignment, Comparison, Draft, Judgment, Queue, User

LEFT_LIMIT = 1_000
"""Comparisons that are counted; above it the page says "more than"."""


@dataclass(frozen=True)
class OwnProgress:
    done_today: int
    left: int
    """Comparisons that the person could still judge, with the one they hold; at most LEFT_LIMIT + 1."""

    @property
    def left_is_more(self) -> bool:
        return self.left > LEFT_LIMIT

    @property
    def whole(self) -> int:
        return self.done_today + self.left


def own_progress(*, queue: Queue, annotator: User, now: datetime) -> OwnProgress:
    """Count the person's judgments since midnight (the site's time zone), and what the queue still has for them."""
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    first_revisions = Judgment.objects.filter(queue=queue, annotator=annotator, revision=1)
    free = next_slots(queue=queue, annotator=annotator, now=now).order_by()
    held = Assignment.objects.held_by(annotator, now).filter(queue=queue).values("comparison_id").distinct().count()
    return OwnProgress(
        done_today=first_revisions.filter(created_at__gte=midnight).count(),
        left=held + free.values("comparison_id").distinct()[: LEFT_LIMIT + 1].count(),
    )


def credible_seconds(*, claimed: float, comparison: Comparison, annotator: User, now: datetime) -> float:
    """Return the active time that a client claims, cut to what can have passed.

    At most the time since the person took the slot; where a draft of theirs is stored, at most its seconds and the time
    since then. Of a slot that somebody else has taken over, at most one lease.
    """
    slot = Assignment.objects.filter(comparison=comparison, annotator=annotator).first()
    draft = Draft.objects.filter(comparison=comparison, annotator=annotator).first()
    taken_at = slot.leased_at if slot is not None else None
    if draft is not None:
        since = max(draft.updated_at, taken_at) if taken_at else draft.updated_at
        limit = timedelta(seconds=draft.active_seconds) + (now - since)
    elif taken_at is not None:
        limit = now - taken_at
    else:
        limit = timedelta(minutes=comparison.queue.policy.lease_minutes)
    return max(0.0, min(claimed, limit.total_seconds()))


def credible_revision_seconds(*, claimed: float, judgment: Judgment, now: datetime) -> float:
    """Return the active time that a client claims for a revision, cut to the time since `judgment` was made."""
    return max(0.0, min(claimed, (now - judgment.created_at).total_seconds()))


def entered(draft: Draft | None, *, shown_first_id: uuid.UUID | None) -> dict[str, Any]:
    """Return what a person has typed as the person sees it, the preference in display order; blank without a draft."""
    if draft is None:
        return {"preference": None, "rationale": "", "flags": [], "active_seconds": 0.0}
    return {
        "preference": None if draft.preference is None else draft.comparison.turn(draft.preference, shown_first_id),
        "rationale": draft.rationale,
        "flags": draft.flags,
        "active_seconds": draft.active_seconds,
    }


@transaction.atomic
def retake_and_submit(
    *,
    comparison: Comparison,
    annotator: User,
    shown_first_id: uuid.UUID,
    submission_id: uuid.UUID,
    preference: int,
    rationale: str,
    flags: Iterable[str],
    active_seconds: float,
    interface: str,
    now: datetime,
) -> Judgment:
    """Take a lost comparison again and submit what was judged before it was lost.

    `preference` is in display order, as `shown_first_id` says; the slot takes over that order, for it is the one that
    was judged. Raises SlotGone, and what submit_judgment raises; then the slot is as it was.
    """
    preference = comparison.turn(preference, shown_first_id)
    content = (preference, checked_rationale(rationale), checked_flags(flags))
    if stored := submitted_before(submission_id, annotator, content, comparison_id=comparison.pk):
        return stored
    slot = reclaim(comparison=comparison, annotator=annotator, now=now)
    Assignment.objects.held_by(annotator, now).filter(pk=slot.pk, lease_token=slot.lease_token).update(
        shown_first=shown_first_id
    )
    assert slot.lease_token is not None, "a slot that was just taken has a token"
    return submit_judgment(
        assignment_id=slot.pk,
        annotator=annotator,
        lease_token=slot.lease_token,
        submission_id=submission_id,
        preference=preference,
        rationale=rationale,
        flags=flags,
        active_seconds=active_seconds,
        interface=interface,
        now=now,
    )
