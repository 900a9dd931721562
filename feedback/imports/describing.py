"""Say what a file is: its kind, which column is which field, where its judgments go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from feedback import audit
from feedback.imports.cells import LENGTH_LIMITS, BadCell, checked_tags, checked_text
from feedback.imports.drafts import checked_plan
from feedback.imports.fields import QUEUE_KIND, guess_mapping, guess_words
from feedback.imports.files import ABOUT, first_rows, plan_of
from feedback.imports.layouts import FORMS, PLAIN
from feedback.imports.reading import BadFile
from feedback.models import FileImport, Job, Queue, User
from feedback.models.queues import OVERLAP_LIMIT
from feedback.refusals import Refusal
from feedback.responses import storable

COLUMNS_LIMIT = 200
OPTIONS = (*ABOUT, "words", "order_known", "largest_margin", "also_ask")
WORD_SIDES = ("a", "b", "tie")
BEFORE_STORING = (FileImport.State.UPLOADED, FileImport.State.CHECKING, FileImport.State.CHECKED)


class ImportUnfit(Refusal):
    """The file, or what is said about it, cannot be used; `field` says which value is wrong."""


class ImportBusy(Refusal):
    """The import is at another point than what is asked of it."""


def sampled_values(file_import: FileImport) -> list[Mapping[str, Any]]:
    return [row.values for row in first_rows(file_import) if not row.problem]


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns that the rows have; those of an object behind it, as in "data.prompt"."""
    names: dict[str, None] = {}
    for row in rows:
        for name, value in row.items():
            names[str(name)] = None
            if isinstance(value, dict):
                names.update(dict.fromkeys(f"{name}.{inner}" for inner in value if isinstance(inner, str)))
    kept = [name for name in names if name and storable(name) == name]  # what no database keeps cannot be mapped
    return kept[:COLUMNS_LIMIT]


def describe(*, file_import: FileImport, by: User, **changes: Any) -> FileImport:
    """Say anew what the file is: kind, form, mapping, queue and options. What was checked is checked no longer.

    A mapping is guessed anew for another kind or form unless one is given. Raises ImportUnfit, ImportBusy.
    """
    before = {"kind": file_import.kind, "form": file_import.form, "mapping": file_import.mapping}
    try:
        if "form" in changes:
            file_import.form = checked_form(changes.pop("form"))
        if "kind" in changes:
            file_import.kind = changes.pop("kind")
            if file_import.kind not in FileImport.Kind.values:
                raise ImportUnfit("kind", f"{file_import.kind!r} is not one of {', '.join(FileImport.Kind.values)}")
        rows = sampled_values(file_import)
    except BadFile as error:
        raise ImportUnfit("file", str(error)) from error
    file_import.columns = columns_of(rows)
    if "mapping" not in changes and (file_import.kind, file_import.form) != (before["kind"], before["form"]):
        changes["mapping"] = guess_mapping(file_import.kind, rows)
    take_over(file_import, changes, rows)
    with transaction.atomic():
        changed = at_rest(file_import, *BEFORE_STORING).update(
            kind=file_import.kind, form=file_import.form, mapping=file_import.mapping, columns=file_import.columns,
            options=file_import.options, queue=file_import.queue, state=FileImport.State.UPLOADED, counts={},
        )  # fmt: skip
        if not changed:
            raise ImportBusy("state", "the import is being checked or stored, or is over; nothing can be changed now")
        audit.record(
            project=file_import.project, actor=by, action="import.describe", subject=file_import, before=before,
            after={"kind": file_import.kind, "form": file_import.form, "mapping": file_import.mapping},
            now=timezone.now(),
        )  # fmt: skip
    file_import.refresh_from_db()
    return file_import


def at_rest(file_import: FileImport, *states: str) -> Any:
    """Return the import as a QuerySet if it is in one of the states and no job works on it."""
    idle = Q(job__isnull=True) | ~Q(job__state__in=Job.UNFINISHED)
    return FileImport.objects.filter(idle, pk=file_import.pk, state__in=states)


