"""What is wrong with the rows of a file: a few to show, and all of them as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from feedback.imports.reading import FileRow

ERRORS_SHOWN = 100
ERRORS_KEPT = 100_000
CSV = "text/csv; charset=utf-8"
HEADER = ("file", "row", "column", "what is wrong, and what would be right")


@dataclass(frozen=True)
class RowError:
    row: int
    """Line of a JSONL file, else the place among the rows from 1; 0 for the file as a whole."""
    column: str
    message: str
    file: str = ""

    def __str__(self) -> str:
        message = f"{self.file}: {self.message}" if self.file else self.message
        where = f"row {self.row}, column {self.column}: " if self.column else f"row {self.row}: "
        return (where if self.row else "") + message


class ImportRefused(ValueError):
    """Nothing was imported. `errors` are the first of `total` reasons."""

    def __init__(self, errors: Sequence[RowError], total: int) -> None:
        shown = "; ".join(str(error) for error in errors[:3])
        super().__init__(shown if total <= 3 else f"{shown}; and {total - 3} more")
        self.errors = list(errors)
        self.total = total


class ErrorFile:
    """The errors of one pass over a file. `size` is how far it is written; a pass that goes on cuts off the rest."""

    def __init__(self, path: Path, *, size: int = 0, total: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("r+", encoding="utf-8", newline="") if path.exists() else path.open(
            "w+", encoding="utf-8", newline=""
        )  # fmt: skip
        self.file.seek(size)
        self.file.truncate(size)
        self.writer = csv.writer(self.file)
        self.total = total
        if not size:
            self.writer.writerow(HEADER)

    def __enter__(self) -> ErrorFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.file.close()

    def add(self, row: FileRow | None, column: str, message: str) -> None:
        """Write one error; of `row`, or of the file as a whole."""
        self.total += 1
        if self.total <= ERRORS_KEPT:
            where = ("", 0) if row is None else (row.file, row.number)
            self.writer.writerow([*where, safe(column), safe(message)])
        elif self.total == ERRORS_KEPT + 1:
            self.writer.writerow(["", 0, "", f"only the first {ERRORS_KEPT:,} are listed"])

    def go_back(self, total: int, size: int) -> None:
        """Take back what was added since; `flush` gave the size then."""
        self.file.seek(size)
        self.file.truncate(size)
        self.total = total

    def flush(self) -> int:
        """Bring what is written to the disk; return its size."""
        self.file.flush()
        return self.file.tell()


def safe(text: str) -> str:
    """Return text that a spreadsheet shows and does not calculate, and that any file can hold."""
    text = text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def read_errors(path: Path, limit: int = ERRORS_SHOWN) -> list[RowError]:
    """Return the first errors of the file."""
    return list(errors_in(path, limit)) if path.is_file() else []


def errors_in(path: Path, limit: int) -> Iterator[RowError]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows, None)
        for _, cells in zip(range(limit), rows, strict=False):
            if len(cells) == len(HEADER):
                yield RowError(int(cells[1]), cells[2], cells[3], cells[0])
