"""What curators make of judgments: comments, adjudications, and how many of a person they look at."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from feedback.models.append_only import AppendOnlyModel
from feedback.models.judgments import Judgment
from feedback.models.people import Project
from feedback.models.queues import Queue
from feedback.models.tasks import Task


class Comment(AppendOnlyModel):
    """Something said about a judgment or, without one, about a task, between curators or with the annotator."""

    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="comments")
    judgment = models.ForeignKey(Judgment, on_delete=models.PROTECT, null=True, blank=True, related_name="comments")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="comments")
    text = models.TextField()
    for_annotator = models.BooleanField(
        default=False, help_text="The judgment's annotator sees it and can answer; else curators only."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(for_annotator=False) | Q(judgment__isnull=False), name="comment_for_annotator_has_judgment"
            ),
        ]


class AdjudicationQuerySet(models.QuerySet["Adjudication"]):
    def standing(self) -> AdjudicationQuerySet:
        """The latest one of each task, where it has not been taken back."""
        later = Adjudication.objects.filter(task=OuterRef("task"), pk__gt=OuterRef("pk"))
        return self.filter(~Exists(later), answer__isnull=False)


class Adjudication(AppendOnlyModel):
    """The answer that a curator settled on for a task. The latest one counts; an empty answer takes it back."""

    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="adjudications")
    answer = models.JSONField(
        null=True, help_text="In response order, {preference, content, rationale, flags}; empty = taken back."
    )
    reason = models.TextField(blank=True)
    adjudicator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = AdjudicationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]


class DisputeQuerySet(models.QuerySet["Dispute"]):
    def waiting(self) -> DisputeQuerySet:
        """Those that nobody has adjudicated, nor said of that the difference may stand."""
        standing = Adjudication.objects.standing().filter(task=OuterRef("task"))
        return self.filter(~Exists(standing), dismissed_at__isnull=True)


class Dispute(models.Model):
    """A task on which people differ once all who were asked have judged it; proposed for adjudication."""

    task = models.OneToOneField(Task, on_delete=models.PROTECT, related_name="dispute")
    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, db_index=False, related_name="disputes")
    dismissed_at = models.DateTimeField(null=True, blank=True, help_text="A curator lets the difference stand.")
    dismissed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = DisputeQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["queue", "-id"], name="dispute_by_queue")]


class ReviewRate(models.Model):
    """Share of one person's judgments that is drawn for review, where it differs from the queue's own."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="review_rates")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    percent = models.PositiveSmallIntegerField(validators=[MaxValueValidator(100)])
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "person"], name="review_rate_once_per_person"),
            models.CheckConstraint(condition=Q(percent__lte=100), name="review_rate_in_range"),
        ]
