"""Import prompts from a file: every row is good, or nothing is imported."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from feedback.contract import BadMessages, Message, check_messages, digest
from feedback.models import Project, Prompt, User
from feedback.prompt_files import BadFile, FileRow, read_rows
from feedback.splits import cluster_of, split_of

PROMPT_LENGTH_LIMIT = 100_000
"""Characters of all messages together."""
MESSAGES_LIMIT = 200
TAGS_LIMIT = 20
TAG_LENGTH_LIMIT = 50
ERRORS_SHOWN = 100
BATCH_ROWS = 500

PROMPT_COLUMNS = ("messages", "prompt", "instruction", "question", "text")
"""Where a prompt is looked for, in this order; `input` is appended to `instruction`."""
TEXT_COLUMNS = {"source": "source", "licence": "licence", "license": "licence", "language": "language"}
"""Columns that override the import's own values, and the fields they go to."""
LENGTH_LIMITS = {"source": 200, "licence": 100, "language": 20}
COLUMNS = (*PROMPT_COLUMNS, "input", *TEXT_COLUMNS, "tags", "data")


@dataclass(frozen=True)
class RowError:
    row: int
    """Line of a JSONL file, else the place among the rows from 1; 0 for the file as a whole."""
    column: str
    message: str

    def __str__(self) -> str:
        where = f"row {self.row}, column {self.column}: " if self.column else f"row {self.row}: "
        return (where if self.row else "") + self.message


@dataclass(frozen=True)
class ImportReport:
    read: int
    added: int
    already_there: int
    """Rows whose prompt the project had before, or that stand in the file more than once."""


class ImportRefused(ValueError):
    """Nothing was imported. `errors` are the first of `total` reasons."""

    def __init__(self, errors: Sequence[RowError], total: int) -> None:
        shown = "; ".join(str(error) for error in errors[:3])
        super().__init__(shown if total <= 3 else f"{shown}; and {total - 3} more")
        self.errors = list(errors)
        self.total = total


class BadCell(ValueError):
    """One cell is wrong; `column` says which."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column
        self.message = message


def import_prompts(
    *,
    project: Project,
    path: Path,
    filename: str,
    source: str = "",
    licence: str = "",
    language: str = "",
    tags: Iterable[str] = (),
    created_by: User | None = None,
) -> ImportReport:
    """Add the prompts of a file or a dataset directory that the project does not have yet.

    A row's own `source`, `licence`, `language` and `tags` win over the arguments. Raises ImportRefused.
    """
    defaults = checked_defaults({"source": source, "licence": licence, "language": language, "tags": list(tags)})
    prompts: dict[str, Prompt] = {}
    errors: list[RowError] = []
    total = read = 0
    try:
        with closing(read_rows(path, filename, columns=COLUMNS, max_bytes=settings.IMPORT_MAX_BYTES)) as rows:
            for row in rows:
                read += 1
                if read > settings.IMPORT_MAX_ROWS:
                    raise BadFile(f"there are more than {settings.IMPORT_MAX_ROWS:,} rows (setting IMPORT_MAX_ROWS)")
                try:
                    prompt = read_prompt(row, defaults)
                except BadCell as error:
                    total += 1
                    if total <= ERRORS_SHOWN:
                        errors.append(RowError(row.number, error.column, in_file(row, error.message)))
                else:
                    prompts.setdefault(prompt.digest, prompt)
    except BadFile as error:
        raise ImportRefused([RowError(0, "", str(error)), *errors], total + 1) from error
    if errors:
        raise ImportRefused(errors, total)
    if not read:
        raise ImportRefused([RowError(0, "", "the file holds no rows")], 1)
    added = add_prompts(project, list(prompts.values()), created_by)
    return ImportReport(read=read, added=added, already_there=read - added)


def import_upload(*, project: Project, upload: UploadedFile, **about: Any) -> ImportReport:
    """As `import_prompts`, of bytes that a browser or a script has sent; they lie in a file while they are read."""
    with tempfile.TemporaryDirectory(prefix="concord-import-") as folder:
        path = Path(folder) / "upload"
        with path.open("wb") as file:
            for chunk in upload.chunks():
                file.write(chunk)
        return import_prompts(project=project, path=path, filename=upload.name or path.name, **about)


def checked_defaults(values: dict[str, Any]) -> dict[str, Any]:
    try:
        for name, limit in LENGTH_LIMITS.items():
            read_text(name, values[name], limit)
        return {**values, "tags": read_tags(values["tags"])}
    except BadCell as error:
        raise ImportRefused([RowError(0, error.column, error.message)], 1) from error


def in_file(row: FileRow, message: str) -> str:
    return f"{row.file}: {message}" if row.file else message


@transaction.atomic
def add_prompts(project: Project, prompts: Sequence[Prompt], created_by: User | None) -> int:
    """Store those that are new to the project, each in the split of its cluster; return how many were."""
    Project.objects.select_for_update().get(pk=project.pk)  # one import at a time, so that the count is right
    added = 0
    splits: dict[str, str] = {}
    for start in range(0, len(prompts), BATCH_ROWS):
        batch = prompts[start : start + BATCH_ROWS]
        stored = Prompt.objects.filter(project=project)
        there = stored.filter(digest__in=[p.digest for p in batch])
        there.filter(of_talk=True).update(of_talk=False)  # what somebody said in a talk is now a prompt of the pool
        known = set(there.values_list("digest", flat=True))
        splits.update(stored.filter(cluster__in=[p.cluster for p in batch]).values_list("cluster", "split"))
        new = [prompt for prompt in batch if prompt.digest not in known]
        for prompt in new:
            prompt.project = project
            prompt.created_by = created_by
            prompt.split = splits.setdefault(prompt.cluster, split_of(project, prompt.cluster))
        added += len(Prompt.objects.bulk_create(new))
    return added


# Rows ---------------------------------------------------------------------------------------------------


def read_prompt(row: FileRow, defaults: dict[str, Any]) -> Prompt:
    """Return the row's prompt, not yet stored. Raises BadCell."""
    if row.problem:
        raise BadCell(row.column, row.problem)
    values = row.values
    if not any(is_filled(values.get(name)) for name in PROMPT_COLUMNS) and isinstance(values.get("data"), dict):
        values = values["data"]  # a Label Studio task
    messages = read_messages(values)
    fields = dict(defaults)
    for column, field in TEXT_COLUMNS.items():
        if is_filled(values.get(column)):
            fields[field] = read_text(column, values[column], LENGTH_LIMITS[field])
    if is_filled(values.get("tags")):
        fields["tags"] = read_tags(values["tags"])
    return Prompt(messages=messages, digest=digest(messages), cluster=cluster_of(messages), **fields)


