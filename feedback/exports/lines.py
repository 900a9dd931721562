"""Rows as lines of JSON, fast: a text that many rows share is written as JSON once a batch, not once a row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow
import pyarrow.types as kinds

from feedback.exports.formats import whole
from feedback.snapshot_files import CHAT


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def plain_lines(table: pyarrow.Table) -> bytes:
    """Return every row as an object of its columns."""
    template = "{" + ", ".join(f"{as_json(name).replace('%', '%%')}: %s" for name in table.column_names) + "}\n"
    return filled(template, [fragments(table[name]) for name in table.column_names])


def openai_preference(table: pyarrow.Table) -> bytes:
    """Return pairs as OpenAI's preference fine-tuning takes them."""
    template = (
        '{"input": {"messages": %s, "tools": [], "parallel_tool_calls": true}, '
        '"preferred_output": %s, "non_preferred_output": %s}\n'
    )
    return filled(template, [fragments(table[name]) for name in ("prompt", "chosen", "rejected")])


def openai_messages(table: pyarrow.Table) -> bytes:
    """Return chats as OpenAI's supervised fine-tuning takes them."""
    return filled('{"messages": %s}\n', [fragments(table["messages"])])


def filled(template: str, columns: Sequence[Sequence[str]]) -> bytes:
    return "".join([template % row for row in zip(*columns, strict=True)]).encode()


def fragments(column: pyarrow.ChunkedArray) -> Sequence[str]:
    """Return every value of a column as JSON."""
    array = whole(column)
    if array.type == CHAT:
        return chats(array)
    if kinds.is_string(array.type):
        return strings(array)
    if kinds.is_list(array.type):
        return ["[]" if not value else as_json(value) for value in array.to_pylist()]
    return [as_json(value) for value in array.to_pylist()]


def strings(array: pyarrow.Array) -> list[str]:
    coded = array.dictionary_encode()
    words = [as_json(word) for word in coded.dictionary.to_pylist()]
    return ["null" if index is None else words[index] for index in coded.indices.to_pylist()]


def chats(array: pyarrow.Array) -> list[str]:
    messages = array.flatten()
    roles = strings(messages.field("role"))
    contents = strings(messages.field("content"))
    said = [f'{{"role": {role}, "content": {content}}}' for role, content in zip(roles, contents, strict=True)]
    found, begin = [], 0
    for length in array.value_lengths().to_pylist():
        found.append("[" + ", ".join(said[begin : begin + length]) + "]")
        begin += length
    return found
