"""Say which share of one person's work is drawn for review, where it differs from the queue's own."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from feedback.audit import record
from feedback.models import Membership, Project, ReviewRate, User
from feedback.refusals import Refusal


class RateRefused(Refusal):
    """A rate cannot be set as asked; `field` says which value is wrong."""


@transaction.atomic
def set_review_rate(
    *, project: Project, person: User, percent: int | None, set_by: User, now: datetime
) -> ReviewRate | None:
    """Draw so many percent of the person's judgments for review; None goes by each queue's own rule again.

    What was drawn before is not drawn anew: a judgment's draw is its own, so that a higher share adds to a lower one.
    Raises RateRefused.
    """
    if percent is not None and (not isinstance(percent, int) or isinstance(percent, bool) or not 0 <= percent <= 100):
        raise RateRefused("percent", f"{percent!r} is not a whole number from 0 to 100")
    if not Membership.objects.filter(project=project, user=person).exists():
        raise RateRefused("person", f"{person.username} is no member of this project")
    before = ReviewRate.objects.select_for_update().filter(project=project, person=person).first()
    if (before.percent if before else None) == percent:
        return before
    rate = None
    if percent is None:
        ReviewRate.objects.filter(project=project, person=person).delete()
    else:
        rate, _ = ReviewRate.objects.update_or_create(
            project=project, person=person, defaults={"percent": percent, "set_by": set_by, "set_at": now}
        )
    record(
        project=project,
        actor=set_by,
        action="person.set_review_rate",
        subject=person,
        before={"percent": before.percent if before else None},
        after={"percent": percent},
        now=now,
    )
    return rate
