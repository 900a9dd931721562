"""Forget what runs have copied from a snapshot that is withdrawn: example rows and the texts written on the way.

What was learned from it stays in the weights, and on record; see `training.lineage`.
"""

from __future__ import annotations

import shutil
from datetime import datetime

from django.db import transaction

from feedback.models import Snapshot, User
from training.models import Run
from training.rundir import RunDirectory
from training.stopping import RunEnded, cancel_run


def forget_snapshot(*, snapshot: Snapshot, by: User, now: datetime) -> None:
    """Stop the runs that are at work on `snapshot`, and delete its texts from all that used it.

    Safe to repeat, which also takes what a run wrote while it was being stopped.
    """
    for run in Run.objects.filter(snapshot=snapshot):
        if run.is_unfinished:
            stop(run, by, now)
        forget_texts(run)


def stop(run: Run, by: User, now: datetime) -> None:
    try:
        cancel_run(run=run, now=now, by=by)
    except RunEnded:  # by itself, meanwhile
        return


def forget_texts(run: Run) -> None:
    directory = RunDirectory(run.directory)
    directory.forget_examples()
    directory.previews_path.unlink(missing_ok=True)
    shutil.rmtree(directory.datasets_cache, ignore_errors=True)
    with transaction.atomic():
        fresh = Run.objects.select_for_update().get(pk=run.pk)
        if fresh.preflight.get("examples"):
            fresh.preflight = {**fresh.preflight, "examples": []}
            fresh.save(update_fields=["preflight"])
