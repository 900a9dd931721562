"""What people agreed to, what they took back, and what was erased for them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from feedback.models.append_only import AppendOnlyModel
from feedback.models.jobs import Job
from feedback.models.people import Project, new_id


class ConsentText(AppendOnlyModel):
    """One version of what a project asks its annotators to agree to. A new text is a new version."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="consent_texts")
    number = models.PositiveIntegerField()
    text = models.TextField(help_text="Markdown; an empty one ends the question.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="consent_text_number_once")]


class Consent(models.Model):
    """A person agreed to one version; withdrawn, their labels stay out of every later snapshot."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="consents")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="consents")
    text = models.ForeignKey(ConsentText, on_delete=models.PROTECT, null=True, blank=True, related_name="consents")
    given_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "person"], condition=Q(withdrawn_at__isnull=True), name="consent_one_in_force"
            ),
        ]
        indexes = [models.Index(fields=["project", "person", "-id"], name="consent_latest")]


class ErasureRequest(models.Model):
    """A person asked that their labels and texts be erased; an admin settles it."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="erasure_requests")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    settlement = models.CharField(max_length=10, blank=True, choices=[("erase", "Erased"), ("refuse", "Refused")])
    answer = models.TextField(blank=True, help_text="Why nothing is erased; the person reads it.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "person"], condition=Q(settled_at__isnull=True), name="erasure_request_one_open"
            ),
        ]


class Erasure(models.Model):
    """The receipt of an erasure: what was erased, and every snapshot and checkpoint that had learned from it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="erasures")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    pseudonym = models.CharField(max_length=100, help_text="Under which the person stands in the snapshots.")
    reason = models.TextField(blank=True)
    receipt = models.JSONField(default=dict, help_text="What was erased, and every snapshot that holds it.")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)
    close_account = models.BooleanField(default=False, help_text="The account, too, is made nobody's.")
    job = models.ForeignKey(Job, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "person"], condition=Q(finished_at__isnull=True), name="erasure_one_under_way"
            ),
        ]
