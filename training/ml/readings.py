"""What a model reads of a row, token by token, and which tokens the loss is on; the same for every kind of run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, TypeVar

R = TypeVar("R")

HELD_OUT_ROWS = 256
"""Looked at before and after training; more would say little more and take long. An evaluate run takes all."""


@dataclass(frozen=True)
class Reading:
    """One sequence as the model reads it."""

    ids: Sequence[int]
    learned: tuple[tuple[int, int], ...] = ()
    """Half-open spans of the tokens that the loss is on, each ended by the end token; none for a prompt alone."""
    part: str = ""
    """Which of a row's sequences it is, such as "chosen"."""

    @property
    def learned_tokens(self) -> int:
        return sum(end - start for start, end in self.learned)

    @property
    def prompt(self) -> tuple[int, ...]:
        """What comes before the first learned token."""
        return tuple(self.ids[: self.learned[0][0]] if self.learned else self.ids)


class Row(Protocol):
    """What preflight must know of a row of any kind: of SFT, pairs, thumbs, or a prompt alone."""

    @property
    def name(self) -> str:
        """How a message to people calls this row."""

    def readings(self) -> Sequence[Reading]: ...


@dataclass(frozen=True)
class PromptTokens:
    """A prompt that the policy answers."""

    name: str
    ids: Sequence[int]

    def readings(self) -> list[Reading]:
        return [Reading(self.ids)]


def answered(prompt: Sequence[int], response: Sequence[int], part: str = "") -> Reading:
    """Return a prompt with its response, which is learned."""
    return Reading([*prompt, *response], ((len(prompt), len(prompt) + len(response)),), part)


def masked(ids: Sequence[int], mask: Sequence[int | bool], part: str = "") -> Reading:
    """Return a sequence whose learned tokens are those where `mask` is true."""
    spans, start = [], 0
    for learned, group in groupby(mask, key=bool):
        end = start + len(list(group))
        if learned:
            spans.append((start, end))
        start = end
    return Reading(ids, tuple(spans), part)


def length(row: Row) -> int:
    """Return the tokens of the row's longest sequence."""
    return max(len(reading.ids) for reading in row.readings())


def some(rows: Sequence[R], most: int = HELD_OUT_ROWS) -> list[R]:
    """Return at most `most` rows, evenly chosen."""
    if len(rows) <= most:
        return list(rows)
    return [rows[place * len(rows) // most] for place in range(most)]
