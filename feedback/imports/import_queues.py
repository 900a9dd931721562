"""The queue that imported judgments go into: one that the curator names, or one that is made for the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feedback.imports.cells import BadCell
from feedback.imports.fields import QUEUE_KIND
from feedback.models import FileImport, Queue, User
from feedback.queues import open_queue
from feedback.schemas import TEXT_LIMIT, Schema, TaskKind, check_schema

SCALES = ((1, 5), (0, 4), (0, 1), (1, 7), (1, 10), (0, 9))
"""Tried in this order for the values of an attribute."""


def chosen_queue(file_import: FileImport) -> Queue | None:
    """Return the queue that is named for the import, or that an earlier import of the very same file went into."""
    if file_import.queue_id is not None:
        return Queue.objects.in_force().get(pk=file_import.queue_id)
    before = FileImport.objects.filter(
        project=file_import.project, sha256=file_import.sha256, kind=file_import.kind,
        state__in=(FileImport.State.STORED, FileImport.State.STORING), queue__isnull=False,
    ).exclude(pk=file_import.pk)  # fmt: skip
    earlier = before.order_by("id").first()
    return None if earlier is None or earlier.queue_id is None else Queue.objects.in_force().get(pk=earlier.queue_id)


def schema_for(kind: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a queue asks that takes every judgment of an import; `attributes` are those of the ratings."""
    task_kind = QUEUE_KIND[kind]
    content: dict[str, Any] = {"flags": [], "rationale": "optional"}
    if task_kind == TaskKind.DEMONSTRATION:
        content["max_characters"] = TEXT_LIMIT
    if task_kind == TaskKind.RATING:
        content["attributes"] = list(attributes.values())
    return content


def whole_schema(kind: str, attributes: Mapping[str, Any]) -> Schema:
    return check_schema(QUEUE_KIND[kind], schema_for(kind, attributes))


def make_queue(file_import: FileImport, by: User) -> Queue:
    """Open a queue for an import, paused: nobody labels in it until a curator opens it. Within a transaction."""
    base = f"Imported: {file_import.filename}"[:190]
    taken = set(Queue.objects.filter(project=file_import.project, name__startswith=base).values_list("name", flat=True))
    name = next(one for one in (base, *(f"{base} {number}" for number in range(2, len(taken) + 3))) if one not in taken)
    queue = open_queue(
        project=file_import.project,
        name=name,
        kind=QUEUE_KIND[file_import.kind],
        guideline=(
            f"These judgments were made elsewhere and imported from `{file_import.filename}`. What the people were "
            "asked there is not known here. Write down what you ask before you open this queue."
        ),
        created_by=by,
        schema=schema_for(file_import.kind, file_import.counts.get("attributes", {})),
    )
    queue.state = Queue.State.PAUSED
    queue.save(update_fields=["state"])
    return queue


class Attributes:
    """The ratings that a file holds: which attributes, and what values of each."""

    def __init__(self) -> None:
        self.low: dict[str, int] = {}
        self.high: dict[str, int] = {}
        self.thumbs: dict[str, bool] = {}

    def add(self, rated: Mapping[str, int | bool]) -> None:
        """Take note of one row. Raises BadCell where an attribute has thumbs and numbers."""
        for key, value in rated.items():
            is_thumb = isinstance(value, bool)
            if self.thumbs.setdefault(key, is_thumb) != is_thumb:
                raise BadCell(key, "some rows say true or false here and some a number; one of both is right")
            self.low[key] = min(value, self.low.get(key, value))
            self.high[key] = max(value, self.high.get(key, value))

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return each attribute as a label schema has it. Raises BadCell where no scale fits the values."""
        found: dict[str, dict[str, Any]] = {}
        for key, low in self.low.items():
            high = self.high[key]
            label = key.replace("_", " ").capitalize()
            attribute = {
                "key": key,
                "label": label,
                "definition": "As rated where it was imported from.",
                "required": False,
            }
            if self.thumbs[key] or (low == -1 and high <= 1):
                found[key] = {**attribute, "style": "thumbs"}
                continue
            scale = next(((a, b) for a, b in SCALES if a <= low and high <= b), None)
            if scale is None:
                raise BadCell(
                    key, f"the values run from {low} to {high}; a scale begins at 0 or more and has at most 10 steps"
                )
            found[key] = {**attribute, "low": scale[0], "high": scale[1]}
        return found
