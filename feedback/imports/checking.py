"""Check a file whole before anything of it is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.utils import timezone

from feedback.imports.cells import BadCell
from feedback.imports.collecting import seldom_collecting
from feedback.imports.drafts import Draft, DraftReader
from feedback.imports.errors import ErrorFile
from feedback.imports.fields import QUEUE_KIND, missing_fields
from feedback.imports.files import errors_of, plan_of, rows_of
from feedback.imports.import_queues import Attributes, chosen_queue, whole_schema
from feedback.imports.placing import Placing
from feedback.imports.reading import BadFile, FileRow
from feedback.imports.voting import checked_answer
from feedback.jobs import JobRun
from feedback.models import FileImport
from feedback.schemas import Schema, TaskKind

BATCH_ROWS = 500


def batches(rows: Iterator[FileRow], size: int) -> Iterator[list[FileRow]]:
    while batch := list(islice(rows, size)):
        yield batch


class Check:
    """One pass over a file that stores nothing: every row is read, and what it refers to is looked up."""

    def __init__(self, file_import: FileImport, errors: ErrorFile) -> None:
        self.file_import, self.errors = file_import, errors
        self.reader = DraftReader(plan_of(file_import))
        self.counts: Counter[str] = Counter(read=0, bad=0, there=0)
        self.seen: dict[int, int] = {}
        self.attributes = Attributes()
        self.schema = self.schema_of_answers()

    def schema_of_answers(self) -> Schema | None:
        """Return what answers are held against: the chosen queue's schema; of ratings into a new queue, none yet."""
        kind = QUEUE_KIND.get(self.file_import.kind)
        if kind is None:
            return None
        queue = chosen_queue(self.file_import)
        if queue is not None and queue.schema is not None:
            return queue.schema.asks
        return None if kind == TaskKind.RATING else whole_schema(self.file_import.kind, {})

    def batch(self, rows: Sequence[FileRow]) -> None:
        drafts = [draft for row in rows if (draft := self.draft_of(row)) is not None]
        placing = Placing(self.file_import.project, drafts, self.seen)
        placing.place()
        for draft, error in placing.refused:
            self.refuse(draft.row, error)
        placing.remember_names()
        self.counts["there"] += placing.there
        self.counts["renamed"] += placing.renamed

    def draft_of(self, row: FileRow) -> Draft | None:
        self.counts["read"] += 1
        try:
            draft = self.reader.read(row)
            if self.schema is not None:
                checked_answer(self.schema, draft, range(len(draft.responses)))
            elif "rated" in draft.content:
                self.attributes.add(draft.content["rated"])
        except BadCell as error:
            self.refuse(row, error)
            return None
        self.counts["without_person"] += not draft.person
        self.counts["without_time"] += draft.made_at is None
        return draft

    def refuse(self, row: FileRow | None, error: BadCell) -> None:
        self.counts["bad"] += 1
        self.errors.add(row, error.column, error.message)

    def end(self) -> dict[str, Any]:
        """Return what was counted; a problem of the file as a whole counts as one more error."""
        counts: dict[str, Any] = dict(self.counts)
        try:
            counts["attributes"] = self.attributes.to_json()
        except BadCell as error:
            self.refuse_file(error.message, error.column)
        if not self.counts["read"]:
            self.refuse_file("the file holds no rows")
        counts |= {"bad": self.counts["bad"], "unreadable": self.counts["unreadable"]}
        counts["good"] = counts["read"] - counts["bad"] + counts["unreadable"]
        return counts

    def refuse_file(self, message: str, column: str = "") -> None:
        """Count a problem of the file as a whole: none of its rows can be stored."""
        self.counts["unreadable"] += 1
        self.refuse(None, BadCell(column, message))


@seldom_collecting()
def check(run: JobRun) -> dict[str, Any]:
    """Carry out a job of the kind IMPORT_CHECK."""
    file_import = FileImport.objects.select_related("project", "queue").get(pk=run.params["file_import"])
    with ErrorFile(errors_of(file_import)) as errors:
        pass_over = Check(file_import, errors)
        # Where not one row could be read there are no columns to choose from; the errors of the rows say more.
        missing = missing_fields(file_import.kind, file_import.mapping) if file_import.columns else []
        try:
            for group in missing:
                pass_over.refuse_file(f"no column is given for {' or '.join(group)}")
            for batch in batches(rows_of(file_import), BATCH_ROWS) if not missing else ():
                pass_over.batch(batch)
                run.progress(pass_over.counts["read"], words=f"{pass_over.counts['bad']:,} rows with errors so far")
        except BadFile as error:
            pass_over.refuse_file(str(error))
        counts = pass_over.end()
        errors.flush()
    with run.step(cursor={}, done=counts["read"]):
        FileImport.objects.filter(pk=file_import.pk, job=run.job.pk).update(
            state=FileImport.State.CHECKED, counts=counts, finished_at=timezone.now()
        )
    return {key: counts[key] for key in ("read", "good", "bad")}
