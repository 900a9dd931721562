"""Rows of Parquet and Arrow files, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

from feedback.imports.reading import BadFile, FileRow

BATCH_ROWS = 500
UNREADABLE = (pyarrow.ArrowException, OSError, ValueError, OverflowError)
"""What pyarrow raises on damaged files, and on times that Python has no value for."""


def read_parquet(path: Path) -> Iterator[FileRow]:
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            refuse_repeated(table.schema_arrow.names)
            yield from rows_of(table.iter_batches(BATCH_ROWS))
    except BadFile:
        raise
    except UNREADABLE as error:
        raise BadFile(f"not a whole Parquet file: {error}") from error


def read_arrow(path: Path) -> Iterator[FileRow]:
    """Read an Arrow file, or an Arrow stream as `datasets` writes them."""
    try:
        with pyarrow.memory_map(str(path)) as source:
            yield from rows_of(arrow_batches(source))
    except BadFile:
        raise
    except UNREADABLE as error:
        raise BadFile(f"not a whole Arrow file: {error}") from error


def arrow_batches(source: pyarrow.MemoryMappedFile) -> Iterator[pyarrow.RecordBatch]:
    try:
        file = pyarrow.ipc.open_file(source)
    except pyarrow.ArrowInvalid:
        source.seek(0)
        stream = pyarrow.ipc.open_stream(source)
        refuse_repeated(stream.schema.names)
        yield from stream
        return
    refuse_repeated(file.schema.names)
    for place in range(file.num_record_batches):
        yield file.get_batch(place)


def refuse_repeated(names: list[str]) -> None:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise BadFile(f"it has the column {', '.join(repeated)} more than once")


def rows_of(batches: Iterator[pyarrow.RecordBatch]) -> Iterator[FileRow]:
    number = 0
    for batch in batches:
        batch.validate(full=True)  # damaged offsets would read memory that is not the file's
        for start in range(0, batch.num_rows, BATCH_ROWS):
            for values in batch.slice(start, BATCH_ROWS).to_pylist():
                number += 1
                yield FileRow(number, values)


TABLE_READERS: dict[str, Callable[[Path], Iterator[FileRow]]] = {
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".feather": read_arrow,
}
