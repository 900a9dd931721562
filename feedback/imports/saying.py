"""What people said of responses, out of the words and numbers that files have for it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from feedback.contract import PREFERENCE_LIMIT
from feedback.imports.cells import (
    BadCell,
    cell_at,
    checked_list,
    checked_number,
    checked_object,
    checked_text,
    checked_whole,
    is_filled,
    parsed_json,
    shortened,
)
from feedback.imports.chats import TEXT_KEYS, is_message
from feedback.schemas import ATTRIBUTE_LIMIT, TEXT_LIMIT

MARGINS = ("strength", "score_chosen", "score_rejected")
PLURALS = ("responses", "replies", "answers", "completions", "generations")
"""Columns of CSV files whose cells hold several responses as JSON."""
STRENGTH_WORDS = {
    "slightly": 1, "slight": 1, "slightly better": 1, "a bit": 1, "a bit better": 1, "weak": 1,
    "better": 2, "moderately": 2, "moderate": 2, "clearly": 2, "clearly better": 2, "medium": 2,
    "much": 3, "much better": 3, "significantly": 3, "significantly better": 3, "strong": 3, "strongly": 3, "far": 3,
}  # fmt: skip

Cell = tuple[str, Any]
"""A column and what stands in it; None where nothing does."""


class Scale:
    """How one file says which response is better, and by how much."""

    def __init__(
        self, words: Mapping[str, Sequence[str]], columns: Mapping[str, Sequence[str]], largest_margin: float
    ) -> None:
        self.sign = {
            word.strip().lower(): sign
            for side, sign in (("a", -1), ("b", 1), ("tie", 0))
            for word in words.get(side, ())
        }
        self.columns = columns
        self.names = {
            side: {column.lower() for key in keys for column in columns.get(key, ())}
            for side, keys in (
                (-1, ("response_a", "model_a", "response_a_id")),
                (1, ("response_b", "model_b", "response_b_id")),
            )
        }
        self.largest_margin = largest_margin

    def preference(self, values: Mapping[str, Any], winner: Cell, number: Cell, strength: Cell) -> int:
        """Return which response was preferred and how strongly; negative = the first."""
        if winner[1] is None and number[1] is not None:
            preference = checked_whole(*number)
            if abs(preference) > PREFERENCE_LIMIT:
                raise BadCell(number[0], f"{preference} is not between -{PREFERENCE_LIMIT} and {PREFERENCE_LIMIT}")
            return preference
        if winner[1] is None:
            column = winner[0] if "winner" in self.columns else number[0]
            raise BadCell(column, "nobody says which response is better")
        sign = self.sign_of(values, *winner)
        return sign * (self.strength(*strength) if sign and strength[1] is not None else 1)

    def sign_of(self, values: Mapping[str, Any], column: str, value: Any) -> int:
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise BadCell(column, f"a word for the better response is expected, not {type(value).__name__}")
        word = str(value).strip().lower()
        if word in self.sign:
            return self.sign[word]
        for side, names in self.names.items():
            if word in names or any(str(values.get(name, "")).strip().lower() == word for name in self.side(side)):
                return side
        raise BadCell(column, f"{shortened(value)} is neither a word for the first response nor the second nor a tie")

    def side(self, side: int) -> Iterator[str]:
        letter = "a" if side < 0 else "b"
        for key in (f"model_{letter}", f"response_{letter}_id"):
            yield from self.columns.get(key, ())

    def strength(self, column: str, value: Any) -> int:
        """Return 1, 2 or 3 from words, from such a number, or from a margin on this file's scale."""
        if isinstance(value, str) and value.strip().lower() in STRENGTH_WORDS:
            return STRENGTH_WORDS[value.strip().lower()]
        number = abs(checked_number(column, value))
        if number in (1, 2, 3) and self.largest_margin == PREFERENCE_LIMIT:
            return int(number)
        return min(PREFERENCE_LIMIT, max(1, math.ceil(PREFERENCE_LIMIT * number / self.largest_margin)))

    def strength_of_pair(self, margin: Cell, chosen: Cell, rejected: Cell) -> int:
        """Return the strength of a chosen-rejected pair, 1 where nobody said how strong it is."""
        if margin[1] is not None:
            if not (isinstance(margin[1], str) and margin[1].strip().lower() in STRENGTH_WORDS):
                refuse_negative(margin[0], checked_number(*margin))
            return self.strength(*margin)
        if chosen[1] is None or rejected[1] is None:
            return 1
        gap = checked_number(*chosen) - checked_number(*rejected)
        refuse_negative(rejected[0], gap)
        return self.strength(rejected[0], gap)

    # Rankings and ratings

    def ranks(self, values: Mapping[str, Any], responses: Sequence[str], count: int) -> list[int | None]:
        """Return the rank of each response, 1 = best, without gaps; None for one that was not ranked."""
        numbers: list[float | None]
        if "ranks" in self.columns:
            numbers = aligned(values, self.columns["ranks"], responses, count)
        elif "scores" in self.columns:
            scores = aligned(values, self.columns["scores"], responses, count)
            numbers = [None if score is None else -score for score in scores]
        else:
            numbers = ranks_inside(values, responses) or [float(place) for place in range(count)]
        used = sorted({number for number in numbers if number is not None})
        if sum(number is not None for number in numbers) < 2:
            column = next(iter((*self.columns.get("ranks", ()), *responses)))
            raise BadCell(column, "fewer than two responses have a rank")
        place = {number: rank for rank, number in enumerate(used, start=1)}
        return [None if number is None else place[number] for number in numbers]

    def ratings(self, values: Mapping[str, Any]) -> dict[str, int | bool]:
        """Return each attribute's value; true and false are thumbs."""
        rated: dict[str, int | bool] = {}
        for column in self.columns["ratings"]:
            value = cell_at(values, column)
            if isinstance(value, str) and value.lstrip().startswith("{"):
                value = checked_object(column, value)
            several = value.items() if isinstance(value, dict) else [(column, value)]
            for name, one in several:
                if is_filled(one):
                    rated[attribute_key(column, name)] = checked_rating(column, one)
        if not rated:
            raise BadCell(self.columns["ratings"][0], "nothing is rated in this row")
        if len(rated) > ATTRIBUTE_LIMIT:
            raise BadCell(self.columns["ratings"][0], f"{len(rated)} attributes; the most is {ATTRIBUTE_LIMIT}")
        return rated


