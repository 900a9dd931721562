"""Accept or reject what annotators said."""

from __future__ import annotations

from django.db import transaction

from feedback.models import Judgment, Review, User
from feedback.refusals import Refusal

REASON_LENGTH_LIMIT = 2_000


class ReviewRefused(Refusal):
    """A review cannot be stored as asked; `field` says which value is wrong."""


@transaction.atomic
def review_judgment(*, judgment: Judgment, reviewer: User, accepted: bool, reason: str = "") -> Review:
    """Store a review; the latest one counts. The same verdict by the same person again adds none.

    Snapshots that hold the judgment keep it. Raises ReviewRefused.
    """
    reason = reason.strip()
    if not accepted and not reason:
        raise ReviewRefused("reason", "say why, so that the annotator can learn from it")
    if len(reason) > REASON_LENGTH_LIMIT or "\x00" in reason:
        raise ReviewRefused("reason", f"write at most {REASON_LENGTH_LIMIT:,} characters, without NUL")
    if Judgment.objects.filter(supersedes=judgment).exists():
        raise ReviewRefused("judgment", "the annotator has revised this judgment; review the revision")
    latest = judgment.reviews.first()
    if latest is not None and (latest.accepted, latest.reason, latest.reviewer_id) == (accepted, reason, reviewer.pk):
        return latest
    return Review.objects.create(judgment=judgment, reviewer=reviewer, accepted=accepted, reason=reason)
