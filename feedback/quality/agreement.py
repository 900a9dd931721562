"""How far people agree: per queue, per question, per slice, per two people, and what that means for a reward model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from feedback.contract import SPLITS
from feedback.models import Project
from feedback.quality.columns import Bools, Columns, Floats, Ints, read_columns
from feedback.quality.gaps import agreement_by_gap
from feedback.quality.published import USUAL_DECISIVE, USUAL_SCALE
from feedback.quality.questions import Question, countable, questions
from feedback.quality.reports import Measured, Tell
from feedback.schemas import TaskKind
from feedback.stats.agreement import (
    Ratings,
    bootstrap,
    ceiling,
    decisive_only,
    rater_accuracy,
    ties_as_a_category,
)
from feedback.stats.intervals import Estimate
from feedback.stats.pairs_of_people import pairwise_by_people

DRAWS = 1000
SLICE_DRAWS = 400
FEWEST_UNITS = 30
"""Of fewer units that two people or more rated nothing is said in words."""
MOST_SLICES = 12
"""Of one dimension; the largest ones."""
FEWEST_SHARED = 8
"""Units that two people share before their agreement is listed."""
MOST_PAIRS = 60
MATRIX_PEOPLE = 12
FIGURES = ("percent", "percent_of_pairs", "alpha_nominal", "alpha_ordinal", "alpha_interval", "ac1", "ac2")

Json = dict[str, Any]


def measure_agreement(*, project: Project, params: Mapping[str, Any], tell: Tell) -> Measured:
    """Compute the agreement of people and, apart from them, of simulated annotators."""
    tell(0, None, "Reading the judgments")
    columns = read_columns(project=project)
    content: Json = {}
    for who, rows in (("people", ~columns.simulated), ("simulated", columns.simulated)):
        content[who] = agreement_of(columns, rows, tell, project) if rows.any() else None
    return Measured(content=content, columns=columns)


def agreement_of(columns: Columns, rows: Bools, tell: Tell, project: Project) -> Json:
    counted = rows & countable(columns)
    found = []
    asked = list(questions(columns, counted))
    for number, question in enumerate(asked):
        tell(number, len(asked), f"Agreement: {question.label}")
        found.append(question_figures(columns, question, project))
    return {
        "judgments": int(rows.sum()),
        "counted": int(counted.sum()),
        "left_out": {
            "gold": int((rows & columns.gold).sum()),
            "repeat": int((rows & columns.repeat & ~columns.gold).sum()),
            "nobody": int((rows & columns.by_nobody & ~columns.gold & ~columns.repeat & ~columns.rejected).sum()),
            "rejected": int((rows & columns.rejected & ~columns.gold & ~columns.repeat).sum()),
        },
        "people": len(np.unique(columns.annotator[rows & ~columns.by_nobody])),
        "questions": sorted(found, key=lambda one: (len(one["queues"]) < 2, -one["ratings"])),
    }


def question_figures(columns: Columns, question: Question, project: Project) -> Json:
    figures = all_figures(columns, question, DRAWS)
    counted = figures["decisive"] if question.is_preference else figures["scale"]
    found: Json = {
        "key": question.key,
        "kind": question.kind,
        "attribute": question.attribute,
        "label": question.label,
        "queues": [str(queue.pk) for queue in question.queues],
        "ratings": len(question.row),
        "figures": figures,
        "standing": standing(question, figures),
        "ties": float((question.value == 0).mean()) if question.is_preference and len(question.row) else None,
    }
    if not counted["units"]:
        return found
    found["slices"] = [
        {"dimension": dimension.key, "label": dimension.label, "rows": rows, "left": left}
        for dimension in dimensions(columns)
        for rows, left in [slice_rows(columns, question, dimension)]
        if rows
    ]
    found["pairs"] = pairs_of_people(columns, question)
    if question.is_preference:
        found["ceiling"] = ceilings(figures["decisive"]["percent_of_pairs"])
    if question.kind == TaskKind.COMPARISON:
        found["strengths"] = by_strength(columns, question)
        found["gap"] = agreement_by_gap(columns, question, project)
    return found


# Figures


def all_figures(columns: Columns, question: Question, draws: int) -> Json:
    """Return the figures under each tie rule: `ties` (S1), `decisive` (S2), and of the whole scale."""
    whole = Ratings(question.unit, columns.annotator[question.row], question.value, question.points)
    clusters = columns.prompt[question.row]  # pairs of one prompt are not independent of each other
    if not question.is_preference:
        return {"scale": figures_of(whole, draws, clusters)}
    found = {
        "ties": figures_of(ties_as_a_category(whole), draws, clusters),
        "decisive": figures_of(decisive_only(whole), draws, clusters),
    }
    if np.abs(question.value).max(initial=0) > 1:
        found["scale"] = figures_of(whole, draws, clusters)
    return found


def figures_of(ratings: Ratings, draws: int, clusters: Ints) -> Json:
    """Return every figure as [value, low, high], with the units that two people or more rated."""
    if not len(ratings):
        return {"units": 0, "ratings": 0, "raters": 0, **dict.fromkeys(FIGURES)}
    estimates = bootstrap(ratings, draws=draws, clusters=clusters)
    rated = np.bincount(ratings.unit)
    compared = rated >= 2
    return {
        "units": int(compared.sum()),
        "ratings": int(rated[compared].sum()),
        "raters": len(ratings.rater_codes),
        **{name: as_json(estimates[name]) for name in FIGURES},
    }


def as_json(estimate: Estimate) -> list[float | None] | None:
    """Return [value, low, high] without the digits that nobody reads; None for what cannot be said."""
    if math.isnan(estimate.value):
        return None
    return [None if math.isnan(each) else round(float(each), 5) for each in estimate]


def standing(question: Question, figures: Json) -> str:
    """Say how the question stands beside what others published: few, low, unclear, usual or high."""
    name, (low, high) = ("percent_of_pairs", USUAL_DECISIVE) if question.is_preference else ("ac2", USUAL_SCALE)
    counted = figures["decisive" if question.is_preference else "scale"]
    found = counted[name]
    if counted["units"] < FEWEST_UNITS or found is None or found[1] is None:
        return "few"
    if found[2] < low:
        return "low"
    if found[0] < low:
        return "unclear"
    return "high" if found[1] > high else "usual"


def ceilings(agreement: list[float] | None) -> Json | None:
    """Return what the agreement of single votes implies: how often one person is right, and so the best accuracy that
    a model can be measured to have against one vote and against majorities."""
    if agreement is None or agreement[0] <= 0.5:
        return None
    return {
        "rater": [round(rater_accuracy(each), 5) if each is not None else None for each in agreement],
        "votes": {
            str(votes): [round(ceiling(each, votes), 5) if each is not None else None for each in agreement]
            for votes in (1, 3, 5)
        },
    }


# Slices


@dataclass(frozen=True)
class Dimension:
    key: str
    label: str
    names: tuple[str, ...]
    code: Ints | None
    """[judgments], index into `names`; None where a judgment can have several, as of tags."""


def dimensions(columns: Columns) -> Iterator[Dimension]:
    """Yield the ways to cut the judgments that have two values or more."""
    last = last_day_of_tasks(columns)[columns.task]
    days, day = np.unique(last, return_inverse=True)
    weeks, week = np.unique(last - (last.astype(np.int64) + 3) % 7, return_inverse=True)  # day 0 was a Thursday
    versions = tuple(f"{guideline.queue.name}: version {guideline.number}" for guideline in columns.guidelines)
    found = (
        Dimension("language", "Language", columns.languages, columns.language),
        Dimension("source", "Source", columns.sources, columns.source),
        Dimension("split", "Split", SPLITS, columns.split),
        Dimension("guideline", "Guideline version", versions, columns.guideline),
        Dimension("week", "Week from", tuple(str(week) for week in weeks), week),
        Dimension("day", "Day", tuple(str(day) for day in days), day),
    )
    yield from (dimension for dimension in found if len(dimension.names) > 1)
    if columns.tags:
        yield Dimension("tag", "Tag", columns.tags, None)


def last_day_of_tasks(columns: Columns) -> Any:
    """Return the day [tasks] on which each task was judged last."""
    last = np.zeros(len(columns.tasks), dtype="datetime64[D]")
    last[columns.task] = columns.day  # rows are in the order of time, and the last one stays
    return last


def slice_rows(columns: Columns, question: Question, dimension: Dimension) -> tuple[list[Json], int]:
    """Return the figures of the dimension's largest slices, and how many more there are."""
    if dimension.code is None:
        masks = [columns.with_tag(tag)[question.row] for tag in dimension.names]
        sizes = np.array([mask.sum() for mask in masks])
    else:
        code = dimension.code[question.row]
        sizes = np.bincount(code, minlength=len(dimension.names))
    there = np.flatnonzero(sizes)
    if len(there) < 2 and dimension.code is not None:
        return [], 0
    largest = there[np.argsort(-sizes[there], kind="stable")][:MOST_SLICES]
    if dimension.key in ("week", "day"):
        largest = there[-MOST_SLICES:]
    rows = []
    for number in largest.tolist():
        narrowed = question.only(masks[number] if dimension.code is None else code == number)
        figures = all_figures(columns, narrowed, SLICE_DRAWS)
        figures.pop("scale" if question.is_preference else "", None)
        rows.append({
            "name": dimension.names[number] or "not said",
            "figures": figures,
            "standing": standing(question, figures),
            "without": without(columns, dimension, number),
        })  # fmt: skip
    return rows, len(there) - len(largest)