def refuse_negative(column: str, gap: float) -> None:
    if gap < 0:
        raise BadCell(column, f"the margin is {gap:g}: by it the rejected response is the better one")


def checked_rating(column: str, value: Any) -> int | bool:
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    return value if isinstance(value, bool) else checked_whole(column, value)


def attribute_key(column: str, name: object) -> str:
    key = re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_")[:40].rstrip("_")
    if not key or not key[0].isalpha():
        raise BadCell(column, f"{shortened(name)} is no name of an attribute; begin it with a letter")
    return key


def aligned(
    values: Mapping[str, Any], columns: Sequence[str], responses: Sequence[str], count: int
) -> list[float | None]:
    """Return a number for each response: from as many columns, a list, or an object of response column and number."""
    if len(columns) > 1:
        cells = [cell_at(values, column) for column in columns]
        names = list(columns)
    else:
        value = cell_at(values, columns[0])
        if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
            value = parsed_json(columns[0], value)
        if isinstance(value, dict):
            value = [value.get(column) for column in responses]
        cells, names = checked_list(columns[0], value), [columns[0]] * count
    if len(cells) != count:
        raise BadCell(columns[0], f"{len(cells)} numbers for {count} responses")
    return [checked_number(name, cell) if is_filled(cell) else None for name, cell in zip(names, cells, strict=True)]


def ranks_inside(values: Mapping[str, Any], responses: Sequence[str]) -> list[float | None] | None:
    """Return the ranks that the responses hold themselves, as objects with text and rank."""
    members = [
        one
        for column in responses
        if is_filled(value := cell_at(values, column))
        for one, _ in members_of(column, value)
    ]
    if not any(isinstance(one, dict) and "rank" in one for one in members):
        return None
    return [
        checked_number(responses[0], one["rank"]) if isinstance(one, dict) and is_filled(one.get("rank")) else None
        for one in members
    ]


def members_of(column: str, value: Any) -> Iterator[tuple[Any, str]]:
    """Yield the responses of a cell, each with its model where an object names it."""
    if isinstance(value, str) and column.strip().lower() in PLURALS and value.lstrip().startswith(("[", "{")):
        value = parsed_json(column, value)  # elsewhere, a text that begins with a bracket is the response itself
    if isinstance(value, list) and not all(is_message(one) for one in value):
        yield from ((one, "") for one in value)
    elif isinstance(value, dict) and not is_message(value) and not any(key in value for key in TEXT_KEYS):
        yield from ((text, checked_text(column, model, 200)) for model, text in value.items())
    else:
        yield value, ""


def refuse_repeats(column: str, texts: Sequence[object]) -> None:
    if len(set(texts)) < len(texts):
        raise BadCell(column, "two responses of the row are the same text; people would see no difference")


def checked_demonstration(column: str, text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise BadCell(column, "the written response is empty")
    if len(text) > TEXT_LIMIT:
        raise BadCell(column, f"{len(text):,} characters; a written response has at most {TEXT_LIMIT:,}")
    return text
