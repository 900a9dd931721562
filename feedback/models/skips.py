"""What people passed over, and what curators made of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from feedback.models.tasks import Task


class SkipQuerySet(models.QuerySet["Skip"]):
    def standing(self) -> SkipQuerySet:
        """Without those that the person took back."""
        return self.filter(taken_back_at__isnull=True)

    def up_for_review(self) -> SkipQuerySet:
        """Those that wait for a curator."""
        return self.standing().filter(kind=Skip.Kind.REVIEW, settled_at__isnull=True)

    def keeping_out(self) -> SkipQuerySet:
        """Those for which nobody gets the task: they wait for a curator, or the curator left it out for good."""
        return self.standing().filter(Q(settled_at__isnull=True) | Q(settlement="discard"), kind=Skip.Kind.REVIEW)


class Skip(models.Model):
    """A person passed over a task: what follows, until when, and whether it was taken back."""

    class Kind(models.TextChoices):
        LATER = "later", _("Later")
        OTHERS = "others", _("Leave it to others")
        REVIEW = "review", _("Take it out for review")

    class Reason(models.TextChoices):
        CANNOT_DECIDE = "cannot_decide", _("I cannot decide")
        EXPERTISE = "expertise", _("Outside my expertise")
        UNCOMFORTABLE = "uncomfortable", _("The content is distressing")
        BROKEN = "broken", _("The prompt or a response is broken")
        BREAK = "break", _("I need a break from this one")
        OTHER = "other", _("Something else")

    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="skips")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="skips")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.OTHERS)
    reason = models.CharField(max_length=20, choices=Reason.choices)
    note = models.TextField(blank=True)
    active_seconds = models.FloatField(
        default=0.0, help_text="Work on it before it was passed over; it counts for pay."
    )
    until = models.DateTimeField(null=True, blank=True, help_text="From then on it may come back to the person.")
    taken_back_at = models.DateTimeField(null=True, blank=True, help_text="The person asked for it again.")
    settled_at = models.DateTimeField(null=True, blank=True, help_text="A curator has settled what was up for review.")
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    settlement = models.CharField(
        max_length=10, blank=True, choices=[("return", "Returned to the queue"), ("discard", "Left out for good")]
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SkipQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(active_seconds__gte=0), name="skip_active_seconds_not_negative"),
        ]
        indexes = [
            models.Index(fields=["annotator", "task"], name="skip_by_annotator"),
            models.Index(fields=["annotator", "until"], condition=Q(until__isnull=False), name="skip_put_off"),
        ]
