"""Read rows out of the files that people have: JSONL, JSON, CSV, Parquet, Arrow, and datasets of those.

Knows nothing of prompts. Every reader yields `FileRow`s; a row that cannot be read carries the reason, and a file that
cannot be read at all raises BadFile.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

BATCH_ROWS = 100
UNPACKED_FACTOR = 10
"""How many times larger than the upload limit a compressed file may become."""
ARCHIVE_FILES_LIMIT = 1_000
ARCHIVE_DEPTH_LIMIT = 20
HUGGING_FACE_FILES = {"dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json"}


class BadFile(ValueError):
    """The file as a whole cannot be read; the message says why and what would be right."""


@dataclass(frozen=True)
class FileRow:
    number: int
    """Line in a JSONL file; elsewhere the place among the rows, from 1, a header not counted."""
    values: dict[str, Any]
    problem: str = ""
    """Why the row could not be read; empty when it could."""
    column: str = ""
    file: str = ""
    """Its file's name, when there are several."""


def read_rows(path: Path, filename: str, *, columns: Iterable[str], max_bytes: int) -> Generator[FileRow, None, None]:
    """Yield the rows of the file or dataset directory at `path`, which the person knows as `filename`.

    Of Parquet and Arrow files only `columns` are read. Raises BadFile.
    """
    wanted = frozenset(columns)
    if path.is_dir():
        yield from read_directory(path, wanted, max_bytes)
    elif not path.is_file():
        raise BadFile(f"there is no file {filename}")
    elif path.stat().st_size > max_bytes:
        raise BadFile(
            f"the file has {path.stat().st_size:,} bytes; the most is {max_bytes:,} (setting IMPORT_MAX_BYTES)"
        )
    elif PurePosixPath(filename).suffix.lower() == ".zip":
        with tempfile.TemporaryDirectory(prefix="concord-import-") as unpacked:
            unzip(path, Path(unpacked), max_bytes * UNPACKED_FACTOR)
            yield from read_directory(Path(unpacked), wanted, max_bytes * UNPACKED_FACTOR)
    else:
        yield from read_file(path, filename, wanted, max_bytes)


def read_file(path: Path, filename: str, columns: frozenset[str], max_bytes: int) -> Iterator[FileRow]:
    name = filename.lower().removesuffix(".gz")
    suffix = PurePosixPath(name).suffix
    if suffix in TEXT_READERS:
        compressed = filename.lower().endswith(".gz")
        content = decompress(path, max_bytes * UNPACKED_FACTOR) if compressed else path.read_bytes()
        yield from TEXT_READERS[suffix](decode(content))
    elif suffix in TABLE_READERS and name == filename.lower():
        yield from TABLE_READERS[suffix](path, columns)
    else:
        raise BadFile(
            f"{PurePosixPath(filename).name} is none of the files that can be read: .jsonl, .json, .csv, .tsv "
            "(each also .gz), .parquet, .arrow, or a .zip of a dataset directory"
        )


# Text ---------------------------------------------------------------------------------------------------


def decompress(path: Path, max_bytes: int) -> bytes:
    try:
        with gzip.open(path) as file:
            content = file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadFile(f"the file is not whole gzip data: {error}") from error
    if len(content) > max_bytes:
        raise BadFile(f"the file unpacks to more than {max_bytes:,} bytes")
    return content


