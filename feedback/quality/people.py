"""The report on people: everybody's figures in columns, so that a page of thousands of people reads it at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from feedback.gold_marks import read_marks
from feedback.models import Judgment, Project, Queue, Report
from feedback.quality.columns import read_columns
from feedback.quality.looks import Look, looks_of
from feedback.quality.people_figures import Figures, all_figures, simulated_people
from feedback.quality.reports import Measured, Shown, Tell, shown_for
from feedback.quality.texts import read_texts

DIGITS = 4


def measure_people(*, project: Project, params: Mapping[str, Any], tell: Tell) -> Measured:
    """Compute the figures of everybody who judged in the project, or in the one queue that `params` names."""
    queues = list(project.queues.filter(pk=params["queue"])) if params.get("queue") else None
    tell(0, 4, "Reading the judgments")
    columns = read_columns(project=project, queues=queues)
    tell(1, 4, "Measuring the texts")
    texts = read_texts(project=project, columns=columns)
    tell(2, 4, "Reading the answers to gold")
    judgments = Judgment.objects.current().in_project(project)
    marks = read_marks(judgments if queues is None else judgments.filter(queue__in=queues))
    tell(3, 4, "Weighing everybody's answers")
    figures = all_figures(columns, texts, marks)
    content = {
        "person": list(columns.people),
        "simulated": simulated_people(columns).tolist(),
        "figures": {name: plain(column) for name, column in figures.items()},
    }
    return Measured(content, columns)


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