def take_over(file_import: FileImport, changes: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Take over what is said about the file, checked. Raises ImportUnfit."""
    changes = dict(changes)
    if "mapping" in changes:
        file_import.mapping = checked_mapping(changes.pop("mapping"))
        try:
            checked_plan(plan_of(file_import))
        except BadCell as error:
            raise ImportUnfit(error.column, error.message) from error
        if "words" not in changes:
            column = next(iter(file_import.mapping.get("winner", ())), None)
            changes["words"] = guess_words([row.get(column) for row in rows]) if column is not None else {}
    if "queue" in changes:
        file_import.queue = checked_queue(file_import, changes.pop("queue"))
    elif file_import.queue is not None and file_import.queue.kind != QUEUE_KIND.get(file_import.kind):
        file_import.queue = None
    if unknown := sorted(set(changes) - set(OPTIONS)):
        raise ImportUnfit(unknown[0], f"an import has no {unknown[0]!r}; use {', '.join(OPTIONS)}")
    file_import.options = {**file_import.options, **checked_options(changes)}


def checked_form(form: object) -> str:
    if not isinstance(form, str) or form not in FORMS:
        raise ImportUnfit("form", f"{form!r} is not one of {', '.join(name or 'plain' for name in FORMS)}")
    return form or PLAIN


def checked_mapping(mapping: object) -> dict[str, list[str]]:
    if not isinstance(mapping, Mapping):
        raise ImportUnfit("mapping", "the mapping is an object of field and columns")
    checked: dict[str, list[str]] = {}
    for field, columns in mapping.items():
        names = [columns] if isinstance(columns, str) else columns
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise ImportUnfit("mapping", f"{field}: a column, or a list of columns, is expected")
        if any(storable(name) != name for name in (str(field), *names)):
            raise ImportUnfit("mapping", f"{field!r}: no column can be used whose name holds NUL or half a character")
        if named := list(dict.fromkeys(name for name in names if name))[:COLUMNS_LIMIT]:
            checked[str(field)] = named
    return checked


def checked_queue(file_import: FileImport, queue: Queue | None) -> Queue | None:
    if queue is None:
        return None
    wanted = QUEUE_KIND.get(file_import.kind)
    if queue.project_id != file_import.project_id or queue.is_qualification:
        raise ImportUnfit("queue", "choose a queue of this project that is no test")
    if wanted is None:
        raise ImportUnfit("queue", f"{file_import.kind} go into no queue; leave it empty")
    if queue.kind != wanted:
        raise ImportUnfit("queue", f"{queue.name} is a {queue.kind} queue; {file_import.kind} go into a {wanted} queue")
    return queue


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    checked = dict(options)
    try:
        for name in ("source", "licence", "language"):
            if name in checked:
                checked[name] = checked_text(name, checked[name], LENGTH_LIMITS[name]).strip()
        if "tags" in checked:
            checked["tags"] = checked_tags("tags", checked["tags"])
        if "words" in checked:
            checked["words"] = checked_words(checked["words"])
    except BadCell as error:
        raise ImportUnfit(error.column, error.message) from error
    if not isinstance(checked.get("order_known", False), bool):
        raise ImportUnfit("order_known", f"{checked['order_known']!r} is neither true nor false")
    margin = checked.get("largest_margin", 3.0)
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 < margin <= 1e9:
        raise ImportUnfit("largest_margin", f"{margin!r} is not a number above 0")
    asked = checked.get("also_ask", 0)
    if isinstance(asked, bool) or not isinstance(asked, int) or not 0 <= asked <= OVERLAP_LIMIT:
        raise ImportUnfit("also_ask", f"{asked!r} is not a whole number from 0 to {OVERLAP_LIMIT}")
    return checked


def checked_words(words: object) -> dict[str, list[str]]:
    if not isinstance(words, Mapping) or set(words) - set(WORD_SIDES):
        raise ImportUnfit("words", f"words is an object with lists of words under {', '.join(WORD_SIDES)}")
    checked: dict[str, list[str]] = {}
    for side in WORD_SIDES:
        said = words.get(side, [])
        if not isinstance(said, list | tuple):
            raise ImportUnfit("words", f"{side}: a list of words is expected")
        checked[side] = [checked_text("words", word, 100).strip().lower() for word in said[:COLUMNS_LIMIT]]
    both = [word for word in checked["a"] if word in checked["b"] or word in checked["tie"]]
    if both or set(checked["b"]) & set(checked["tie"]):
        raise ImportUnfit("words", "a word means one thing: the first response, the second, or a tie")
    return checked
