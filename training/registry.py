"""What people do with checkpoints that are there: say what they are, and delete the files of those nobody needs."""

from __future__ import annotations

import logging
import shutil
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.db.models import Q, QuerySet

from feedback.audit import record
from feedback.models import Queue, User
from feedback.refusals import Refusal
from training.models import Checkpoint, Run
from training.promotions import current_promotion

logger = logging.getLogger(__name__)

NOTE_LIMIT = 20_000


class RegistryRefused(Refusal):
    """The checkpoint stays as it is; `field` says which value is wrong."""


@transaction.atomic
def describe_checkpoint(*, checkpoint: Checkpoint, licence: str, note: str, by: User) -> Checkpoint:
    """Say under which licence its weights are and what people have to know of it. Raises RegistryRefused."""
    licence, note = licence.strip(), note.strip()
    if len(licence) > 100 or "\x00" in licence or "\n" in licence:
        raise RegistryRefused("licence", "give the licence's short name, such as Apache-2.0, in at most 100 characters")
    if len(note) > NOTE_LIMIT or "\x00" in note:
        raise RegistryRefused("note", f"write at most {NOTE_LIMIT:,} characters of text")
    stored = Checkpoint.objects.select_for_update().get(pk=checkpoint.pk)
    before = {"licence": stored.licence, "note": stored.note}
    after = {"licence": licence, "note": note}
    if before == after:
        return stored
    stored.licence, stored.note = licence, note
    stored.save(update_fields=["licence", "note"])
    record(project=stored.project, actor=by, action="checkpoint.describe", subject=stored, before=before, after=after)
    return stored


def licence_of(checkpoint: Checkpoint, ancestors: list[Checkpoint]) -> str:
    """Return the licence that was stated for it, or else for the nearest model that it was made from."""
    return next((one.licence for one in (checkpoint, *ancestors) if one.licence), "")


def needed_by(checkpoint: Checkpoint) -> list[str]:
    """Say what keeps its files from being deleted, each in a sentence for people; empty when nothing does."""
    if checkpoint.run_id is None:
        return [f"{checkpoint} comes from outside: its files are not Concord's to delete."]
    said = [
        f"The run {run.name} uses it and is not over: cancel it, or wait for its end."
        for run in unfinished_runs_with(checkpoint)
    ]
    said += [
        f"{child.name} is an adapter over it and cannot be used without it; delete that first, or merge it."
        for child in checkpoint.children.filter(is_whole=False, files_deleted_at__isnull=True)
    ]
    current = current_promotion(checkpoint.project, checkpoint.kind)
    if current is not None and current.checkpoint_id == checkpoint.pk:
        said.append(f"It is the project's current {checkpoint.get_kind_display().lower()}; promote another one first.")
    said += [f"It answers in the queue {queue.name}; choose another model there." for queue in talks_with(checkpoint)]
    return said


def unfinished_runs_with(checkpoint: Checkpoint) -> QuerySet[Run]:
    uses = Q(policy=checkpoint) | Q(reward=checkpoint) | Q(others=checkpoint)
    return Run.objects.unfinished().filter(uses).distinct()


def talks_with(checkpoint: Checkpoint) -> list[Queue]:
    """Return the queues in which people talk with it now."""
    queues = checkpoint.project.queues.exclude(state=Queue.State.CLOSED).filter(kind="conversation")
    asked = queues.select_related("schema")
    return [queue for queue in asked if queue.schema and str(checkpoint.pk) in queue.schema.content.get("policies", [])]


def delete_files(*, checkpoint: Checkpoint, name: str, by: User, now: datetime) -> Checkpoint:
    """Delete the weights of `checkpoint` for good; what it was, and where it came from, stays on record.

    `name` has to be the checkpoint's. Again deletes what a crash may have left. Raises RegistryRefused, with the
    checkpoint as it was unless the message says that some files could not be removed.
    """
    if name.strip() != checkpoint.name:
        raise RegistryRefused("name", f"type the checkpoint's name, {checkpoint.name}; this cannot be undone")
    with transaction.atomic():
        stored = (
            Checkpoint.objects.select_for_update(of=("self",)).select_related("project", "run").get(pk=checkpoint.pk)
        )
        reasons = needed_by(stored)
        if reasons:
            raise RegistryRefused("checkpoint", " ".join(reasons))
        if stored.files_deleted_at is None:
            stored.files_deleted_at, stored.files_deleted_by = now, by
            stored.save(update_fields=["files_deleted_at", "files_deleted_by"])
            record(
                project=stored.project,
                actor=by,
                action="checkpoint.delete",
                subject=stored,
                after={"name": stored.name, "sha256": stored.sha256},
                now=now,
            )
    for folder in own_folders(stored):
        remove(folder)
    logger.info("the files of checkpoint %s are deleted", stored.pk)
    return stored


def remove(folder: Path) -> None:
    """Remove a folder if it is there; a link to another place is not followed. Raises RegistryRefused."""
    try:
        if folder.exists() or folder.is_symlink():
            shutil.rmtree(folder)
    except OSError as error:
        raise RegistryRefused(
            "checkpoint",
            f"it cannot be used any more, but files of it are left in {folder}: {error}. Remove them there, or let the "
            "site do so and delete it again",
        ) from error


def own_folders(checkpoint: Checkpoint) -> list[Path]:
    """Return what its run has left on the disk: the model, and the state that it was resumed from."""
    assert checkpoint.run is not None, "only what a run left is deleted"
    return [checkpoint.run.directory / "model", checkpoint.run.directory / "checkpoints"]
