"""Start what takes its time: the check of a file, the storing of what is good, and taking all of it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from feedback import audit
from feedback.imports.describing import BEFORE_STORING, ImportBusy, at_rest
from feedback.imports.files import drop_source
from feedback.jobs import carry_out, start_job
from feedback.models import FileImport, Job, User

SMALL_BYTES = 4 * 2**20
"""A file of this size is worked on in the request that asks for it, as long as a request may take."""

State = FileImport.State


def check_import(*, file_import: FileImport, by: User | None) -> FileImport:
    """Have the whole file checked; nothing of it is stored. Raises ImportBusy."""
    return start(file_import, by, Job.Kind.IMPORT_CHECK, BEFORE_STORING, State.CHECKING, "import.check")


def store_import(*, file_import: FileImport, by: User | None, leave_out_bad: bool = False) -> FileImport:
    """Have what was checked stored. Rows with errors stop it, unless they are to be left out. Raises ImportBusy."""
    counts = file_import.counts
    if file_import.state == State.CHECKED:
        if counts.get("unreadable"):
            raise ImportBusy("state", "the file as a whole has an error; mend it, or say anew what it is")
        if not counts.get("good"):
            raise ImportBusy("state", "no row of the file is good; there is nothing to store")
        if counts.get("bad") and not leave_out_bad:
            raise ImportBusy(
                "leave_out_bad", f"{counts['bad']:,} rows have errors: mend the file, or leave these rows out"
            )
    after = {"rows": counts.get("good"), "left_out": counts.get("bad")}
    return start(file_import, by, Job.Kind.IMPORT, (State.CHECKED,), State.STORING, "import.store", after)


def undo_import(*, file_import: FileImport, by: User | None) -> FileImport:
    """Have removed what the import stored, except what something was built on. Raises ImportBusy."""
    return start(file_import, by, Job.Kind.IMPORT_UNDO, (State.STORED, State.STORING), None, "import.undo")


def drop_import(*, file_import: FileImport, by: User) -> None:
    """Delete the file of an import that has stored nothing; the import stays and says so. Raises ImportBusy."""
    with transaction.atomic():
        if not at_rest(file_import, *BEFORE_STORING).update(state=State.UNDONE, finished_at=timezone.now()):
            raise ImportBusy("state", "the import is at work, or has stored something; undo it instead")
        audit.record(
            project=file_import.project, actor=by, action="import.drop", subject=file_import, now=timezone.now()
        )
    drop_source(file_import)
    file_import.refresh_from_db()


def start(
    file_import: FileImport,
    by: User | None,
    kind: Job.Kind,
    states: Sequence[str],
    to: str | None,
    action: str,
    after: dict[str, Any] | None = None,
) -> FileImport:
    """Put the work in line if the import is at rest in one of `states`; carry it out at once where it is small."""
    with transaction.atomic():
        job = start_job(
            project=file_import.project, kind=kind, params={"file_import": str(file_import.pk)}, created_by=by
        )
        changes: dict[str, Any] = {"job": job} if to is None else {"job": job, "state": to}
        if not at_rest(file_import, *states).update(**changes):
            raise ImportBusy("state", f"this cannot be done now: the import is {in_words(file_import)}")
        audit.record(
            project=file_import.project, actor=by, action=action, subject=file_import, after=after or {},
            now=timezone.now(),
        )  # fmt: skip
    if file_import.size <= SMALL_BYTES:
        carry_out(job, seconds=settings.JOB_REQUEST_SECONDS)
    file_import.refresh_from_db()
    return file_import


def in_words(file_import: FileImport) -> str:
    return FileImport.objects.get(pk=file_import.pk).get_state_display().lower()