def decode(content: bytes) -> str:
    """Return UTF-8 or, with a byte order mark, UTF-16 text without the mark. Raises BadFile."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        shown = content[error.start : error.start + 1].hex()
        raise BadFile(f"line {line} holds the byte 0x{shown}, which is not UTF-8; save the file as UTF-8") from error


def read_jsonl(text: str) -> Iterator[FileRow]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield json_row(number, parse_json(line))
            except json.JSONDecodeError as error:
                yield FileRow(number, {}, f"not JSON: {error.msg} at character {error.pos + 1}")
            except (ValueError, RecursionError) as error:
                yield FileRow(number, {}, f"not JSON that can be read: {error}")


def read_json(text: str) -> Iterator[FileRow]:
    try:
        content = parse_json(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # JSON lines under the name .json
            yield from read_jsonl(text)
            return
        raise BadFile(f"not JSON: {error.msg} at line {error.lineno}, character {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise BadFile(f"not JSON that can be read: {error}") from error
    if isinstance(content, dict):
        lists = [value for key, value in content.items() if isinstance(value, list) and key not in ("messages", "tags")]
        content = lists[0] if len(lists) == 1 and "prompt" not in content else [content]
    if not isinstance(content, list):
        raise BadFile("the file holds neither a list of objects nor an object with one list in it")
    for number, value in enumerate(content, start=1):
        yield json_row(number, value)


def parse_json(text: str) -> Any:
    """Return what `text` holds; a key that an object has twice is refused, for only one of its values could count."""
    return json.loads(text, object_pairs_hook=without_repeats)


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands there more than once")
    return values


def json_row(number: int, value: object) -> FileRow:
    if not isinstance(value, dict):
        return FileRow(number, {}, f"an object is expected, not {type(value).__name__}")
    return FileRow(number, value)


def read_csv(text: str) -> Iterator[FileRow]:
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(lines, [])]
    except csv.Error as error:
        raise BadFile(f"the header cannot be read: {error}") from error
    if repeated := sorted({name for name in header if name and header.count(name) > 1}):
        raise BadFile(f"the header names {', '.join(repeated)} more than once")
    number = 0
    while True:
        number += 1
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield FileRow(number, {}, f"not CSV from here on (line {lines.line_num}): {error}")
            return
        if not cells:
            number -= 1  # a blank line is no row
        elif len(cells) != len(header):
            yield FileRow(number, {}, f"{len(cells)} cells stand under {len(header)} columns (line {lines.line_num})")
        else:
            yield FileRow(number, dict(zip(header, cells, strict=True)))


# Tables -------------------------------------------------------------------------------------------------


UNREADABLE = (pyarrow.ArrowException, OSError, ValueError, OverflowError)
"""What pyarrow raises on damaged files, and on times that Python has no value for."""


def read_parquet(path: Path, columns: frozenset[str]) -> Iterator[FileRow]:
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            names = chosen_columns(table.schema_arrow.names, columns)
            batches = table.iter_batches(BATCH_ROWS, columns=names) if names else ()
            yield from table_rows(batches, table.metadata.num_rows, names)
    except UNREADABLE as error:
        raise BadFile(f"not a whole Parquet file: {error}") from error


def read_arrow(path: Path, columns: frozenset[str]) -> Iterator[FileRow]:
    """Read an Arrow file, or an Arrow stream as `datasets` writes them."""
    try:
        with pyarrow.memory_map(str(path)) as source:
            try:
                table = pyarrow.ipc.open_file(source).read_all()
            except pyarrow.ArrowInvalid:
                source.seek(0)
                table = pyarrow.ipc.open_stream(source).read_all()
            names = chosen_columns(table.column_names, columns)
            yield from table_rows(table.select(names).to_batches(BATCH_ROWS), table.num_rows, names)
    except UNREADABLE as error:
        raise BadFile(f"not a whole Arrow file: {error}") from error


def chosen_columns(names: list[str], columns: frozenset[str]) -> list[str]:
    chosen = [name for name in names if name in columns]
    if repeated := sorted({name for name in chosen if chosen.count(name) > 1}):
        raise ValueError(f"it has the column {', '.join(repeated)} more than once")
    return chosen


def table_rows(batches: Iterable[pyarrow.RecordBatch], count: int, names: list[str]) -> Iterator[FileRow]:
    if not names:
        yield from (FileRow(number, {}) for number in range(1, count + 1))
        return
    number = 0
    for batch in batches:
        batch.validate(full=True)  # damaged offsets would read memory that is not the file's
        for values in batch.to_pylist():
            number += 1
            yield FileRow(number, values)


TEXT_READERS: dict[str, Callable[[str], Iterator[FileRow]]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
}
TABLE_READERS: dict[str, Callable[[Path, frozenset[str]], Iterator[FileRow]]] = {
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".feather": read_arrow,
}


# Directories --------------------------------------------------------------------------------------------


def read_directory(directory: Path, columns: frozenset[str], max_bytes: int) -> Iterator[FileRow]:
    """Read what `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote, or every data file below."""
    files = dataset_files(directory)
    if not files:
        raise BadFile("the directory holds no .jsonl, .json, .csv, .tsv, .parquet or .arrow file")
    if (total := sum(path.stat().st_size for path in files)) > max_bytes:
        raise BadFile(f"the files have {total:,} bytes together; the most is {max_bytes:,}")
    for path in files:
        name = path.relative_to(directory).as_posix()
        try:
            for row in read_file(path, path.name, columns, max_bytes):
                file = name if len(files) > 1 else ""
                yield FileRow(row.number, row.values, row.problem, row.column, file)
        except BadFile as error:
            raise BadFile(f"{name}: {error}") from error


def dataset_files(directory: Path) -> list[Path]:
    """Return the data files in reading order, without caches and hidden files."""
    entries = [path for path in directory.iterdir() if not path.name.startswith((".", "__MACOSX"))]
    if len(entries) == 1 and entries[0].is_dir():
        return dataset_files(entries[0])  # a zip of a directory
    state = directory / "state.json"
    if state.is_file():
        try:
            names = [entry["filename"] for entry in json.loads(state.read_text(encoding="utf-8"))["_data_files"]]
            files = [directory / Path(name).name for name in names]
            missing = [path.name for path in files if not path.is_file()]
        except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
            raise BadFile(f"state.json does not list the dataset's files: {str(error)[:200]}") from error
        if missing:
            raise BadFile(f"the dataset is not whole: {', '.join(missing)} is missing")
        return files
    files = []
    for path in sorted(entries):
        if path.is_dir():
            files += dataset_files(path)
        elif path.name not in HUGGING_FACE_FILES and path.is_file():
            suffix = PurePosixPath(path.name.lower().removesuffix(".gz")).suffix
            if suffix in TEXT_READERS or suffix in TABLE_READERS:
                files.append(path)
    return files


BAD_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,  # names that are not the text they say they are
)


def unzip(path: Path, directory: Path, max_bytes: int) -> None:
    """Unpack an archive that a stranger made: no way out of `directory`, no links, bounded size. Raises BadFile."""
    left = max_bytes
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > ARCHIVE_FILES_LIMIT:
                raise BadFile(f"the archive has {len(entries):,} entries; the most is {ARCHIVE_FILES_LIMIT:,}")
            for entry in entries:
                name = PurePosixPath(entry.filename.replace("\\", "/"))
                if not name.parts and not entry.filename.endswith("/"):
                    raise BadFile(f"the archive holds an entry whose name is {entry.filename!r}; give it one")
                if name.is_absolute() or ".." in name.parts or (name.parts and ":" in name.parts[0]):
                    raise BadFile(f"the archive holds {entry.filename!r}, which points out of it")
                if len(name.parts) > ARCHIVE_DEPTH_LIMIT:
                    raise BadFile(f"the archive nests folders more than {ARCHIVE_DEPTH_LIMIT} deep")
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise BadFile(f"the archive holds the link {entry.filename!r}; put the file itself there")
                if entry.is_dir():
                    continue
                target = directory.joinpath(*name.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("wb") as file:
                    shutil.copyfileobj(Bounded(source, left), file)
                left -= target.stat().st_size
                if left < 0:
                    raise BadFile(f"the archive unpacks to more than {max_bytes:,} bytes")
    except BadFile:
        raise
    except BAD_ARCHIVE as error:
        raise BadFile(f"not a zip archive that can be read: {error}") from error


class Bounded:
    """Read at most one byte more than `limit` from `source`, so that the caller can tell that there is more."""

    def __init__(self, source: IO[bytes], limit: int) -> None:
        self.source = source
        self.left = limit + 1

    def read(self, size: int = -1) -> bytes:
        piece = self.source.read(min(size, self.left) if size >= 0 else self.left)
        self.left -= len(piece)
        return piece
