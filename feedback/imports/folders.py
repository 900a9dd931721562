"""Dataset directories, as `datasets` writes them and as people pack them into a zip."""

from __future__ import annotations

import json
import lzma
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO

from feedback.imports.reading import BadFile, FileRow, read_file, suffix_of
from feedback.imports.tables import TABLE_READERS
from feedback.imports.texts import TEXT_READERS

ARCHIVE_FILES_LIMIT = 1_000
ARCHIVE_DEPTH_LIMIT = 20
HUGGING_FACE_FILES = {"dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json"}


def read_folder(directory: Path, max_bytes: int) -> Iterator[FileRow]:
    """Read what `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote, or every data file below."""
    files = dataset_files(directory)
    if not files:
        raise BadFile("the directory holds no .jsonl, .json, .csv, .tsv, .parquet or .arrow file")
    if (total := sum(path.stat().st_size for path in files)) > max_bytes:
        raise BadFile(f"the files have {total:,} bytes together; the most is {max_bytes:,}")
    for path in files:
        name = path.relative_to(directory).as_posix()
        try:
            for row in read_file(path, path.name, max_bytes):
                yield row if len(files) == 1 else replace(row, file=name)
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
            suffix = suffix_of(path.name)
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


@contextmanager
def unzipped(path: Path, kept: Path | None, max_bytes: int) -> Iterator[Path]:
    """Unpack an archive into `kept` unless that was done before, or else into a folder that goes away again."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="concord-import-") as folder:
            unzip(path, Path(folder), max_bytes)
            yield Path(folder)
        return
    if not kept.is_dir():
        with tempfile.TemporaryDirectory(prefix="unpacking-", dir=kept.parent) as folder:
            unzip(path, Path(folder) / "whole", max_bytes)
            (Path(folder) / "whole").rename(kept)
    yield kept


def unzip(path: Path, directory: Path, max_bytes: int) -> None:
    """Unpack an archive that a stranger made: no way out of `directory`, no links, bounded size. Raises BadFile."""
    left = max_bytes
    directory.mkdir(exist_ok=True)
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
