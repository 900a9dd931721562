"""Freeze judgments into a dataset that never changes, check it, hand it out."""

from __future__ import annotations

import importlib.metadata
import itertools
import logging
import shutil
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, Max, Sum
from django.utils.text import slugify

from feedback.audit import record
from feedback.models import Finding, Job, Project, Snapshot, User
from feedback.refusals import Refusal
from feedback.selection import LEFT_OUT, Selection
from feedback.snapshot_card import write_card
from feedback.snapshot_content import manifest_of
from feedback.snapshot_files import MANIFEST, SnapshotDamaged, publish, verify_directory, write_manifest, write_tables
from feedback.snapshot_members import write_members
from feedback.snapshot_reading import Reading
from feedback.snapshot_verdicts import Rows, decide
from feedback.snapshot_votes import READ_AGAIN, Progress, StillChanging, TextsChanged, Votes, read_votes

__all__ = ["SnapshotDamaged", "SnapshotRefused", "archive_name", "freeze_snapshot", "snapshot_zip", "verify_snapshot"]

logger = logging.getLogger(__name__)

FORMAT = 3
READ_SIZE = 2**20
NAME_LENGTH_LIMIT = 200
Step = Callable[[], AbstractContextManager[Any]]


class SnapshotRefused(Refusal):
    """A snapshot cannot be frozen as asked; `field` says why. `existing` has the content already, if one does."""

    def __init__(self, field: str, message: str, existing: Snapshot | None = None) -> None:
        super().__init__(field, message)
        self.existing = existing


def since_last_snapshot(project: Project, limit: int = 10_000) -> int:
    """Return how many judgments could be frozen that are newer than all of the last snapshot's; `limit` at most."""
    fresh = Selection().eligible(project)
    last = project.snapshots.first()
    if last is not None and last.manifest.get("newest"):
        fresh = fresh.filter(pk__gt=uuid.UUID(last.manifest["newest"]))
    return fresh.order_by()[:limit].count()


def check_freeze(*, project: Project, name: str, selection: Selection) -> str:
    """Return the name as it is kept. Raises SnapshotRefused for what can be told without reading a judgment."""
    name = name.strip()
    if not name or len(name) > NAME_LENGTH_LIMIT or "\x00" in name:
        raise SnapshotRefused("name", f"give the snapshot a name of at most {NAME_LENGTH_LIMIT} characters")
    if Snapshot.objects.filter(project=project, name=name).exists():
        raise SnapshotRefused("name", f"the project already has a snapshot named {name!r}")
    wanted = set(selection.queues or ())
    if len(wanted) != project.queues.filter(pk__in=wanted).count():
        raise SnapshotRefused("queues", "one of the queues is none of this project")
    return name


def freeze_snapshot(
    *,
    project: Project,
    name: str,
    created_by: User,
    selection: Selection | None = None,
    progress: Progress | None = None,
    step: Step = transaction.atomic,
    now: datetime,
) -> Snapshot:
    """Write what is selected to files under their content hash, then the row that makes them a snapshot.

    `feedback.snapshot_rows` says what each answer becomes. Which judgments go in, and with which answer, is of one
    point in time; where a text is redacted or erased meanwhile, all texts are read again.
    The files are written aside, synced and renamed, and only then does the row appear: whatever a crash leaves behind
    is either invisible or whole, and freezing again uses it. The same judgments give the same hash.
    `step` opens the transaction in which the row is made. Raises SnapshotRefused.
    """
    selection = selection or Selection()
    name = check_freeze(project=project, name=name, selection=selection)
    for _ in range(READ_AGAIN):
        try:
            return freeze_once(
                project=project, name=name, created_by=created_by, selection=selection, progress=progress, step=step,
                now=now,
            )  # fmt: skip
        except TextsChanged:
            logger.info("texts of %s changed while they were frozen; reading them again", project.slug)
    raise StillChanging("judgments", "texts are redacted or erased while they are read; try again in a moment")


def freeze_once(
    *,
    project: Project,
    name: str,
    created_by: User,
    selection: Selection,
    progress: Progress | None,
    step: Step,
    now: datetime,
) -> Snapshot:
    before = texts_changed_last(project)
    votes = read_votes(project=project, selection=selection, progress=progress)
    rows = decide(votes, selection)
    if not len(rows):
        raise SnapshotRefused("judgments", nothing_to_freeze(votes))
    root = Path(settings.DATA_DIR) / "snapshots"
    directory = root / f".writing-{uuid.uuid4().hex}"
    try:
        directory.mkdir(parents=True)
        content = write_content(directory, project, votes, rows, selection, progress)
        sha256 = write_manifest(directory, content)
        refuse_known_content(project, sha256)
        publish(directory, root / sha256)
    except OSError as error:
        logger.exception("a snapshot of %s cannot be written to %s", project.slug, root)
        raise SnapshotRefused(
            "files", f"the files cannot be written ({error.strerror}), so nothing is frozen; tell whoever runs the site"
        ) from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    manifest = verify_directory(root / sha256, sha256)
    try:
        with step():
            Project.objects.select_for_update().get(pk=project.pk)  # nothing is taken out meanwhile
            if not (root / sha256 / MANIFEST).is_file():
                raise TextsChanged  # another freeze of the same judgments has found that, and put them away
            snapshot = Snapshot.objects.create(
                project=project, name=name, sha256=sha256, manifest=manifest, created_by=created_by, created_at=now
            )
            record(
                project=project, actor=created_by, action="snapshot.freeze", subject=snapshot,
                after={"name": name, "sha256": sha256, "judgments": manifest["counts"]["judgments"]}, now=now,
            )  # fmt: skip
            if texts_changed_last(project) != before:
                raise TextsChanged
    except IntegrityError as error:
        refuse_known_content(project, sha256)
        raise SnapshotRefused("name", f"the project already has a snapshot named {name!r}") from error
    except TextsChanged:
        put_away(project, root / sha256)
        raise
    return snapshot


