"""Frozen datasets: the only human feedback that training ever sees."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from feedback.contract import TABLES
from feedback.models.append_only import AppendOnlyModel
from feedback.models.people import Project, new_id


class SnapshotQuerySet(models.QuerySet["Snapshot"]):
    def with_preferences(self) -> SnapshotQuerySet:
        """Those that hold a preference row, which reward models and DPO learn from, and are not withdrawn."""
        return self.filter(withdrawn_at__isnull=True).filter(
            Q(manifest__counts__rows__preference__train__gt=0) | Q(manifest__counts__rows__preference__evaluation__gt=0)
        )


class Snapshot(AppendOnlyModel):
    """Parquet files, a manifest and a card under a content hash; written once and checked on every read."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="snapshots")
    name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64, help_text="Of manifest.json, which lists the sha256 of every other file.")
    manifest = models.JSONField(help_text="The parsed manifest.json.")
    withdrawn_at = models.DateTimeField(
        null=True, blank=True, help_text="Since then its files are gone and nothing can be trained on it."
    )
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="snapshot_name_once_per_project"),
            models.UniqueConstraint(fields=["project", "sha256"], name="snapshot_content_once_per_project"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def directory(self) -> Path:
        return Path(settings.DATA_DIR) / "snapshots" / self.sha256

    def rows(self, table: str, split: str) -> int:
        """Return how many rows of `table` (feedback.contract.TABLES) and `split` it holds."""
        return int(self.manifest.get("counts", {}).get("rows", {}).get(table, {}).get(split, 0))

    def compared(self, split: str) -> int:
        """Return how many preferences of `split` a person gave between two responses, all pairs of a ranking as one."""
        return int(self.manifest.get("counts", {}).get("compared", {}).get(split, 0))

    def ties(self, split: str) -> int:
        """Return how many rows of `split` are two responses that somebody found equally good."""
        return int(self.manifest.get("counts", {}).get("ties", {}).get(split, 0))

    def thumbs_up(self, split: str) -> int:
        """Return how many of the thumbs of `split` are up; all of them where the snapshot is older than the count."""
        counted = self.manifest.get("counts", {}).get("thumbs_up")
        return self.rows("unpaired", split) if counted is None else int(counted.get(split, 0))

    @property
    def judgment_count(self) -> int:
        return int(self.manifest.get("counts", {}).get("judgments", 0))

    @property
    def tables(self) -> list[str]:
        """The tables that it has rows of, preferences first."""
        rows = self.manifest.get("counts", {}).get("rows", {})
        return [table for table in TABLES if table in rows]
