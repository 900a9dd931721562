"""Work that takes longer than a request: imports, scans, measurements, freezes, exports."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from feedback.models.people import Project, new_id


class JobQuerySet(models.QuerySet["Job"]):
    def claimable(self) -> JobQuerySet:
        """Queued jobs, and running ones whose worker has not renewed its lease; in database time."""
        return self.filter(Q(state=Job.State.QUEUED) | Q(state=Job.State.RUNNING, lease_expires_at__lte=Now()))

    def unfinished(self) -> JobQuerySet:
        return self.filter(state__in=Job.UNFINISHED)


class Job(models.Model):
    """One piece of such work, carried out under a lease by `manage.py clerk`, or in the request when it is small.

    What it does is `feedback.job_kinds`; how far it is and how it goes on after a crash, `feedback.jobs`.
    """

    class Kind(models.TextChoices):
        IMPORT_CHECK = "import_check", "Check a file"
        IMPORT = "import", "Import"
        IMPORT_UNDO = "import_undo", "Undo an import"
        SCAN = "scan", "Look for personal data, languages and near-duplicates"
        MEASURE = "measure", "Measure quality"
        REVIEW = "review", "Review in bulk"
        FREEZE = "freeze", "Freeze a snapshot"
        EXPORT = "export", "Export a snapshot"
        PUSH = "push", "Push a snapshot to a hub"
        ERASE = "erase", "Erase a person's labels and texts"
        MODEL = "model", "Import a model"

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    UNFINISHED = ("queued", "running")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="jobs")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    params = models.JSONField(default=dict, help_text="What to do; never changed once the job is made.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    cursor = models.JSONField(default=dict, help_text="How far it got; a resumed job goes on from there.")
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(null=True, blank=True, help_text="Empty while nobody knows.")
    words = models.CharField(max_length=200, blank=True, help_text="What it is doing now, for people.")
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    lease_owner = models.CharField(max_length=100, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    crashes = models.PositiveIntegerField(default=0, help_text="Attempts that ended without saying why.")
    claimed_at = models.DateTimeField(null=True, blank=True, help_text="When the present attempt began.")
    done_when_claimed = models.PositiveBigIntegerField(default=0)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="running") | Q(lease_expires_at__isnull=False), name="job_running_has_lease"
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state__in=["queued", "running"]), name="job_unfinished"),
            models.Index(fields=["project", "kind", "-id"], name="job_by_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"

    @property
    def is_over(self) -> bool:
        return self.state not in self.UNFINISHED

    @property
    def percent(self) -> int | None:
        """Share that is done, rounded down; None while the total is not known."""
        return min(100, 100 * self.done // self.total) if self.total else None
