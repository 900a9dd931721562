"""Show the first rows of a file as they would be stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from feedback.imports.cells import BadCell
from feedback.imports.drafts import Draft, DraftReader
from feedback.imports.fields import missing_fields
from feedback.imports.files import first_rows, plan_of
from feedback.imports.reading import BadFile
from feedback.models import FileImport

PREVIEWED_ROWS = 8
FIRST, SECOND = "A", "B"
STRENGTHS = {1: "slightly better", 2: "better", 3: "much better"}


@dataclass(frozen=True)
class PreviewedRow:
    """One row as it would be stored, or what is wrong with it."""

    number: int
    file: str = ""
    column: str = ""
    error: str = ""
    prompt: Sequence[Mapping[str, str]] = ()
    prompt_id: str = ""
    responses: Sequence[Mapping[str, str]] = ()
    """Each with text, model and id; a text that is empty here is one that the project has already."""
    said: str = ""
    """The judgment in words."""
    annotator: str = ""
    made_at: str = ""
    seconds: float | None = None
    rationale: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


def preview(file_import: FileImport, count: int = PREVIEWED_ROWS) -> list[PreviewedRow]:
    """Return the first rows as the import understands them; of a file that cannot be read, one row that says why."""
    if file_import.columns and (missing := missing_fields(file_import.kind, file_import.mapping)):
        wanted = "; ".join(" or ".join(group) for group in missing)
        return [PreviewedRow(0, error=f"no column is chosen yet for: {wanted}")]
    reader = DraftReader(plan_of(file_import))
    try:
        return list(previewed(reader, file_import, count))
    except BadFile as error:
        return [PreviewedRow(0, error=str(error))]


def previewed(reader: DraftReader, file_import: FileImport, count: int) -> Iterator[PreviewedRow]:
    for row in first_rows(file_import, count):
        try:
            yield row_of(reader.read(row))
        except BadCell as error:
            yield PreviewedRow(row.number, row.file, error.column, error.message)


def row_of(draft: Draft) -> PreviewedRow:
    prompt = draft.prompt
    return PreviewedRow(
        number=draft.row.number,
        file=draft.row.file,
        prompt=[{"role": one["role"], "content": one["content"]} for one in prompt.messages] if prompt else [],
        prompt_id=prompt.external_id if prompt is not None else draft.prompt_id,
        responses=[{"text": one.text or "", "model": one.model, "id": one.external_id} for one in draft.responses],
        said=in_words(draft),
        annotator=draft.person,
        made_at=draft.made_at.isoformat() if draft.made_at is not None else "",
        seconds=draft.seconds,
        rationale=draft.rationale,
        about={name: value for name, value in prompt.about.items() if value} if prompt is not None else {},
    )


def in_words(draft: Draft) -> str:
    """Return what a draft says of its responses, which are called A, B, C in the order of the file."""
    if draft.preference == 0:
        return "A tie"
    if draft.preference is not None:
        better, worse = (FIRST, SECOND) if draft.preference < 0 else (SECOND, FIRST)
        return f"{better} is {STRENGTHS[abs(draft.preference)]} than {worse}"
    if "ranks" in draft.content:
        names = [chr(ord(FIRST) + place) for place in range(len(draft.content["ranks"]))]
        ranked = [(rank, name) for rank, name in zip(draft.content["ranks"], names, strict=True) if rank is not None]
        return ", ".join(f"{name}: {rank}" for rank, name in sorted(ranked))
    if "rated" in draft.content:
        return ", ".join(f"{key}: {value}" for key, value in draft.content["rated"].items())
    return str(draft.content.get("text", ""))
