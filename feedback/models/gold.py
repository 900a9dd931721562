"""Tasks whose good answer is known, and when they are no longer mixed in."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from feedback.models.append_only import AppendOnlyModel
from feedback.models.queues import Queue
from feedback.models.tasks import Task


class GoldQuerySet(models.QuerySet["Gold"]):
    def in_use(self) -> GoldQuerySet:
        """Gold that is mixed in: not retired, and its task not taken out."""
        return self.exclude(retired_now()).filter(task__withdrawn_at__isnull=True)

    def retired(self) -> GoldQuerySet:
        return self.filter(retired_now())


def retired_now() -> Exists:
    return Exists(GoldRetirement.objects.filter(gold=OuterRef("pk"), returned_at__isnull=True))


class Gold(AppendOnlyModel):
    """What a good judgment of a task says. It makes the task one that is mixed in unseen, to learn how people do."""

    class MadeFrom(models.TextChoices):
        CURATOR = "curator", "A curator's own answer"
        ADJUDICATED = "adjudicated", "An adjudication"
        UNANIMOUS = "unanimous", "Unanimous judgments"

    task = models.OneToOneField(Task, on_delete=models.PROTECT, related_name="gold")
    queue = models.ForeignKey(
        Queue, on_delete=models.PROTECT, related_name="gold", help_text="The task's, so that a claim finds it at once."
    )
    answer = models.JSONField(help_text="In response order; feedback.gold says what counts as right.")
    made_from = models.CharField(max_length=12, choices=MadeFrom.choices, default=MadeFrom.CURATOR)
    explanation = models.TextField(blank=True, help_text="Shown to a person whose queue lets them see gold evidence.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = GoldQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(made_from__in=["curator", "adjudicated", "unanimous"]), name="gold_source_is_known"
            ),
        ]


class GoldRetirement(models.Model):
    """Gold that is no longer mixed in, until somebody takes that back.

    What people said of it stays their evidence, unless it was the gold that people disputed.
    """

    class Reason(models.TextChoices):
        EXPOSED = "exposed", "Too many people have seen it"
        DISPUTED = "disputed", "Good people disagree with it"
        CURATOR = "curator", "A curator took it out"

    gold = models.ForeignKey(Gold, on_delete=models.PROTECT, related_name="retirements")
    reason = models.CharField(max_length=10, choices=Reason.choices)
    note = models.TextField(blank=True)
    retired_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="Empty = by the limits of the queue's rules.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    returned_at = models.DateTimeField(null=True, blank=True, help_text="It is mixed in again since then.")
    returned_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["gold"], condition=Q(returned_at__isnull=True), name="gold_retirement_one_stands"
            ),
            models.CheckConstraint(
                condition=Q(reason__in=["exposed", "disputed", "curator"]), name="gold_retirement_reason_is_known"
            ),
        ]