def is_filled(value: object) -> bool:
    return value is not None and value != "" and value != []


def read_messages(values: dict[str, Any]) -> list[Message]:
    column = next((name for name in PROMPT_COLUMNS if is_filled(values.get(name))), None)
    if column is None:
        present = [name for name in PROMPT_COLUMNS if name in values]
        if present:
            raise BadCell(present[0], "there is no prompt in this row")
        raise BadCell("", f"the row has none of the columns {', '.join(PROMPT_COLUMNS)}")
    value = values[column]
    if column == "instruction" and is_filled(values.get("input")):
        value = f"{read_text(column, value, 0)}\n\n{read_text('input', values['input'], 0)}"
    if isinstance(value, str) and column in ("messages", "prompt"):
        value = parse_chat(column, value)
    chat = [{"role": "user", "content": value}] if isinstance(value, str) else value
    try:
        messages = check_messages(chat)
    except BadMessages as error:
        raise BadCell(column, str(error)) from error
    if len(messages) > MESSAGES_LIMIT:
        raise BadCell(column, f"{len(messages)} messages; the most is {MESSAGES_LIMIT}")
    for number, message in enumerate(messages, start=1):
        check_unicode(column, message["content"], f"message {number} ")
    if (length := sum(len(message["content"]) for message in messages)) > PROMPT_LENGTH_LIMIT:
        raise BadCell(column, f"the text has {length:,} characters; the most is {PROMPT_LENGTH_LIMIT:,}")
    return messages


def parse_chat(column: str, text: str) -> object:
    """Return the chat that `text` holds as JSON; in the column `prompt`, text that is no such JSON is the prompt."""
    try:
        value = json.loads(text) if column == "messages" or text.lstrip().startswith("[{") else text
    except (ValueError, RecursionError) as error:
        if column == "prompt":
            return text
        raise BadCell(column, f"neither a list of messages nor JSON of one: {error}") from error
    if column == "prompt" and not (isinstance(value, list) and all(isinstance(m, dict) and "role" in m for m in value)):
        return text
    if isinstance(value, str):
        raise BadCell(column, "messages must be a list of {role, content}, not text")
    return value


def read_text(column: str, value: object, limit: int) -> str:
    if not isinstance(value, str):
        raise BadCell(column, f"text is expected, not {type(value).__name__}")
    if limit and len(value) > limit:
        raise BadCell(column, f"{len(value):,} characters; the most is {limit:,}")
    check_unicode(column, value)
    return value


def check_unicode(column: str, text: str, where: str = "the text ") -> None:
    if "\x00" in text:
        raise BadCell(column, f"{where}contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadCell(column, f"{where}contains half a character (U+{ord(text[error.start]):04X})") from error


def read_tags(value: object) -> list[str]:
    """Return tags from a list, JSON of a list, or text with commas between them."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadCell("tags", f"not JSON: {error}") from error
    tags = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(tags, list):
        raise BadCell("tags", f"a list, or text with commas, is expected, not {type(value).__name__}")
    tags = [read_text("tags", tag, TAG_LENGTH_LIMIT) for tag in tags if is_filled(tag)]
    if len(tags) > TAGS_LIMIT:
        raise BadCell("tags", f"{len(tags)} tags; the most is {TAGS_LIMIT}")
    return list(dict.fromkeys(tags))