def without(columns: Columns, dimension: Dimension, number: int) -> Json | None:
    """Return what a what-if leaves out to be without this slice; None where it cannot."""
    if dimension.key == "guideline":
        return {"guidelines": columns.guidelines[number].pk}
    if dimension.key == "day":
        return {"days": dimension.names[number]}
    if dimension.key == "week":
        first = np.datetime64(dimension.names[number])
        return {"days": f"{first}..{first + 6}"}
    return None


def by_strength(columns: Columns, question: Question) -> list[Json]:
    """Return, of votes of each strength, the share of the task's other decisive votes that prefer the same response.

    The interval is the ratio's over tasks.
    """
    task, value = columns.task[question.row], question.value
    for_first = np.bincount(task, weights=value < 0, minlength=len(columns.tasks))
    for_second = np.bincount(task, weights=value > 0, minlength=len(columns.tasks))
    others = (for_first + for_second)[task] - 1
    agreeing = np.where(value < 0, for_first[task], for_second[task]) - 1
    found = []
    for strength in range(1, 4):
        votes = (np.abs(value) == strength) & (others > 0)
        if votes.any():
            ratio, low, high = ratio_by_cluster(agreeing[votes], others[votes], task[votes])
            found.append(
                {"strength": strength, "votes": int(votes.sum()), "agreement": as_json(Estimate(ratio, low, high))}
            )
    return found


