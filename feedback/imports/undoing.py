"""Take back an import: remove what it stored, except what something has been built on since.

From the end to the beginning: judgments, then slots and tasks, responses, prompts, people, and the queue that was made
for it. A row stays when any other row refers to it, or a snapshot holds it; so do the rows that it needs.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from feedback.imports.files import drop_source
from feedback.jobs import JobRun
from feedback.models import (
    Assignment,
    FileImport,
    Finding,
    Guideline,
    ImportedPerson,
    Judgment,
    LabelSchema,
    Project,
    Prompt,
    Queue,
    QueuePolicy,
    Response,
    Task,
    TaskResponse,
    User,
)
from feedback.snapshot_members import snapshots_holding_any

BATCH_ROWS = 500


def unused(rows: models.QuerySet[Any], *, but: Sequence[type[models.Model]] = ()) -> models.QuerySet[Any]:
    """Narrow `rows` to those that no row of another table refers to, findings and those of `but` aside."""
    for relation in rows.model._meta.get_fields(include_hidden=True):
        if not relation.is_relation or not relation.auto_created or relation.concrete:
            continue
        table = relation.related_model
        if table is Finding or table in but:
            continue
        rows = rows.filter(~Exists(table._base_manager.filter(**{relation.field.name: OuterRef("pk")})))
    return rows


def ids_in_pieces(rows: models.QuerySet[Any]) -> Iterator[list[Any]]:
    """Yield the ids of `rows` in order, a batch at a time."""
    last = None
    while True:
        piece = rows.order_by("pk") if last is None else rows.order_by("pk").filter(pk__gt=last)
        ids = list(piece.values_list("pk", flat=True)[:BATCH_ROWS])
        if not ids:
            return
        yield ids
        last = ids[-1]


def delete(model: type[models.Model], **which: Any) -> int:
    """Delete rows that nothing refers to, without looking for such rows once more."""
    rows = model._base_manager.filter(**which)
    return rows._raw_delete(rows.db)


class Undo:
    def __init__(self, run: JobRun, file_import: FileImport) -> None:
        self.run, self.file_import = run, file_import
        self.removed: Counter[str] = Counter(run.cursor.get("removed", {}))
        self.done = run.cursor.get("done", 0)

    def step(self, kind: str, ids: Sequence[Any], *deletions: tuple[type[models.Model], str]) -> None:
        """Delete a batch in one transaction: the rows that belong to it first, then it."""
        with self.run.step(
            cursor={"removed": dict(self.removed + Counter({kind: len(ids)})), "done": self.done + len(ids)},
            done=self.done + len(ids),
        ):
            for model, field in deletions:
                delete(model, **{f"{field}__in": ids})
        self.removed[kind] += len(ids)
        self.done += len(ids)

    def judgments(self) -> None:
        mine = unused(Judgment.objects.filter(file_import=self.file_import))
        for ids in ids_in_pieces(mine):
            cursor = {"removed": dict(self.removed), "done": self.done}
            with self.run.step(cursor=cursor, done=self.done):
                # No snapshot is made meanwhile (feedback.snapshots), so that none holds what is gone.
                Project.objects.select_for_update().get(pk=self.file_import.project_id)
                kept = self.in_snapshots(ids)
                some = Judgment.objects.filter(pk__in=[one for one in ids if one not in kept])
                slots = dict(some.values_list("pk", "assignment"))
                judgments = list(slots)
                cursor["removed"] = dict(self.removed + Counter({"judgments": len(judgments)}))
                cursor["done"] = self.done + len(judgments)
                self.run.done = self.done + len(judgments)
                self.run.renew(cursor=cursor)
                delete(Finding, judgment__in=judgments)
                delete(Judgment, pk__in=judgments)
                delete(Assignment, pk__in=list(slots.values()))
            self.removed["judgments"] += len(judgments)
            self.done += len(judgments)

    def in_snapshots(self, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        from feedback.snapshot_members import held_among

        held = snapshots_holding_any(project=self.file_import.project, ids=ids)
        return {one for snapshot, _ in held for one in held_among(snapshot, ids)}

    def tasks(self, *, repeats: bool) -> None:
        taken = Assignment.objects.filter(task=OuterRef("pk")).exclude(
            state=Assignment.State.OPEN, reserved_for__isnull=True
        )
        mine = Task.objects.filter(file_import=self.file_import, repeat_of__isnull=not repeats)
        for ids in ids_in_pieces(unused(mine, but=(Assignment, TaskResponse)).filter(~Exists(taken))):
            self.step("tasks", ids, (Assignment, "task"), (TaskResponse, "task"), (Task, "pk"))

    def responses(self) -> None:
        for ids in ids_in_pieces(unused(Response.objects.filter(file_import=self.file_import))):
            self.step("responses", ids, (Finding, "response"), (Response, "pk"))

    def prompts(self) -> None:
        for ids in ids_in_pieces(unused(Prompt.objects.filter(file_import=self.file_import))):
            self.step("prompts", ids, (Finding, "prompt"), (Prompt, "pk"))

    def people(self) -> None:
        mine = ImportedPerson.objects.filter(file_import=self.file_import)
        idle = unused(User.objects.filter(imported_as__in=mine), but=(ImportedPerson,))
        for ids in ids_in_pieces(idle):
            self.step("people", ids, (ImportedPerson, "user"), (User, "pk"))

    def queue(self) -> None:
        """Remove the queue that was made for the import, if nothing else has come into it."""
        made = self.file_import.options.get("made_queue")
        others = FileImport.objects.filter(queue=made).exclude(pk=self.file_import.pk)
        own = (Guideline, QueuePolicy, LabelSchema, FileImport)
        if not made or others.exists() or not unused(Queue.objects.filter(pk=made), but=own).exists():
            return
        versions = [model._base_manager.filter(queue=made) for model in (Guideline, QueuePolicy, LabelSchema)]
        if any(rows.count() > 1 or unused(rows, but=(Queue,)).count() < rows.count() for rows in versions):
            return
        with self.run.step(cursor={"removed": dict(self.removed), "done": self.done}):
            FileImport.objects.filter(pk=self.file_import.pk).update(queue=None)
            Queue.objects.filter(pk=made).update(guideline=None, policy=None, schema=None)
            for model in (Guideline, QueuePolicy, LabelSchema):
                delete(model, queue=made)
            delete(Queue, pk=made)
        self.removed["queues"] += 1

    def kept(self) -> dict[str, int]:
        """Return what of the import is still there, because something was built on it."""
        tables: tuple[tuple[str, type[models.Model]], ...] = (
            ("prompts", Prompt), ("responses", Response), ("tasks", Task), ("judgments", Judgment),
        )  # fmt: skip
        counts = {name: table._base_manager.filter(file_import=self.file_import).count() for name, table in tables}
        return {name: count for name, count in counts.items() if count}


def undo(run: JobRun) -> dict[str, Any]:
    """Carry out a job of the kind IMPORT_UNDO."""
    file_import = FileImport.objects.select_related("project").get(pk=run.params["file_import"])
    stored = file_import.counts.get("stored", {})
    run.progress(run.cursor.get("done", 0), total=sum(stored.get(name, 0) for name in REMOVED))
    work = Undo(run, file_import)
    work.judgments()
    work.tasks(repeats=True)
    work.tasks(repeats=False)
    work.responses()
    work.prompts()
    work.people()
    work.queue()
    counts = {**file_import.counts, "removed": dict(work.removed), "kept": work.kept()}
    with run.step(cursor=run.cursor, done=work.done):
        Project.objects.select_for_update().get(pk=file_import.project_id)
        FileImport.objects.filter(Q(pk=file_import.pk), job=run.job.pk).update(
            state=FileImport.State.UNDONE, counts=counts, finished_at=timezone.now()
        )
    drop_source(file_import)
    return dict(work.removed)


REMOVED = ("judgments", "tasks", "responses", "prompts")
