"""Which model wrote the responses of each task, and how long and how formatted they are.

Lengths are counted in the database, so that no text is read. What they count is near what a person would: words are
what stands between spaces and line breaks, list items are lines that begin with a bullet or with a digit and a dot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import F, Func, IntegerField, TextField, Value
from django.db.models.functions import Cast, Concat, Length, Replace

from feedback.models import Project, Response, TaskResponse, Turn
from feedback.quality.columns import ID, Columns, Ints, as_raw, batches, coded, places_in
from feedback.schemas import TaskKind

FEATURES = ("words", "headers", "list items", "bold words")
PEOPLE = "people"
"""Stands for whoever wrote a response by hand."""
BULLETS = ("- ", "* ", *(f"{digit}. " for digit in range(1, 10)))


@dataclass(frozen=True)
class Talks:
    """The choices that people made in talks, one row each, between the answer shown first and the other one."""

    task: Ints
    """Index into the columns' tasks."""
    annotator: Ints
    """Index into the columns' people."""
    preference: Ints
    """Negative = the answer shown first."""
    writer: Ints
    """[choices x 2]"""
    features: Ints
    """[choices x 2 x FEATURES]"""


@dataclass(frozen=True)
class Writers:
    names: tuple[str, ...]
    checkpoints: dict[str, str]
    """Of the models that are checkpoints of ours: the checkpoint's id."""
    writer: Ints
    """[tasks x places], index into `names`; -1 where nobody is named or there is no such place."""
    features: Ints
    """[tasks x places x FEATURES]"""
    talks: Talks


def read_writers(columns: Columns, project: Project) -> Writers:
    """Read who wrote the responses of the tasks that compare or rank them, and the answers of talks."""
    ids, writer, features, names, checkpoints = response_columns(project)
    kinds = (TaskKind.COMPARISON, TaskKind.RANKING)
    links = TaskResponse.objects.filter(task__queue__project=project, task__queue__kind__in=kinds).order_by()
    parts = []
    for batch in batches(links.values_list(Cast("task_id", TextField()), Cast("response_id", TextField()), "place")):
        task, response, place = zip(*batch, strict=True)
        parts.append((as_raw(task), as_raw(response), np.array(place, dtype=np.int64)))
    tasks, responses, places = (
        np.concatenate([empty, *(part[column] for part in parts)])
        for column, empty in enumerate((np.empty(0, ID), np.empty(0, ID), np.empty(0, np.int64)))
    )
    row, at = places_in(columns.tasks, tasks), places_in(ids, responses)
    judged = (row >= 0) & (at >= 0)
    row, at, places = row[judged], at[judged], places[judged]
    width = max(2, int(places.max(initial=1)) + 1)
    found = Writers(
        names,
        checkpoints,
        np.full((len(columns.tasks), width), -1, dtype=np.int32),
        np.zeros((len(columns.tasks), width, len(FEATURES)), dtype=np.int32),
        read_talks(columns, project, ids, writer, features),
    )
    found.writer[row, places] = writer[at]
    found.features[row, places] = features[at]
    return found


def read_talks(columns: Columns, project: Project, ids: Any, writer: Ints, features: Ints) -> Talks:
    """Read the choices of the project's talks that were judged."""
    turns = Turn.objects.filter(
        task__queue__project=project, preference__isnull=False, first__isnull=False, second__isnull=False
    ).order_by("id")
    wanted = turns.values_list(
        *(Cast(name, TextField()) for name in ("task_id", "first_id", "second_id")), "annotator_id", "preference"
    )
    empty = np.empty(0, ID)
    tasks, firsts, seconds, people, preferences = [empty], [empty], [empty], [np.empty(0, int)], [np.empty(0, int)]
    for batch in batches(wanted):
        task, first, second, person, preference = zip(*batch, strict=True)
        tasks.append(as_raw(task))
        firsts.append(as_raw(first))
        seconds.append(as_raw(second))
        people.append(np.array(person))
        preferences.append(np.array(preference))
    row = places_in(columns.tasks, np.concatenate(tasks))
    place = {pk: number for number, pk in enumerate(columns.people)}
    who = np.array([place.get(pk, -1) for pk in np.concatenate(people).tolist()], dtype=np.int64)
    known = (row >= 0) & (who >= 0)
    at = np.stack([places_in(ids, np.concatenate(firsts)), places_in(ids, np.concatenate(seconds))], axis=1)[known]
    return Talks(row[known], who[known], np.concatenate(preferences)[known], writer[at], features[at])


def response_columns(project: Project) -> tuple[Any, Ints, Ints, tuple[str, ...], dict[str, str]]:
    """Return the project's responses: ids, writers, features, the writers' names, and which are checkpoints."""
    wanted = Response.objects.filter(prompt__project=project).order_by()
    wanted = wanted.annotate(lines=Concat(Value("\n"), "text", output_field=TextField()))
    columns = (
        *(Cast("id", TextField()), "model_name", Cast("checkpoint_id", TextField()), "person_id"),
        *(words(), times(F("lines"), "\n#"), list_items(), times(F("text"), "**")),
    )
    ids = [np.empty(0, ID)]
    said: list[str] = []
    features = [np.empty((0, len(FEATURES)), dtype=np.int32)]
    checkpoints: dict[str, str] = {}
    for batch in batches(wanted.values_list(*columns)):
        one, name, checkpoint, person, *counts = zip(*batch, strict=True)
        ids.append(as_raw(one))
        features.append(np.array(counts, dtype=np.int32).T)
        said += [
            writer_name(name, checkpoint, person)
            for name, checkpoint, person in zip(name, checkpoint, person, strict=True)
        ]
        checkpoints.update(
            {writer_name(n, c, p): c for n, c, p in set(zip(name, checkpoint, person, strict=True)) if c}
        )
    code, names = coded(said)
    if names and names[0] == "":
        code, names = code - 1, names[1:]
    counted = np.concatenate(features)
    counted[:, FEATURES.index("bold words")] //= 2
    return np.concatenate(ids), code, counted, names, checkpoints


def writer_name(model: str, checkpoint: str | None, person: int | None) -> str:
    """Return the name under which a response's writer stands among the models; empty for an unknown one."""
    return model or (f"checkpoint {checkpoint[:8]}" if checkpoint else PEOPLE if person else "")


# Counting in the database


def times(text: Any, part: str) -> Func:
    """Count how often `part` stands in `text`."""
    shorter = Length(Replace(text, Value(part), Value("")))
    return divided(Length(text) - shorter, len(part))


def divided(value: Any, by: int) -> Func:
    return Cast(value / Value(by), IntegerField())


def words() -> Any:
    spaces = Replace(Replace(F("text"), Value(" "), Value("")), Value("\n"), Value(""))
    return Length("text") - Length(spaces) + 1


def list_items() -> Any:
    """Count the lines that begin a list's item; one pass that leaves a mark, then one that counts the marks."""
    marked: Any = F("lines")
    for bullet in BULLETS:
        marked = Replace(marked, Value(f"\n{bullet}"), Value("\n\x01"))
    return Length(marked) - Length(Replace(marked, Value("\x01"), Value("")))