def put_away(project: Project, directory: Path) -> None:
    """Delete files that no snapshot came of; those of another freeze of the same judgments stay."""
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        if not Snapshot.objects.filter(project=project, sha256=directory.name).exists():
            shutil.rmtree(directory, ignore_errors=True)


def texts_changed_last(project: Project) -> tuple[Any, ...]:
    """Return what is different once a text of the project was erased, redacted or removed, also by work under way."""
    redacted = Finding.objects.filter(project=project, settlement="redact").aggregate(Max("settled_at"))
    removed = Job.objects.filter(project=project, kind__in=(Job.Kind.ERASE, Job.Kind.IMPORT_UNDO))
    return (*redacted.values(), *removed.aggregate(Count("pk"), Sum("done"), Max("finished_at")).values())


def write_content(
    directory: Path, project: Project, votes: Votes, rows: Rows, selection: Selection, progress: Progress | None
) -> dict[str, Any]:
    """Write tables, members and card; return what the manifest says besides the files' digests."""
    reading = Reading(project, votes, rows, keeps_ties=selection.keep_ties)

    def pieces() -> Iterator[dict[tuple[str, str], Any]]:
        for done, tables in reading.tables():
            yield tables
            if progress is not None:
                progress(done, len(rows), "Writing rows")

    counts = write_tables(directory, pieces())
    members = np.unique(rows.votes)
    write_members(directory, votes.judgment[members])
    content = {
        "format": FORMAT,
        "code": f"concord {importlib.metadata.version('concord')}",
        **manifest_of(project=project, votes=votes, rows=rows, selection=selection, reading=reading, counts=counts),
    }
    write_card(directory, content)
    return content


def nothing_to_freeze(votes: Votes) -> str:
    left_out = votes.left_out()
    counts = ", ".join(f"{left_out[reason]:,} {words}" for reason, words in LEFT_OUT.items() if left_out[reason])
    if counts:
        return f"there is nothing to freeze: every judgment is left out ({counts})"
    return "there is nothing to freeze: nobody has judged anything here yet"


def refuse_known_content(project: Project, sha256: str) -> None:
    existing = Snapshot.objects.filter(project=project, sha256=sha256).first()
    if existing is not None:
        raise SnapshotRefused(
            "judgments", f"the snapshot {existing.name!r} holds exactly these judgments already", existing
        )


# Checking and handing out -----------------------------------------------------------------------------


def verify_snapshot(snapshot: Snapshot) -> None:
    """Read every file of the snapshot and compare it with what was frozen. Raises SnapshotDamaged."""
    refuse_withdrawn(snapshot)
    verify_directory(snapshot.directory, snapshot.sha256)


def refuse_withdrawn(snapshot: Snapshot) -> None:
    """Raise SnapshotDamaged for a snapshot whose files were deleted on purpose (feedback.withdrawing)."""
    if snapshot.withdrawn_at is not None:
        raise SnapshotDamaged(f"It was withdrawn on {snapshot.withdrawn_at:%d %B %Y}, and its files were deleted.")


def archive_name(snapshot: Snapshot) -> str:
    """Return the file name under which `snapshot_zip` is handed out."""
    return f"{slugify(snapshot.name) or 'snapshot'}-{snapshot.sha256[:8]}.zip"


def snapshot_zip(snapshot: Snapshot) -> Iterator[bytes]:
    """Check the files, then return them as one zip archive in pieces. Raises SnapshotDamaged before the first."""
    refuse_withdrawn(snapshot)
    manifest = verify_directory(snapshot.directory, snapshot.sha256)
    folder = f"{snapshot.project.slug}-{snapshot.sha256[:12]}"
    file = tempfile.TemporaryFile()  # noqa: SIM115 closed by the generator below
    with zipfile.ZipFile(file, "w") as archive:
        for name in itertools.chain([MANIFEST], sorted(manifest["files"])):
            entry = zipfile.ZipInfo(f"{folder}/{name}")
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".parquet") else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with (snapshot.directory / name).open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target, READ_SIZE)
    return pieces_of(file, file.close)


def pieces_of(file: Any, close: Callable[[], None]) -> Iterator[bytes]:
    """Yield a file from its beginning, and close it."""
    file.seek(0)
    try:
        while piece := file.read(READ_SIZE):
            yield piece
    finally:
        close()
