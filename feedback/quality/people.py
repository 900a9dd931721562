"""The report on people: everybody's figures in columns, so that a page of thousands of people reads it at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from django.db.models import Exists, OuterRef
from django.utils import timezone

from feedback.contract import SPLITS, TRAIN
from feedback.gold_marks import read_marks
from feedback.gold_rotation import rotate_gold, suggestions, uses_of_gold
from feedback.gold_sources import VOTES_LEAST
from feedback.models import Gold, Judgment, Project, Queue, Report
from feedback.quality.columns import NO_PREFERENCE, Columns, as_uuid, read_columns
from feedback.quality.looks import Look, looks_of
from feedback.quality.people_figures import Figures, all_figures, simulated_people
from feedback.quality.reports import Measured, Shown, Tell, shown_for
from feedback.quality.texts import read_texts

DIGITS = 4
UNANIMOUS_KEPT = 1_000
"""Tasks of each queue that are kept as candidates for gold."""


def measure_people(*, project: Project, params: Mapping[str, Any], tell: Tell) -> Measured:
    """Compute the figures of everybody who judged in the project, or in the one queue that `params` names.

    First, gold that the queues' own rules call worn out is taken out of use (`feedback.gold_rotation`), so that what
    good people dispute counts against nobody.
    """
    queues = list(project.queues.filter(pk=params["queue"])) if params.get("queue") else None
    tell(0, 5, "Looking how worn the gold is")
    stands = {str(queue.pk): gold_stands(queue) for queue in queues_with_gold(project, queues)}
    tell(1, 5, "Reading the judgments")
    columns = read_columns(project=project, queues=queues)
    tell(2, 5, "Measuring the texts")
    texts = read_texts(project=project, columns=columns)
    tell(3, 5, "Reading the answers to gold")
    known = Gold.objects.filter(queue__project=project) if queues is None else Gold.objects.filter(queue__in=queues)
    marks = read_marks(Judgment.objects.current(), known)
    tell(4, 5, "Weighing everybody's answers")
    figures = all_figures(columns, texts, marks)
    simulated, single = simulated_people(columns), np.flatnonzero(~columns.for_many).tolist()
    content = {
        "person": [columns.people[at] for at in single],
        "simulated": [bool(simulated[at]) for at in single],
        "figures": {name: plain(of_those(column, single)) for name, column in figures.items()},
        "gold": stands,
        "unanimous": unanimous_tasks(columns),
    }
    return Measured(content, columns)


def queues_with_gold(project: Project, queues: list[Queue] | None) -> list[Queue]:
    wanted = project.queues if queues is None else project.queues.filter(pk__in=[queue.pk for queue in queues])
    return list(wanted.filter(Exists(Gold.objects.filter(queue=OuterRef("pk")))).in_force())


def gold_stands(queue: Queue) -> dict[str, Any]:
    """Take worn gold out of use, and return how the queue's gold stands then."""
    assert queue.policy is not None, "a queue has its policy"
    uses = uses_of_gold(queue)
    rotate_gold(queue=queue, now=timezone.now(), uses=uses)
    return {
        "name": queue.name,
        "in_use": Gold.objects.in_use().filter(queue=queue).count(),
        "worn": len(suggestions(uses, queue)),
        "wanted": bool(queue.policy.gold_percent or queue.is_qualification),
        "uses": [use.counts for use in uses],
    }


def unanimous_tasks(columns: Columns) -> dict[str, list[str]]:
    """Return for each queue the tasks that most people compared alike, of VOTES_LEAST or more: what may become gold."""
    train = columns.split == SPLITS.index(TRAIN)
    rows = (columns.preference != NO_PREFERENCE) & train & ~(columns.simulated | columns.gold | columns.repeat)
    sign = np.sign(columns.preference[rows]).astype(np.int64)
    task = columns.task[rows]
    votes = np.bincount(task, minlength=len(columns.tasks))
    alike = np.abs(np.bincount(task, sign, minlength=len(columns.tasks))).astype(np.int64)
    found = np.flatnonzero((votes >= VOTES_LEAST) & (alike == votes))
    found = found[np.argsort(-votes[found], kind="stable")]
    queue_of = np.zeros(len(columns.tasks), dtype=np.int64)
    queue_of[task] = columns.queue[rows]
    return {
        str(queue.pk): [as_uuid(columns.tasks[at]).hex for at in found[queue_of[found] == number][:UNANIMOUS_KEPT]]
        for number, queue in enumerate(columns.queues)
    }


def of_those(column: Any, places: list[int]) -> Any:
    """Return the column of only some people."""
    return [column[at] for at in places] if isinstance(column, list) else column[places]


def plain(column: Any) -> list[Any]:
    """Return a column as JSON holds it: rounded, and null for what nobody knows."""
    if isinstance(column, list):
        return [None if each is None else each.round(DIGITS).tolist() for each in column]
    if column.dtype.kind == "M":
        return [None if np.isnat(each) else f"{each}+00:00" for each in column]
    if column.dtype.kind == "f":
        return [one if math.isfinite(one) else None for one in column.round(DIGITS).tolist()]
    return list(column.tolist())


@dataclass(frozen=True)
class PersonRow:
    """One person of a report."""

    person: int
    simulated: bool
    figures: Mapping[str, Any]
    """By name, as `feedback.quality.people_figures` gives them; None where nothing can be said."""
    looks: list[Look]
    """Why they need a look, the weightiest reason first."""

    @property
    def weight(self) -> tuple[float, float, int]:
        """Order people by how much they need a look."""
        heaviest = max((look.weight for look in self.looks), default=0)
        return heaviest, sum(look.weight for look in self.looks), self.figures["judgments"]


@dataclass(frozen=True)
class PeopleReport:
    """The latest report on people, read."""

    shown: Shown

    @property
    def report(self) -> Report | None:
        return self.shown.report

    @cached_property
    def rows(self) -> list[PersonRow]:
        """Everybody, who needs a look first at the top; simulated people last."""
        content = self.shown.content
        if not content:
            return []
        columns: Figures = content["figures"]
        rows = []
        for number, (person, simulated) in enumerate(zip(content["person"], content["simulated"], strict=True)):
            figures = {name: column[number] for name, column in columns.items()}
            rows.append(PersonRow(person, simulated, figures, [] if simulated else looks_of(figures)))
        return sorted(rows, key=lambda row: (row.simulated, *(-each for each in row.weight), row.person))

    @cached_property
    def by_person(self) -> dict[int, PersonRow]:
        return {row.person: row for row in self.rows}

    def of(self, person: int) -> PersonRow | None:
        """Return one person's row, without reading everybody's."""
        content = self.shown.content
        if person not in content.get("person", ()):
            return None
        number = content["person"].index(person)
        figures = {name: column[number] for name, column in content["figures"].items()}
        simulated = content["simulated"][number]
        return PersonRow(person, simulated, figures, [] if simulated else looks_of(figures))


def params_of(queue: Queue | None) -> dict[str, str]:
    """Return the params of the report on a whole project, or on one queue of it."""
    return {} if queue is None else {"queue": str(queue.pk)}


def people_report(*, project: Project, queue: Queue | None = None) -> PeopleReport:
    return PeopleReport(shown_for(project=project, kind=Report.Kind.PEOPLE, params=params_of(queue)))
