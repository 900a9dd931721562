"""Rows as lines of JSON, fast: a text that many rows share is written as JSON once a batch, not once a row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from json.encoder import encode_basestring

import pyarrow
import pyarrow.types as kinds

from feedback.exports.formats import whole
from feedback.snapshot_files import CHAT

as_json = json.JSONEncoder(ensure_ascii=False).encode


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
    if kinds.is_list(array.type) and kinds.is_string(array.type.value_type):
        flat = iter(strings(array.flatten()))
        counts = array.value_lengths().to_pylist()
        return ["null" if count is None else "[" + ", ".join(islice(flat, count)) + "]" for count in counts]
    if kinds.is_list(array.type):
        return ["[]" if not value else as_json(value) for value in array.to_pylist()]
    coded = array.dictionary_encode()  # numbers and truth: few of them, again and again
    words = [as_json(value) for value in coded.dictionary.to_pylist()]
    return ["null" if index is None else words[index] for index in coded.indices.to_pylist()]


def strings(array: pyarrow.Array) -> list[str]:
    coded = array.dictionary_encode()
    words = [encode_basestring(word) for word in coded.dictionary.to_pylist()]
    return ["null" if index is None else words[index] for index in coded.indices.to_pylist()]


def chats(array: pyarrow.Array) -> list[str]:
    """Return chats as JSON; a chat that several rows share is one string."""
    messages = array.flatten()
    roles, contents = (messages.field(name).dictionary_encode() for name in ("role", "content"))
    role_words, content_words = (
        [encode_basestring(one) for one in coded.dictionary.to_pylist()] for coded in (roles, contents)
    )
    said = list(zip(roles.indices.to_pylist(), contents.indices.to_pylist(), strict=True))
    known: dict[tuple[tuple[int, int], ...], str] = {}
    found, begin = [], 0
    for length in array.value_lengths().to_pylist():
        key = tuple(said[begin : begin + length])
        text = known.get(key)
        if text is None:
            parts = [f'{{"role": {role_words[role]}, "content": {content_words[content]}}}' for role, content in key]
            text = known[key] = "[" + ", ".join(parts) + "]"
        found.append(text)
        begin += length
    return found
