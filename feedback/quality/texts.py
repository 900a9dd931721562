"""How long the responses of tasks are and how much markup they use, counted by the database: no text leaves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import F, TextField, Value
from django.db.models.functions import Cast, Length, Replace

from feedback.models import Project, TaskResponse
from feedback.quality.columns import Columns, Floats, as_raw, batches, places_in

MARKUP = ("**", "\n- ", "\n* ", "\n#", "\n1. ", "```")
"""What makes a response look worked out: bold, lists, headings, code."""


@dataclass(frozen=True)
class Texts:
    """Of every task of a Columns: `words` and `markup` [tasks x 2] of the responses at places 0 and 1 (nan: none), and
    how many words all its responses have, `read` [tasks]."""

    words: Floats
    markup: Floats
    read: Floats


def read_texts(*, project: Project, columns: Columns) -> Texts:
    """Measure the responses of the columns' tasks. Words are what spaces and line breaks divide."""
    words = np.full((len(columns.tasks), 2), np.nan)
    markup = np.full((len(columns.tasks), 2), np.nan)
    read = np.zeros(len(columns.tasks))
    links = TaskResponse.objects.filter(task__queue__project=project).order_by()
    wanted = links.values_list(Cast("task_id", TextField()), "place", word_count(), markup_count())
    for batch in batches(wanted):
        tasks, places, lengths, marks = zip(*batch, strict=True)
        at, place = places_in(columns.tasks, as_raw(tasks)), np.array(places)
        long, marked = np.array(lengths, dtype=float), np.array(marks, dtype=float)
        known = at >= 0
        np.add.at(read, at[known], long[known])
        pair = known & (place < 2)
        words[at[pair], place[pair]] = long[pair]
        markup[at[pair], place[pair]] = marked[pair]
    return Texts(words, markup, read)


def word_count() -> Any:
    text: Any = F("response__text")
    for gap in (" ", "\n"):
        text = Replace(text, Value(gap), Value(""))
    return Length("response__text") - Length(text) + 1


def markup_count() -> Any:
    counts: Any = Value(0)
    for mark in MARKUP:
        without = Replace(F("response__text"), Value(mark), Value(""))
        counts = counts + (Length("response__text") - Length(without)) / Value(len(mark))
    return counts
