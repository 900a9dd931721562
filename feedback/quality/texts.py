"""How long the responses of tasks are and how much markup they use, counted by the database: no text leaves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import F, TextField, Value
from django.db.models.functions import Cast, Length, Replace

from feedback.models import Project, Response, TaskResponse
from feedback.quality.columns import ID, Columns, Floats, Raw, as_raw, batches, places_in

MARKUP = ("**", "\n- ", "\n#")
"""What makes a response look worked out: bold, lists, headings."""


@dataclass(frozen=True)
class Texts:
    """Of every task of a Columns: `words` and `markup` [tasks x 2] of the responses at places 0 and 1 (nan: none), and
    how many words all its responses have, `read` [tasks]."""

    words: Floats
    markup: Floats
    read: Floats


def read_texts(*, project: Project, columns: Columns) -> Texts:
    """Measure the responses of the columns' tasks, each once. Words are what spaces and line breaks divide."""
    responses, long, marked = measured_responses(project)
    words = np.full((len(columns.tasks), 2), np.nan)
    markup = np.full((len(columns.tasks), 2), np.nan)
    read = np.zeros(len(columns.tasks))
    links = TaskResponse.objects.filter(task__queue__project=project).order_by()
    for batch in batches(links.values_list(*(Cast(name, TextField()) for name in ("task_id", "response_id")), "place")):
        tasks, shown, places = zip(*batch, strict=True)
        at, what, place = places_in(columns.tasks, as_raw(tasks)), places_in(responses, as_raw(shown)), np.array(places)
        known = (at >= 0) & (what >= 0)
        np.add.at(read, at[known], long[what[known]])
        pair = known & (place < 2)
        words[at[pair], place[pair]] = long[what[pair]]
        markup[at[pair], place[pair]] = marked[what[pair]]
    return Texts(words, markup, read)


def measured_responses(project: Project) -> tuple[Raw, Floats, Floats]:
    """Return the ids of the project's responses, how many words each has, and how much markup."""
    ids, words, markup = [np.empty(0, ID)], [np.empty(0)], [np.empty(0)]
    wanted = Response.objects.filter(prompt__project=project).order_by()
    for batch in batches(wanted.values_list(Cast("id", TextField()), word_count(), markup_count())):
        each, long, marked = zip(*batch, strict=True)
        ids.append(as_raw(each))
        words.append(np.array(long, dtype=float))
        markup.append(np.array(marked, dtype=float))
    return np.concatenate(ids), np.concatenate(words), np.concatenate(markup)


def word_count() -> Any:
    text: Any = F("text")
    for gap in (" ", "\n"):
        text = Replace(text, Value(gap), Value(""))
    return Length("text") - Length(text) + 1


def markup_count() -> Any:
    counts: Any = Value(0)
    for mark in MARKUP:
        counts = counts + (Length("text") - Length(Replace(F("text"), Value(mark), Value("")))) / Value(len(mark))
    return counts
