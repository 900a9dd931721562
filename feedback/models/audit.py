"""Who did what: written in the transaction that does it, never changed."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from feedback.models.append_only import AppendOnlyModel
from feedback.models.jobs import Job
from feedback.models.people import Project, User, new_id


class BulkAction(models.Model):
    """One decision over many judgments, which can be taken back as one."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="bulk_actions")
    action = models.CharField(max_length=20, help_text="accept, reject or requeue.")
    filters = models.JSONField(default=dict, help_text="What was chosen, as the page's filters say it.")
    reason = models.TextField(blank=True)
    count = models.PositiveIntegerField(default=0, help_text="How many judgments it has decided.")
    job = models.ForeignKey(
        Job, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="What carries it out."
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(action__in=["accept", "reject", "requeue"]), name="bulk_action_is_known"
            ),
            models.CheckConstraint(
                condition=Q(undone_at__isnull=True, undone_by__isnull=True)
                | Q(undone_at__isnull=False, undone_by__isnull=False),
                name="bulk_action_undone_by_somebody",
            ),
        ]


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    def in_project(self, project: Project) -> AuditEventQuerySet:
        return self.filter(project=project)

    def by(self, person: User) -> AuditEventQuerySet:
        return self.filter(actor=person)

    def about(self, subject: str, subject_id: object) -> AuditEventQuerySet:
        """What was done to one thing, named as `feedback.audit.name_of` names its kind."""
        return self.filter(subject=subject, subject_id=str(subject_id))

    def acting(self, action: str) -> AuditEventQuerySet:
        """One act ("judgment.reject"), or all acts on a noun ("judgment")."""
        return self.filter(Q(action=action) | Q(action__startswith=f"{action}."))

    def between(self, since: datetime | None, until: datetime | None) -> AuditEventQuerySet:
        """From `since` up to but not including `until`; None leaves that side open."""
        found = self if since is None else self.filter(created_at__gte=since)
        return found if until is None else found.filter(created_at__lt=until)


class AuditEvent(AppendOnlyModel):
    """One act of a person: on what, what it was before, what it is now."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="audit_events")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="Empty when the product acted by a rule that somebody had set.",
    )
    action = models.CharField(max_length=60, help_text="noun.verb, such as judgment.reject.")
    subject = models.CharField(max_length=40, help_text="Kind of thing: judgment, task, queue, person, snapshot ...")
    subject_id = models.CharField(max_length=64)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    reason = models.TextField(blank=True)
    bulk = models.ForeignKey(BulkAction, on_delete=models.PROTECT, null=True, blank=True, related_name="events")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["project", "actor", "-id"], name="audit_by_actor"),
            models.Index(fields=["project", "-id"], name="audit_by_project"),
            models.Index(fields=["subject", "subject_id", "-id"], name="audit_by_subject"),
        ]
