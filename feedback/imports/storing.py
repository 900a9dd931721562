"""Store a file that was checked: batch after batch in short transactions, each of which saves how far it got.

Killed anywhere, it goes on behind the last batch. A row that is there already adds nothing, so a batch that was stored
twice, or a file that is imported twice, changes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from feedback.hygiene.scan_job import catch_up
from feedback.hygiene.scanning import look_at, place_prompts_looked_at, store_findings
from feedback.imports.cells import BadCell
from feedback.imports.collecting import seldom_collecting
from feedback.imports.drafts import Draft, DraftReader
from feedback.imports.errors import ErrorFile
from feedback.imports.fields import QUEUE_KIND
from feedback.imports.files import drop_source, errors_of, plan_of, rows_behind
from feedback.imports.import_queues import chosen_queue, make_queue
from feedback.imports.placing import Placing
from feedback.imports.reading import BadFile, FileRow
from feedback.imports.voting import Voting
from feedback.jobs import JobFailed, JobRun
from feedback.models import FileImport, Project, Queue

BATCH_ROWS = 400
PROMPT_BATCH_ROWS = 1_000
"""Rows of one transaction to begin with, which is the most: on an idle machine about a tenth of a second."""
WRITE_SECONDS = 0.25
"""A transaction that took longer halves the next one: on SQLite nobody else can write meanwhile."""
TRIES = 5
"""Of a batch that met somebody else's rows while it was written."""


class Store:
    """One pass over a file that stores it."""

    def __init__(self, run: JobRun, file_import: FileImport, queue: Queue | None, errors: ErrorFile) -> None:
        self.run, self.file_import, self.queue, self.errors = run, file_import, queue, errors
        self.plan = plan_of(file_import)
        self.reader = DraftReader(self.plan)
        self.rows: int = run.cursor.get("rows", 0)
        self.most = PROMPT_BATCH_ROWS if file_import.kind == FileImport.Kind.PROMPTS else BATCH_ROWS
        self.size = self.most
        """Rows of the next transaction."""
        self.counts: Counter[str] = Counter(run.cursor.get("counts", {}))
        self.label = self.plan.defaults.get("source") or file_import.filename

    def batch(self, rows: Sequence[FileRow]) -> None:
        drafts, refused = [], 0
        for row in rows:
            try:
                drafts.append(self.reader.read(row))
            except BadCell:
                refused += 1  # the check has listed it
        for last in (*(False for _ in range(TRIES - 1)), True):
            try:
                return self.store(drafts, refused, len(rows))
            except IntegrityError:
                if last:
                    raise
                # Somebody stored one of these rows since they were looked up; the next try finds it.

    def store(self, drafts: Sequence[Draft], refused: int, rows: int) -> None:
        """Look the drafts up and at, then write what is new, in one transaction with the cursor."""
        now = timezone.now()
        placing = Placing(self.file_import.project, drafts)
        placing.place()
        placing.make(self.file_import, now)
        voting = self.voting()
        if voting is not None:
            voting.work_out(placing.placed)
        words = [] if voting is None else voting.with_words()
        looked = look_at(
            project=self.file_import.project, prompts=placing.prompts, responses=placing.responses, judgments=words
        )
        bad = [*placing.refused, *(voting.refused if voting is not None else ())]
        before = self.errors.total, self.errors.flush()
        for draft, error in bad:
            self.errors.add(draft.row, error.column, error.message)
        counts = self.counts + Counter(
            prompts=len(placing.prompts), responses=len(placing.responses), refused=refused + len(bad),
            there=placing.there if voting is None else voting.there, renamed=placing.renamed,
        )  # fmt: skip
        if voting is not None:
            counts += Counter(tasks=len(voting.new_tasks), judgments=len(voting.votes))
        cursor = {
            "rows": self.rows + rows, "counts": dict(counts), "queue": self.queue and str(self.queue.pk),
            "errors": self.errors.total, "errors_size": self.errors.flush(),
        }  # fmt: skip
        try:
            with self.run.step(cursor=cursor, done=self.rows + rows):
                Project.objects.select_for_update().get(pk=self.file_import.project_id)
                began = time.monotonic()
                place_prompts_looked_at(looked, placing.prompts)
                placing.store()
                if voting is not None:
                    voting.store(now)
                store_findings(looked, prompts=placing.prompts, responses=placing.responses, judgments=words)
        except BaseException:
            self.errors.go_back(*before)
            raise
        self.rows, self.counts = self.rows + rows, counts
        took = time.monotonic() - began
        self.size = max(1, self.size // 2) if took > WRITE_SECONDS else min(self.most, self.size + self.size // 4 + 1)

    def voting(self) -> Voting | None:
        if self.queue is None:
            return None
        assert self.queue.schema is not None, "an open queue has its label schema"
        return Voting(
            file_import=self.file_import,
            queue=self.queue,
            schema=self.queue.schema.asks,
            label=self.label,
            order_known=self.plan.order_known,
            also_ask=int(self.file_import.options.get("also_ask") or 0),
        )


@seldom_collecting()
def store(run: JobRun) -> dict[str, Any]:
    """Carry out a job of the kind IMPORT."""
    file_import = FileImport.objects.select_related("project", "queue", "created_by").get(pk=run.params["file_import"])
    queue = queue_of(run, file_import)
    checked = file_import.counts
    kept = run.cursor.get("errors", checked.get("bad", 0)), run.cursor.get("errors_size")
    path = errors_of(file_import)
    size = kept[1] if kept[1] is not None else path.stat().st_size if path.exists() else 0
    with ErrorFile(path, size=size, total=kept[0]) as errors:
        work = Store(run, file_import, queue, errors)
        run.progress(work.rows, total=checked.get("read"))
        try:
            rows = rows_behind(file_import, work.rows)
            catch_up(file_import.project, lambda: run.progress(work.rows))
            while batch := list(islice(rows, work.size)):
                work.batch(batch)
                run.progress(work.rows, words=in_words(work.counts))
        except BadFile as error:
            raise JobFailed(f"The file cannot be read as it was checked: {error}. What was stored stays.") from error
    counts = {**checked, "stored": dict(work.counts)}
    with run.step(cursor=run.cursor, done=work.rows):
        FileImport.objects.filter(pk=file_import.pk, job=run.job.pk).update(
            state=FileImport.State.STORED, counts=counts, queue=queue, finished_at=timezone.now()
        )
    drop_source(file_import)
    return dict(work.counts)


def queue_of(run: JobRun, file_import: FileImport) -> Queue | None:
    """Return the queue of the judgments, made by the first step of the job where none is chosen."""
    if file_import.kind not in QUEUE_KIND:
        return None
    queue = chosen_queue(file_import)
    if queue is None:
        by = run.job.created_by or file_import.created_by
        assert by is not None, "a person starts an import"
        with transaction.atomic(), run.step(cursor=run.cursor):
            queue = make_queue(file_import, by)
            file_import.options["made_queue"] = str(queue.pk)
            file_import.queue = queue
            file_import.save(update_fields=["queue", "options"])
        queue = Queue.objects.in_force().get(pk=queue.pk)
    return queue


WORDS = (("prompts", "prompt"), ("responses", "response"), ("judgments", "judgment"))


def in_words(counts: Counter[str]) -> str:
    added = [f"{counts[name]:,} {one}{'' if counts[name] == 1 else 's'}" for name, one in WORDS if counts[name]]
    return f"{', '.join(added) or 'nothing new'} so far"
