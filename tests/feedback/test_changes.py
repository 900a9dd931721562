from __future__ import annotations

import pytest

from feedback.changes import Piece, line_changes, text_changes


def rebuilt(pieces: list[Piece], without: str) -> str:
    return "".join(piece.text for piece in pieces if piece.kind != without)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("The Rhine is long.", "The Rhine is very long."),
        ("", "All new."),
        ("All gone.", ""),
        ("a  b\n\nc", "a b\nc d"),
        ("same", "same"),
        ("word " * 9_000, "word " * 8_999 + "other "),
    ],
)
def test_the_pieces_make_both_texts(before: str, after: str) -> None:
    pieces = text_changes(before, after)
    assert rebuilt(pieces, "added") == before
    assert rebuilt(pieces, "removed") == after


def test_words_are_told_apart() -> None:
    assert text_changes("a red river", "a long river") == [
        Piece("same", "a "),
        Piece("removed", "red"),
        Piece("added", "long"),
        Piece("same", " river"),
    ]


def test_lines_far_from_a_change_are_left_out() -> None:
    before = "\n".join(f"line {n}" for n in range(20))
    pieces = line_changes(before, f"{before}\nlast")
    assert pieces == [Piece("same", "line 0\nline 1\nline 2\n…\nline 17\nline 18\nline 19\n"), Piece("added", "last\n")]
