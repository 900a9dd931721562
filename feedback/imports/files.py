"""Where the file of an import lies, and its rows as the import understands them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings

from feedback.imports.drafts import Plan
from feedback.imports.fields import QUEUE_KIND
from feedback.imports.layouts import unfold
from feedback.imports.reading import BadFile, FileRow, read_rows
from feedback.models import FileImport

ABOUT = ("source", "licence", "language", "tags")
SAMPLED_ROWS = 200


def folder_of(file_import: FileImport) -> Path:
    return Path(settings.DATA_DIR) / "imports" / str(file_import.pk)


def source_of(file_import: FileImport) -> Path:
    """Return the file as it came, or a link to where it lies on this machine."""
    return folder_of(file_import) / "source"


def errors_of(file_import: FileImport) -> Path:
    return folder_of(file_import) / "errors.csv"


def error_filename(file_import: FileImport) -> str:
    return f"errors-{file_import.pk}.csv"


def drop_source(file_import: FileImport) -> None:
    """Delete the file: what it says is stored, or not wanted, and no second copy of people's data stays about."""
    source = source_of(file_import)
    source.unlink(missing_ok=True)
    shutil.rmtree(folder_of(file_import) / "unpacked", ignore_errors=True)


def plan_of(file_import: FileImport) -> Plan:
    options: Mapping[str, Any] = file_import.options
    return Plan(
        kind=file_import.kind,
        form=file_import.form,
        mapping=file_import.mapping,
        defaults={name: options.get(name, [] if name == "tags" else "") for name in ABOUT},
        words=options.get("words", {}),
        order_known=bool(options.get("order_known")),
        largest_margin=float(options.get("largest_margin") or 3.0),
    )


def raw_rows(file_import: FileImport) -> Iterator[FileRow]:
    return read_rows(
        source_of(file_import).resolve(),
        file_import.filename,
        max_bytes=settings.IMPORT_MAX_BYTES,
        unpacked=folder_of(file_import) / "unpacked",
    )


def first_raw_rows(file_import: FileImport) -> list[FileRow]:
    """Return the first rows as they stand in the file. Raises BadFile."""
    return list(islice(raw_rows(file_import), SAMPLED_ROWS))


def rows_of(file_import: FileImport) -> Iterator[FileRow]:
    """Yield the rows of an import's file, unfolded. Raises BadFile."""
    raw = raw_rows(file_import)
    judged = file_import.kind in QUEUE_KIND
    most = settings.IMPORT_MAX_ROWS
    for read, row in enumerate(unfold(file_import.form, raw, judged=judged), start=1):
        if read > most:
            raise BadFile(f"there are more than {most:,} rows (setting IMPORT_MAX_ROWS)")
        yield row


def rows_behind(file_import: FileImport, count: int) -> Iterator[FileRow]:
    """Yield the rows behind the first `count`. Raises BadFile, also where there are fewer."""
    rows = rows_of(file_import)
    if count and next(islice(rows, count - 1, count), None) is None:
        raise BadFile("the file has become shorter since it was checked")
    return rows


def first_rows(file_import: FileImport, count: int = SAMPLED_ROWS) -> list[FileRow]:
    """Return the first rows of an import's file, unfolded. Raises BadFile."""
    return list(islice(rows_of(file_import), count))
