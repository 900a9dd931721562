"""Columns of a snapshot's tables, made without an object for every value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray

from feedback.snapshot_files import CHAT, RAISED

HEX = np.array([f"{byte:02x}".encode() for byte in range(256)], dtype="S2").view(np.uint8).reshape(256, 2)
DASHES = (8, 13, 18, 23)


def picked(index: NDArray[Any]) -> pyarrow.Array:
    """Return an index for `take`."""
    return pyarrow.array(index.astype(np.int64))


def dashed(ids: NDArray[np.void]) -> pyarrow.Array:
    """Return UUIDs of 16 bytes each, written with dashes."""
    count = len(ids)
    digits = HEX[np.ascontiguousarray(ids).view(np.uint8)].reshape(count, 32)
    text = np.empty((count, 36), dtype=np.uint8)
    text[:, DASHES] = ord("-")
    text[:, [place for place in range(36) if place not in DASHES]] = digits
    offsets = np.arange(count + 1, dtype=np.int32) * 36
    return pyarrow.StringArray.from_buffers(count, pyarrow.py_buffer(offsets), pyarrow.py_buffer(text))


def assistants(texts: pyarrow.Array) -> pyarrow.Array:
    """Return every text as a chat of one assistant message."""
    messages = pyarrow.StructArray.from_arrays(
        [pyarrow.repeat("assistant", len(texts)), texts], fields=list(CHAT.value_type)
    )
    return pyarrow.ListArray.from_arrays(pyarrow.array(np.arange(len(texts) + 1, dtype=np.int32)), messages)


def chats(messages: Sequence[Sequence[Any] | None]) -> pyarrow.Array:
    """Return chats; one that was not found is null, and no row may be about it."""
    return pyarrow.array(messages, CHAT)


def flags_of(flags: Sequence[Sequence[Any]]) -> pyarrow.Array:
    return pyarrow.array(flags, RAISED)
