"""What would be without some people, days, guideline versions or flags, before anybody leaves them out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from feedback.models import Project
from feedback.quality.agreement import all_figures, standing
from feedback.quality.columns import Bools, Columns, as_uuid, read_columns
from feedback.quality.dataset_change import dataset_change
from feedback.quality.leaving_out import selection_of
from feedback.quality.model_ranks import Votes, estimate, votes_of
from feedback.quality.questions import questions, votes_among
from feedback.quality.reports import Measured, Tell
from feedback.quality.writers import Writers, read_writers
from feedback.schemas import TaskKind
from feedback.selection import Selection
from feedback.stats import dawid_skene
from feedback.stats.preference_models import Strengths, bradley_terry

Json = dict[str, Any]
DRAWS = 400
MOST_TASKS = 50
"""Tasks with another verdict that are named."""
CLASSES = (-1, 0, 1)
NONE = 9
"""In place of a verdict, of a task without votes; and of one whose votes decide nothing, UNDECIDED."""
UNDECIDED = 8
WORDS = {-1: "A", 0: "tie", 1: "B", UNDECIDED: "undecided", NONE: "no votes"}


def measure_what_if(*, project: Project, params: Mapping[str, Any], tell: Tell) -> Measured:
    """Compute agreement, verdicts, ranks and dataset with and without what `params` name."""
    selection = selection_of(params)
    tell(0, 5, "Reading the judgments")
    columns = read_columns(project=project)
    people = ~columns.simulated
    dropped = left_out_of(columns, selection)
    before = people & votes_among(columns)
    after = before & ~dropped
    content: Json = {
        "dropped": int((dropped & people).sum()),
        "judgments": int(people.sum()),
        "tasks": len(np.unique(columns.task[dropped & people])),
        "people": len(np.unique(columns.annotator[dropped & people])),
    }
    tell(1, 5, "Agreement")
    content["agreement"] = agreement_change(columns, before & ~columns.by_nobody, after & ~columns.by_nobody)
    tell(2, 5, "Verdicts")
    content["verdicts"] = verdict_change(columns, before, after)
    tell(3, 5, "Models")
    content["models"] = model_change(columns, before, after, read_writers(columns, project))
    tell(4, 5, "The dataset")
    content["dataset"] = dataset_change(project, selection)
    return Measured(content=content, columns=columns)


def left_out_of(columns: Columns, selection: Selection) -> Bools:
    """Tell which judgments the selection leaves out for who made them, when, under which guidelines, or a flag."""
    people = np.isin(columns.people, selection.without_people)
    versions = np.isin([guideline.pk for guideline in columns.guidelines], selection.without_guidelines)
    days = np.isin(columns.day, np.array(selection.without_days, dtype="datetime64[D]"))
    flagged = np.zeros(len(columns), dtype=bool)
    for flag in selection.without_flags:
        flagged |= columns.with_flag(flag)
    if not len(columns):
        return flagged
    return people[columns.annotator] | versions[columns.guideline] | days | flagged


# Agreement


def agreement_change(columns: Columns, before: Bools, after: Bools) -> list[Json]:
    found = []
    for question in questions(columns, before):
        then = question.only(after[question.row])
        figures, without = all_figures(columns, question, DRAWS), all_figures(columns, then, DRAWS)
        found.append({
            "key": question.key,
            "label": question.label,
            "kind": question.kind,
            "queues": len(question.queues),
            "before": {"figures": figures, "standing": standing(question, figures)},
            "after": {"figures": without, "standing": standing(question, without)},
        })  # fmt: skip
    return found


# Verdicts


def verdict_change(columns: Columns, before: Bools, after: Bools) -> Json:
    """Return how many comparisons get another verdict, by the majority and by Dawid and Skene's model, and which."""
    compared = columns.of_kind(TaskKind.COMPARISON)
    found: Json = {}
    for rule, verdicts in (("majority", by_majority), ("dawid_skene", by_dawid_skene)):
        was, now = verdicts(columns, before & compared), verdicts(columns, after & compared)
        other = np.flatnonzero((was != now) & (was != NONE))
        counted = [[f"{WORDS[one]} to {WORDS[two]}", number] for one, two, number in transitions(was, now)]
        found[rule] = {
            "tasks": int((was != NONE).sum()),
            "changed": len(other),
            "flipped": int((was[other] * now[other] == -1).sum()),
            "lost": int((now[other] == NONE).sum()),
            "transitions": counted,
            "listed": [
                {"task": str(as_uuid(columns.tasks[task])), "was": WORDS[int(was[task])], "now": WORDS[int(now[task])]}
                for task in sorted(other.tolist(), key=lambda task: (was[task] * now[task] != -1, task))[:MOST_TASKS]
            ],
        }
    return found


def transitions(was: Any, now: Any) -> Iterable[tuple[int, int, int]]:
    """Yield (verdict before, verdict after, tasks) for every change that occurs, the commonest first."""
    other = (was != now) & (was != NONE)
    pairs, counts = np.unique(np.stack([was[other], now[other]]), axis=1, return_counts=True)
    for at in np.argsort(-counts, kind="stable"):
        yield int(pairs[0, at]), int(pairs[1, at]), int(counts[at])


def by_majority(columns: Columns, rows: Bools) -> Any:
    """Return per task what more than half of its votes say: one of CLASSES, UNDECIDED or NONE."""
    task, side = columns.task[rows], np.sign(columns.preference[rows]).astype(int)
    votes = np.stack([np.bincount(task[side == one], minlength=len(columns.tasks)) for one in CLASSES])
    total, most = votes.sum(axis=0), votes.max(axis=0)
    said = np.array(CLASSES)[votes.argmax(axis=0)]
    return np.where(total == 0, NONE, np.where(2 * most > total, said, UNDECIDED))


def by_dawid_skene(columns: Columns, rows: Bools) -> Any:
    """Return per task the likeliest of CLASSES, given how often each person is right; NONE without votes."""
    task, side = columns.task[rows], np.sign(columns.preference[rows]).astype(int)
    found = np.full(len(columns.tasks), NONE)
    if len(task):
        judged, index = np.unique(task, return_inverse=True)
        _, who = np.unique(columns.annotator[rows], return_inverse=True)
        found[judged] = np.array(CLASSES)[dawid_skene.fit(index, who, side + 1, len(CLASSES)).verdicts]
    return found


# Models


def model_change(columns: Columns, before: Bools, after: Bools, writers: Writers) -> list[Json]:
    """Return every model's strength and place before and after, in the order of before."""
    was, _ = votes_of(columns, before, writers)
    now, _ = votes_of(columns, after, writers)
    if not len(was.first):
        return []
    one, other = fitted(was, writers), fitted(now, writers)
    places, later = places_of(one), places_of(other)
    return [
        {
            "name": writers.names[at],
            "before": estimate(one, at),
            "after": estimate(other, at),
            "place": place,
            "place_after": later.get(at),
        }
        for at, place in places.items()
    ]


def fitted(votes: Votes, writers: Writers) -> Strengths:
    return bradley_terry(votes.first, votes.second, votes.wins, players=len(writers.names), clusters=votes.cluster)


def places_of(strengths: Strengths) -> dict[int, int]:
    """Return the place of every model that can be compared, 1 for the first, in that order."""
    compared = np.flatnonzero(strengths.compared)
    order = compared[np.argsort(-strengths.strength[compared], kind="stable")]
    return {at: place for place, at in enumerate(order.tolist(), start=1)}
