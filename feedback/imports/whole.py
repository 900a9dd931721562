"""A file in one go: taken in, checked and stored; every row is good, or nothing is stored."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from feedback.imports.describing import ImportBusy, ImportUnfit
from feedback.imports.errors import ImportRefused, RowError, read_errors
from feedback.imports.files import errors_of, folder_of
from feedback.imports.starting import check_import, store_import
from feedback.imports.uploading import take_path, take_upload
from feedback.jobs import carry_out
from feedback.models import FileImport, Job, Project, User


def import_file(
    *,
    project: Project,
    path: Path,
    filename: str = "",
    created_by: User | None = None,
    leave_out_bad: bool = False,
    **about: Any,
) -> FileImport:
    """Import a file or dataset directory of this machine, however long it takes. Raises ImportRefused.

    `about` is what `feedback.imports.describing` takes: kind, form, mapping, queue, source, licence and so on.
    """
    try:
        file_import = take_path(project=project, path=path, filename=filename, created_by=created_by, **about)
    except ImportUnfit as refusal:
        raise refused_whole(refusal.field, refusal.message) from refusal
    return carry_through(file_import, by=created_by, leave_out_bad=leave_out_bad)


def import_upload(
    *, project: Project, pieces: Iterable[bytes], filename: str, created_by: User | None, **about: Any
) -> FileImport:
    """As `import_file`, of bytes that a browser or a script sends. Raises ImportRefused."""
    try:
        file_import = take_upload(project=project, pieces=pieces, filename=filename, created_by=created_by, **about)
    except ImportUnfit as refusal:
        raise refused_whole(refusal.field, refusal.message) from refusal
    return carry_through(file_import, by=created_by)


def carry_through(file_import: FileImport, *, by: User | None, leave_out_bad: bool = False) -> FileImport:
    """Check and store an import in this process, to its end. Raises ImportRefused, and then nothing is left of it."""
    file_import = check_import(file_import=file_import, by=by)
    finish(file_import)
    try:
        file_import = store_import(file_import=file_import, by=by, leave_out_bad=leave_out_bad)
    except ImportBusy as refusal:
        total = int(file_import.counts.get("bad", 0))
        folder = folder_of(file_import)
        errors = read_errors(errors_of(file_import)) or [RowError(0, "", refusal.message)]
        file_import.delete()
        shutil.rmtree(folder, ignore_errors=True)
        raise ImportRefused(errors, max(total, len(errors))) from refusal
    finish(file_import)
    return file_import


def finish(file_import: FileImport) -> None:
    """Bring the import's job to its end in this process. Raises ImportRefused when it failed."""
    job = file_import.job
    assert job is not None, "the import has been started"
    while not job.is_over:
        job = carry_out(job)
    if job.state != Job.State.SUCCEEDED:
        raise refused_whole("", job.error or f"the job was {job.get_state_display().lower()}")
    file_import.refresh_from_db()


def refused_whole(column: str, message: str) -> ImportRefused:
    return ImportRefused([RowError(0, "" if column == "file" else column, message)], 1)
