"""The processes that work beside the site."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models

SILENT_AFTER = timedelta(seconds=30)


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self, now: datetime) -> WorkerQuerySet:
        return self.filter(last_seen_at__gt=now - SILENT_AFTER)


class Worker(models.Model):
    """A process that says it is alive, so that a page can tell when nobody will take what waits."""

    class Work(models.TextChoices):
        RUNS = "runs", "Carries out runs"
        TALKS = "talks", "Answers in conversations"
        JOBS = "jobs", "Carries out jobs"

    name = models.CharField(max_length=100, unique=True)
    work = models.CharField(max_length=10, choices=Work.choices, default=Work.RUNS)
    started_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField()
    device = models.CharField(max_length=10, blank=True, help_text="cpu or cuda; empty for work without models.")
    device_name = models.CharField(max_length=200, blank=True)
    memory_gb = models.FloatField(null=True, blank=True, help_text="GiB of the device that it works on.")
    labels = models.JSONField(default=list, blank=True, help_text="Words that runs may ask for.")

    objects = WorkerQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