def ratio_by_cluster(parts: Floats, wholes: Floats, cluster: Ints) -> tuple[float, float, float]:
    """Return sum(parts) / sum(wholes) with the linearised interval over clusters."""
    _, code = np.unique(cluster, return_inverse=True)
    part, whole = np.bincount(code, weights=parts), np.bincount(code, weights=wholes)
    ratio = float(part.sum() / whole.sum())
    groups = len(part)
    if groups < 2:
        return ratio, math.nan, math.nan
    half = 1.96 * math.sqrt(groups / (groups - 1) * float(((part - ratio * whole) ** 2).sum())) / float(whole.sum())
    return ratio, max(0.0, ratio - half), min(1.0, ratio + half)


# People


def pairs_of_people(columns: Columns, question: Question) -> Json | None:
    """Return the agreement of every two people who share enough units: those who agree least first, and all pairs of
    the people with most of them as a matrix."""
    whole = Ratings(question.unit, columns.annotator[question.row], question.value, question.points)
    rule = decisive_only(whole) if question.is_preference else whole
    found = pairwise_by_people(rule, least=FEWEST_SHARED)
    if not len(found.units):
        return None
    rows: list[Json] = [
        {
            "people": [columns.people[int(found.first[at])], columns.people[int(found.second[at])]],
            "units": int(found.units[at]),
            "percent": as_json(Estimate(found.percent[at], found.low[at], found.high[at])),
            "kappa": None if math.isnan(found.kappa[at]) else round(float(found.kappa[at]), 4),
        }
        for at in range(len(found.units))
    ]
    shared: dict[int, int] = {}
    for row in rows:
        for person in row["people"]:
            shared[person] = shared.get(person, 0) + row["units"]
    most = sorted(shared, key=lambda person: (-shared[person], person))[:MATRIX_PEOPLE]
    return {
        "count": len(rows),
        "least": sorted(rows, key=lambda row: row["percent"][2])[:MOST_PAIRS],
        "matrix_people": most,
        "matrix": [row for row in rows if row["people"][0] in most and row["people"][1] in most],
    }
