"""What people are asked, as ratings that can be compared: who gave which value to which unit.

comparison  unit: the task; value: the preference, -3..+3
ranking     units: every two responses of a task; value: -1, 0 or +1, which of the two stands higher
rating      for each attribute, units: every response of a task; value: the point on its scale

A demonstration, a correction and a talk are everybody's own: there is nothing to agree on.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.db.models import TextField
from django.db.models.functions import Cast

from feedback.models import Judgment, LabelSchema, Queue
from feedback.quality.columns import Bools, Columns, Floats, Ints, as_raw, batches, places_in
from feedback.schemas import TaskKind

MOST_RESPONSES = 64
"""More than any task shows; a unit's code is the task's times this square, plus where in the task it is."""


@dataclass(frozen=True)
class Question:
    """One thing that people were asked, with every answer to it: three arrays [ratings] beside the words."""

    kind: str
    attribute: str
    """Key of a rating's attribute; empty of other kinds."""
    label: str
    queues: tuple[Queue, ...]
    row: Ints
    """Of the judgment in its Columns."""
    unit: Ints
    value: Floats
    points: tuple[int, ...]
    """The values that there can be, in order."""

    @property
    def key(self) -> str:
        where = self.queues[0].pk.hex if len(self.queues) == 1 else self.kind
        return f"{where}-{self.attribute}" if self.attribute else where

    @property
    def is_preference(self) -> bool:
        """Whether it asks which of two is better, so that a tie is the middle."""
        return self.kind in (TaskKind.COMPARISON, TaskKind.RANKING)

    def only(self, mask: Bools) -> Question:
        """Return the ratings of `mask` [ratings]."""
        return replace(self, row=self.row[mask], unit=self.unit[mask], value=self.value[mask])


def countable(columns: Columns) -> Bools:
    """Tell which judgments say how far people agree: votes of people that are told apart."""
    return votes_among(columns) & ~columns.by_nobody


def votes_among(columns: Columns) -> Bools:
    """Tell which judgments are votes: not those on gold, which were chosen to be known, of repeats and tests, which
    are about one person, and those that a review rejects."""
    tests = np.array([queue.is_qualification for queue in columns.queues], dtype=bool)
    return ~(columns.gold | columns.repeat | columns.rejected | tests[columns.queue])


def questions(columns: Columns, rows: Bools) -> Iterator[Question]:
    """Yield every question of every queue with the judgments of `rows`, then each kind's over its queues together."""
    together: dict[tuple[str, str], list[Question]] = {}
    for number, queue in enumerate(columns.queues):
        asked = rows & (columns.queue == number)
        if not asked.any() or queue.kind not in READERS:
            continue
        for question in READERS[queue.kind](columns, queue, np.flatnonzero(asked)):
            yield question
            if question.is_preference:
                together.setdefault((question.kind, question.attribute), []).append(question)
    for parts in together.values():
        if len(parts) > 1:
            yield joined(parts)


def joined(parts: list[Question]) -> Question:
    first = parts[0]
    return replace(
        first,
        label=f"All {TaskKind(first.kind).label.lower()} queues",
        queues=tuple(queue for part in parts for queue in part.queues),
        row=np.concatenate([part.row for part in parts]),
        unit=np.concatenate([part.unit for part in parts]),
        value=np.concatenate([part.value for part in parts]),
        points=tuple(sorted({point for part in parts for point in part.points})),
    )


def of_comparison(columns: Columns, queue: Queue, rows: Ints) -> Iterator[Question]:
    value = columns.preference[rows].astype(float)
    unit = columns.task[rows].astype(np.int64) * MOST_RESPONSES**2
    yield Question(TaskKind.COMPARISON, "", queue.name, (queue,), rows, unit, value, tuple(range(-3, 4)))


def of_ranking(columns: Columns, queue: Queue, rows: Ints) -> Iterator[Question]:
    at: list[int] = []
    pairs: list[int] = []
    values: list[int] = []
    for row, content in contents(columns, queue, rows):
        ranks = content.get("ranks", ())
        for one, two in itertools.combinations(range(len(ranks)), 2):
            if ranks[one] is not None and ranks[two] is not None:
                at.append(row)
                pairs.append(one * MOST_RESPONSES + two)
                values.append((ranks[one] > ranks[two]) - (ranks[one] < ranks[two]))
    rows, unit, value = rating_arrays(columns, at, pairs, values)
    yield Question(TaskKind.RANKING, "", queue.name, (queue,), rows, unit, value, (-1, 0, 1))


def of_rating(columns: Columns, queue: Queue, rows: Ints) -> Iterator[Question]:
    found: dict[str, tuple[list[int], list[int], list[int]]] = {}
    for row, content in contents(columns, queue, rows):
        for place, said in enumerate(content.get("ratings", ())):
            for attribute, value in said.items():
                into = found.setdefault(attribute, ([], [], []))
                into[0].append(row)
                into[1].append(place)
                into[2].append(value)
    known = {
        attribute.key: attribute
        for schema in LabelSchema.objects.filter(queue=queue).select_related("queue").order_by("number")
        for attribute in schema.asks.attributes
    }
    for key in (key for key in known if key in found):
        given, unit, value = rating_arrays(columns, *found[key])
        points = tuple(sorted({*known[key].values, *value.astype(int).tolist()}))
        yield Question(TaskKind.RATING, key, f"{queue.name}: {known[key].label}", (queue,), given, unit, value, points)


READERS: Mapping[str, Callable[[Columns, Queue, Ints], Iterator[Question]]] = {
    TaskKind.COMPARISON: of_comparison,
    TaskKind.RANKING: of_ranking,
    TaskKind.RATING: of_rating,
}


def rating_arrays(columns: Columns, rows: list[int], places: list[int], values: list[int]) -> tuple[Ints, Ints, Floats]:
    row = np.array(rows, dtype=np.int64)
    unit = columns.task[row].astype(np.int64) * MOST_RESPONSES**2 + np.array(places, dtype=np.int64)
    return row, unit, np.array(values, dtype=float)


def contents(columns: Columns, queue: Queue, rows: Ints) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row, what was said) of those `rows`, all of `queue`."""
    wanted = Judgment.objects.current().filter(queue=queue).order_by()
    for batch in batches(wanted.values_list(Cast("id", TextField()), Cast("content", TextField()))):
        ids, said = zip(*batch, strict=True)
        places = places_in(columns.judgment[rows], as_raw(ids))
        for place, text in zip(places.tolist(), said, strict=True):
            if place >= 0:
                yield int(rows[place]), json.loads(text)
