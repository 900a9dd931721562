"""Read rows out of the files that people have, one after the other: a file of any size takes the same memory.

Knows nothing of prompts. Every reader yields `FileRow`s; a row that cannot be read carries the reason, and a file that
cannot be read any further raises BadFile.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

UNPACKED_FACTOR = 10
"""How many times larger than the upload limit a compressed file may become."""
LINE_LIMIT = 16 * 2**20
"""Characters of one line, or of one row of JSON."""


class BadFile(ValueError):
    """The file as a whole cannot be read; the message says why and what would be right."""


@dataclass(frozen=True, slots=True)
class FileRow:
    number: int
    """Line in a JSONL file; elsewhere the place among the rows, from 1, a header not counted."""
    values: dict[str, Any]
    problem: str = ""
    """Why the row could not be read; empty when it could."""
    column: str = ""
    file: str = ""
    """Its file's name, when there are several."""


def read_rows(path: Path, filename: str, *, max_bytes: int, unpacked: Path | None = None) -> Iterator[FileRow]:
    """Yield the rows of the file or dataset directory at `path`, which the person knows as `filename`.

    An archive is unpacked into the folder `unpacked`, once. Raises BadFile.
    """
    from feedback.imports.folders import read_folder, unzipped

    if path.is_dir():
        yield from read_folder(path, max_bytes)
    elif not path.is_file():
        raise BadFile(f"there is no file {filename}")
    elif path.stat().st_size > max_bytes:
        raise BadFile(
            f"the file has {path.stat().st_size:,} bytes; the most is {max_bytes:,} (setting IMPORT_MAX_BYTES)"
        )
    elif PurePosixPath(filename).suffix.lower() == ".zip":
        with unzipped(path, unpacked, max_bytes * UNPACKED_FACTOR) as folder:
            yield from read_folder(folder, max_bytes * UNPACKED_FACTOR)
    else:
        yield from read_file(path, filename, max_bytes)


def suffix_of(filename: str) -> str:
    return PurePosixPath(filename.lower().removesuffix(".gz")).suffix


def read_file(path: Path, filename: str, max_bytes: int) -> Iterator[FileRow]:
    from feedback.imports.tables import TABLE_READERS
    from feedback.imports.texts import TEXT_READERS

    suffix, packed = suffix_of(filename), filename.lower().endswith(".gz")
    if suffix in TEXT_READERS:
        with text_of(path, packed=packed, max_bytes=max_bytes * UNPACKED_FACTOR) as source:
            yield from TEXT_READERS[suffix](source)
    elif suffix in TABLE_READERS and not packed:
        yield from TABLE_READERS[suffix](path)
    else:
        raise BadFile(
            f"{PurePosixPath(filename).name} is none of the files that can be read: .jsonl, .json, .csv, .tsv "
            "(each also .gz), .parquet, .arrow, or a .zip of a dataset directory"
        )


class Text:
    """A text file that is read forwards only: by lines, or by pieces of so many characters."""

    def __init__(self, binary: IO[bytes], opened_again: Callable[[], IO[bytes]]) -> None:
        start = binary.read(3)
        self.encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        self.binary = opened_again()
        self.line = 0
        """Number of the line that was read last."""

    def lines(self) -> Iterator[str]:
        """Yield each line with its end. Raises BadFile where one is too long or no text."""
        for line in self.raw_lines():
            self.line += 1
            if len(line) > LINE_LIMIT:
                raise BadFile(f"line {self.line} has more than {LINE_LIMIT:,} characters; break the file into lines")
            yield line if isinstance(line, str) else self.decoded(line)

    def raw_lines(self) -> Iterator[bytes] | Iterator[str]:
        if self.encoding == "utf-16":
            wrapped = io.TextIOWrapper(self.binary, encoding="utf-16", newline="\n")
            return iter(lambda: self.careful(lambda: wrapped.readline(LINE_LIMIT + 1)), "")
        return iter(lambda: self.binary.readline(LINE_LIMIT + 1), b"")

    def decoded(self, line: bytes) -> str:
        try:
            return line.decode("utf-8-sig" if self.line == 1 else "utf-8")
        except UnicodeDecodeError as error:
            shown = line[error.start : error.start + 1].hex()
            raise BadFile(
                f"line {self.line} holds the byte 0x{shown}, which is not UTF-8; save the file as UTF-8"
            ) from error

    def pieces(self, size: int) -> Callable[[], str]:
        """Return a function that gives the next `size` characters, and "" at the end."""
        wrapped = io.TextIOWrapper(self.binary, encoding=self.encoding, newline="")
        return lambda: self.careful(lambda: wrapped.read(size))

    def careful(self, read: Callable[[], str]) -> str:
        try:
            return read()
        except UnicodeError as error:
            name = self.encoding.removesuffix("-sig").upper()
            raise BadFile(f"the file holds bytes that are not {name}; save it as UTF-8 ({error.args[-1]})") from error


@contextmanager
def text_of(path: Path, *, packed: bool, max_bytes: int) -> Iterator[Text]:
    """Open a text file, unpacking it on the way. Raises BadFile, also while it is read."""
    opened: list[IO[bytes]] = []

    def open_again() -> IO[bytes]:
        file: IO[bytes] = path.open("rb")
        opened.append(file)
        if packed:
            inside: IO[bytes] = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]
            file = io.BufferedReader(Unpacked(inside, max_bytes), 1 << 18)
        return file

    try:
        yield Text(open_again(), open_again)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadFile(f"the file is not whole gzip data: {error}") from error
    finally:
        for file in opened:
            file.close()


class Unpacked(io.RawIOBase):
    """What a compressed file unpacks to, up to a limit."""

    def __init__(self, inside: IO[bytes], limit: int) -> None:
        self.inside, self.limit, self.left = inside, limit, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self.inside.read(len(buffer))
        self.left -= len(piece)
        if self.left < 0:
            raise BadFile(f"the file unpacks to more than {self.limit:,} bytes")
        buffer[: len(piece)] = piece
        return len(piece)
