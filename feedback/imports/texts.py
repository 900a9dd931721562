"""Rows of JSONL, JSON, CSV and TSV, read as a stream."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from feedback.imports.reading import LINE_LIMIT, BadFile, FileRow, Text

PIECE = 1 << 18
"""Characters of JSON that are read at once."""
CELL_LIMIT = 2_000_000
"""Characters of one cell of a CSV file."""
SPACE = re.compile(r"[ \t\n\r]*")
csv.field_size_limit(CELL_LIMIT)


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of JSON; a key that stands there twice is refused, for only one of its values could count."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands there more than once")
    return values


DECODER = json.JSONDecoder(object_pairs_hook=without_repeats, parse_constant=lambda word: None)
"""NaN and Infinity are no JSON; programs write them where there is no value, so they count as none."""


def json_row(number: int, value: object) -> FileRow:
    if not isinstance(value, dict):
        return FileRow(number, {}, f"an object is expected, not {type(value).__name__}")
    return FileRow(number, value)


# JSONL --------------------------------------------------------------------------------------------------


def read_jsonl(source: Text) -> Iterator[FileRow]:
    for number, line in enumerate(source.lines(), start=1):
        if line.strip():
            yield jsonl_row(number, line)


def jsonl_row(number: int, line: str) -> FileRow:
    try:
        return json_row(number, DECODER.decode(line))
    except json.JSONDecodeError as error:
        return FileRow(number, {}, f"not JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:
        return FileRow(number, {}, f"not JSON that can be read: {error}")


# JSON ---------------------------------------------------------------------------------------------------


def read_json(source: Text) -> Iterator[FileRow]:
    """Read a list of objects, an object with one list of them in it, one object, or JSON lines under this name."""
    stream = JsonStream(source.pieces(PIECE))
    first = stream.peek()
    if first == "[":
        yield from list_rows(stream)
        stream.expect_end()
    elif first == "{":
        yield from object_rows(stream)
    else:
        stream.value()
        raise BadFile("the file holds neither a list of objects nor an object with one list in it")


def list_rows(stream: JsonStream) -> Iterator[FileRow]:
    for number, value in enumerate(stream.members(), start=1):
        yield json_row(number, value)


def object_rows(stream: JsonStream) -> Iterator[FileRow]:
    if (whole := stream.whole_value()) is not NOTHING:
        if stream.peek():
            yield from concatenated_rows(stream, whole)
            return
        lists = [value for key, value in whole.items() if isinstance(value, list) and key not in ("messages", "tags")]
        rows = lists[0] if len(lists) == 1 and "prompt" not in whole else [whole]
        yield from (json_row(number, value) for number, value in enumerate(rows, start=1))
        return
    seen = False
    for _ in stream.keys():  # noqa: SIM118 - not a mapping
        if stream.peek() != "[":
            stream.value()
        elif seen:
            raise BadFile("the object holds more than one list; leave the one with the rows")
        else:
            seen = True
            yield from list_rows(stream)
    stream.expect_end()
    if not seen:
        raise BadFile("the file holds neither a list of objects nor an object with one list in it")


def concatenated_rows(stream: JsonStream, first: object) -> Iterator[FileRow]:
    """Objects one after the other, as JSON lines are that were named .json."""
    number = 1
    yield json_row(number, first)
    while stream.peek():
        number += 1
        yield json_row(number, stream.value())


NOTHING: Any = object()


class JsonStream:
    """JSON values out of a text that is never held whole."""

    def __init__(self, more: Callable[[], str]) -> None:
        self.more, self.text, self.place, self.ended, self.line = more, "", 0, False, 1

    def fill(self) -> None:
        self.line += self.text.count("\n", 0, self.place)
        piece = self.more()
        self.ended = not piece
        self.text, self.place = self.text[self.place :] + piece, 0

    def peek(self) -> str:
        """Return the next character that is no space, or "" at the end."""
        while True:
            self.place = SPACE.match(self.text, self.place).end()  # type: ignore[union-attr]  # matches anything
            if self.place < len(self.text):
                return self.text[self.place]
            if self.ended:
                return ""
            self.fill()

    def take(self, *wanted: str) -> str:
        found = self.peek()
        if found not in wanted or not found:
            raise self.bad(f"{' or '.join(wanted)} is expected", self.place)
        self.place += 1
        return found

    def value(self) -> Any:
        """Return the next value. Raises BadFile."""
        value = self.whole_value()
        if value is NOTHING:
            raise BadFile(f"line {self.line}: one value has more than {LINE_LIMIT:,} characters")
        return value

    def whole_value(self) -> Any:
        """Return the next value, or NOTHING, with nothing read, where it does not fit into memory."""
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.place)
            except json.JSONDecodeError as error:
                cut_off = error.msg.startswith("Unterminated string") or error.pos >= len(self.text) - 10
                if self.ended or not cut_off:
                    raise self.bad(error.msg, error.pos) from error
            except (ValueError, RecursionError) as error:
                raise BadFile(f"not JSON that can be read: {error}") from error
            else:
                if end < len(self.text) or self.ended:
                    self.place = end
                    return value
            if len(self.text) - self.place > LINE_LIMIT:
                return NOTHING
            wanted = 2 * (len(self.text) - self.place)
            while len(self.text) - self.place < wanted or not wanted:
                self.fill()
                if self.ended or not wanted:
                    break

    def members(self) -> Iterator[Any]:
        self.take("[")
        if self.peek() == "]":
            self.place += 1
            return
        while True:
            yield self.value()
            if self.take(",", "]") == "]":
                return

    def keys(self) -> Iterator[str]:
        """Yield each key of an object; whoever asks for the next has read the value."""
        self.take("{")
        while self.peek() == '"':
            key = self.value()
            self.take(":")
            yield key
            if self.take(",", "}") == "}":
                return
        self.take("}")

    def expect_end(self) -> None:
        if self.peek():
            raise self.bad("the file goes on after its end", self.place)

    def bad(self, words: str, place: int) -> BadFile:
        line = self.line + self.text.count("\n", 0, place)
        column = place - (self.text.rfind("\n", 0, place) + 1) + 1
        return BadFile(f"not JSON: {words} at line {line}, character {column}")


# CSV ----------------------------------------------------------------------------------------------------


def read_csv(source: Text) -> Iterator[FileRow]:
    raw = source.lines()
    first = next(raw, "")
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(then(first, raw), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
    except csv.Error as error:
        raise BadFile(f"the header cannot be read: {error}") from error
    if repeated := sorted({name for name in header if name and header.count(name) > 1}):
        raise BadFile(f"the header names {', '.join(repeated)} more than once")
    number, width = 0, len(header)
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
        elif len(cells) != width:
            yield FileRow(number, {}, f"{len(cells)} cells stand under {width} columns (line {lines.line_num})")
        else:
            yield FileRow(number, dict(zip(header, cells, strict=True)))


def then(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


TEXT_READERS: dict[str, Callable[[Text], Iterator[FileRow]]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
}
