"""Withdraw a snapshot: its rows are deleted for good, what it was stays on record, and nothing can be trained on it."""

from __future__ import annotations

import logging
import os
import shutil
from datetime import datetime

from django.db import transaction

from feedback.audit import record
from feedback.models import Snapshot, User
from feedback.models.append_only import wipe
from feedback.policies import policies
from feedback.refusals import Refusal
from feedback.snapshot_members import MEMBERS

logger = logging.getLogger(__name__)

KEPT = frozenset({"manifest.json", MEMBERS})
"""What stays on disk: digests, counts and ids. They say what checkpoints have learned from, and nobody's words."""


class WithdrawalRefused(Refusal):
    """The snapshot stays as it is; `field` says which value is wrong."""


def withdraw_snapshot(*, snapshot: Snapshot, name: str, reason: str, by: User, now: datetime) -> Snapshot:
    """Mark the snapshot as withdrawn, then delete its files and what runs copied from it; runs at work on it stop.

    Again deletes what a crash, or a run that was being stopped, may have left. `name` has to be the snapshot's: this
    cannot be undone. Raises WithdrawalRefused.
    """
    reason = reason.strip()
    if name.strip() != snapshot.name:
        raise WithdrawalRefused("name", f"type the snapshot's name, {snapshot.name}; this cannot be undone")
    if not reason or len(reason) > 5_000 or "\x00" in reason:
        raise WithdrawalRefused("reason", "say why, in at most 5,000 characters; it stands in the audit log")
    with transaction.atomic():
        fresh = Snapshot.objects.filter(pk=snapshot.pk, withdrawn_at__isnull=True)
        if wipe(fresh, withdrawn_at=now, withdrawn_by=by):
            record(
                project=snapshot.project, actor=by, action="snapshot.withdraw", subject=snapshot,
                after={"name": snapshot.name, "sha256": snapshot.sha256}, reason=reason, now=now,
            )  # fmt: skip
    delete_files(snapshot)
    policies().forget_snapshot(snapshot=snapshot, by=by, now=now)
    snapshot.refresh_from_db()
    return snapshot


def delete_files(snapshot: Snapshot) -> None:
    """Delete all but KEPT, also what was exported from it; another snapshot with the very same content keeps them."""
    alike = Snapshot.objects.filter(sha256=snapshot.sha256, withdrawn_at__isnull=True)
    if not snapshot.directory.is_dir() or alike.exists():
        return
    for entry in os.scandir(snapshot.directory):
        if entry.name in KEPT:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    logger.info("the files of snapshot %s are deleted", snapshot.pk)
