"""Runs, checkpoints and workers as they stand in the database, to look at: verbs and workers alone write them."""

from __future__ import annotations

from django.contrib import admin

from feedback.admin import ReadOnlyAdmin
from training.models import Checkpoint, Run


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "project",
        "kind",
        "state",
        "attempt",
        "crashes",
        "lease_owner",
        "created_at",
        "finished_at",
    )
    list_filter = ("state", "kind", "project")
    search_fields = ("id", "name")


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    list_display = ("name", "project", "kind", "parent", "snapshot", "step", "created_at")
    list_filter = ("kind", "project")
    search_fields = ("id", "name", "sha256")
