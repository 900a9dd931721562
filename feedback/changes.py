"""What changed between two texts. Pure Python."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

WORD_DIFF_LIMIT = 4_000
"""Words up to which two texts are compared word by word; longer ones line by line, which takes far less time."""


@dataclass(frozen=True)
class Piece:
    """A stretch of text that is "same", "added" or "removed"."""

    kind: str
    text: str


def text_changes(before: str, after: str) -> list[Piece]:
    """Return both texts in one, in pieces: by words, or by lines where the texts are very long."""
    old, new = re.findall(r"\s+|[^\s]+", before), re.findall(r"\s+|[^\s]+", after)
    if max(len(old), len(new)) > 2 * WORD_DIFF_LIMIT:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return pieces(old, new)


def line_changes(before: str, after: str) -> list[Piece]:
    """Return both texts in one, line by line, without the lines far from any change."""
    shown: list[Piece] = []
    for piece in pieces(f"{before}\n".splitlines(keepends=True), f"{after}\n".splitlines(keepends=True)):
        lines = piece.text.splitlines(keepends=True)
        if piece.kind == "same" and len(lines) > 6:
            piece = Piece("same", "".join([*lines[:3], "…\n", *lines[-3:]]))
        shown.append(piece)
    return shown


def pieces(old: Sequence[str], new: Sequence[str]) -> list[Piece]:
    found = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(Piece("same", "".join(old[i:j])))
            continue
        if i < j:
            found.append(Piece("removed", "".join(old[i:j])))
        if k < m:
            found.append(Piece("added", "".join(new[k:m])))
    return found
