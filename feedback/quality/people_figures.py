"""What the judgments of a project say about the people who made them: one column of figures per question.

Every figure is an array [people] in the order of `Columns.people`, nan where nothing can be said. Only numbers here;
`feedback.quality.people` makes the report of them, and `feedback.quality.looks` says in words who needs a look first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from feedback.gold_marks import Mark
from feedback.quality.columns import NO_PREFERENCE, Bools, Columns, Floats, Ints
from feedback.quality.questions import Question, countable, questions
from feedback.quality.texts import Texts
from feedback.stats import dawid_skene, evidence, pace, slopes
from feedback.stats.agreement import rater_accuracy
from feedback.stats.intervals import wilson
from feedback.stats.slopes import length_difference

Figures = dict[str, Any]
READING_WORDS_A_SECOND = 10.0
"""600 words a minute: nobody reads faster and takes it in (research/quality.md, section 4)."""
ALPHA = 0.05
"""Of the people whom e-BH names by gold, at most so large a share is expected to be named wrongly."""
ITERATIONS = 60


def all_figures(columns: Columns, texts: Texts, marks: Sequence[Mark]) -> Figures:
    """Return every figure of everybody, by name."""
    asked = list(questions(columns, countable(columns)))
    if not len(columns):
        return {}
    return {
        **work(columns),
        **gold(columns, marks),
        **agreement(columns, asked),
        **confusion(columns, asked),
        **repeats(columns),
        **habits(columns, texts),
        **times(columns, texts),
    }


def per_person(columns: Columns, rows: Bools, weights: Floats | None = None) -> Any:
    """Sum `weights` (or count) the `rows` [judgments] of each person."""
    kept = None if weights is None else weights[rows]
    return np.bincount(columns.annotator[rows], kept, minlength=len(columns.people))


def work(columns: Columns) -> Figures:
    """Return how much people judged, since when, how often they tie, and how often a review rejects them."""
    everything = np.ones(len(columns), dtype=bool)
    compared = columns.preference != NO_PREFERENCE
    counted, ties = per_person(columns, compared), per_person(columns, compared & (columns.preference == 0))
    first = np.full(len(columns.people), np.datetime64("NaT"), dtype="datetime64[s]")
    last = first.copy()
    last[columns.annotator] = columns.at  # rows are in the order of time
    first[columns.annotator[::-1]] = columns.at[::-1]
    return {
        "judgments": per_person(columns, everything),
        "rejected": per_person(columns, columns.rejected),
        "tie_rate": ratio(ties, counted),
        "first": first,
        "last": last,
    }


def gold(columns: Columns, marks: Sequence[Mark]) -> Figures:
    """Return right answers to gold with Wilson's interval, who e-BH names, and log10 of the e-value and of drift's."""
    place = {person: number for number, person in enumerate(columns.people)}
    kept = [mark for mark in marks if mark.person in place]
    who = np.array([place[mark.person] for mark in kept], dtype=np.int64)
    right = np.array([mark.right for mark in kept], dtype=bool)
    count = len(columns.people)
    asked = np.bincount(who, minlength=count)
    hits = np.bincount(who, right, minlength=count)
    low, high = wilson(hits, asked)
    process = evidence.gold_e_process(who, right, people_count=count)
    drift = evidence.drift_cusum(who, right, people_count=count)
    simulated = simulated_people(columns)
    e_values = np.where((asked > 0) & ~simulated, process.latest, np.nan)
    pool = ~np.isnan(e_values)
    named = np.zeros(count, dtype=bool)
    named[pool] = evidence.e_benjamini_hochberg(e_values[pool], ALPHA)
    return {
        "gold_asked": asked,
        "gold_right": hits.astype(np.int64),
        "gold_low": np.where(asked > 0, low, np.nan),
        "gold_high": np.where(asked > 0, high, np.nan),
        "gold_evidence": np.where(asked > 0, np.log10(process.latest), np.nan),
        "gold_named": named,
        "drift": np.where(asked > 0, np.log10(drift.latest), np.nan),
    }


def simulated_people(columns: Columns) -> Bools:
    simulated = np.zeros(len(columns.people), dtype=bool)
    simulated[columns.annotator[columns.simulated]] = True
    return simulated


def agreement(columns: Columns, asked: Sequence[Question]) -> Figures:
    """Return how often people say the same as somebody else of the same thing; ratings count within one step.

    Of each answer the share of the others' answers that are alike; simulated people are compared with, too, only among
    themselves.
    """
    compared, alike = np.zeros(len(columns.people)), np.zeros(len(columns.people))
    for question in single(asked):
        for simulated in (False, True):
            part = question.only(columns.simulated[question.row] == simulated)
            if not len(part.row):
                continue
            value = np.sign(part.value) if part.is_preference else part.value
            others, same = alike_others(part.unit, value, step=0 if part.is_preference else 1)
            some = others > 0
            who = columns.annotator[part.row[some]]
            compared += np.bincount(who, minlength=len(compared))
            alike += np.bincount(who, same[some] / others[some], minlength=len(alike))
    low, high = wilson(alike, compared)
    known = compared > 0
    return {
        "compared": compared.astype(np.int64),
        "agreement": ratio(alike, compared),
        "agreement_low": np.where(known, low, np.nan),
        "agreement_high": np.where(known, high, np.nan),
    }


def single(asked: Sequence[Question]) -> list[Question]:
    """Leave out the questions that join those of several queues."""
    return [question for question in asked if len(question.queues) == 1]


def alike_others(unit: Ints, value: Floats, step: float) -> tuple[Floats, Floats]:
    """Return of each answer how many others of the same unit there are, and how many lie within `step` of it."""
    _, unit = np.unique(unit, return_inverse=True)
    points, code = np.unique(value, return_inverse=True)
    table = np.bincount(unit * len(points) + code, minlength=(int(unit.max()) + 1) * len(points))
    table = table.reshape(-1, len(points))
    near = np.abs(points[:, None] - points[None, :]) <= step
    close = table @ near.astype(np.int64)
    return table.sum(axis=1)[unit] - 1.0, close[unit, code] - 1.0


def confusion(columns: Columns, asked: Sequence[Question]) -> Figures:
    """Return Dawid and Skene's model of all preferences together: accuracy, matrices, bits per label, useful labels.

    Classes are in response order: the one at place 0 is better, a tie (where there is one), the one at place 1.
    """
    parts = [part.only(~columns.simulated[part.row]) for part in single(asked) if part.is_preference]
    count = len(columns.people)
    units = np.concatenate([part.unit for part in parts] or [np.empty(0, np.int64)])
    who = np.concatenate([columns.annotator[part.row] for part in parts] or [np.empty(0, np.int64)])
    signs = np.sign(np.concatenate([part.value for part in parts] or [np.empty(0)])).astype(np.int64)
    nothing = np.full(count, np.nan)
    if not len(units):
        names = ("accuracy", "accuracy_low", "accuracy_high", "bits", "useful")
        return {**dict.fromkeys(names, nothing), "labels": np.zeros(count, np.int64), "matrix": [None] * count}
    has_ties = bool((signs == 0).any())
    labels = signs + 1 if has_ties else (signs + 1) // 2
    _, units = np.unique(units, return_inverse=True)
    overlapping = np.bincount(units)[units] > 1  # alone on its task a label says nothing about anybody
    known = np.bincount(who[overlapping], minlength=count) > 0
    classes = 3 if has_ties else 2
    fitted = dawid_skene.fit(
        units[overlapping], who[overlapping], labels[overlapping], classes, iterations=ITERATIONS, annotator_count=count
    )
    bits = pace.bits_per_label(fitted.confusion, fitted.class_prior)
    made = np.bincount(who, minlength=count)
    return {
        "accuracy": np.where(known, fitted.accuracy, np.nan),
        "accuracy_low": np.where(known, fitted.accuracy_low, np.nan),
        "accuracy_high": np.where(known, fitted.accuracy_high, np.nan),
        "labels": made,
        "overlapping": np.bincount(who[overlapping], minlength=count),
        "bits": np.where(known, bits, np.nan),
        "useful": np.where(known, pace.useful_labels(made, bits, fitted.class_prior), np.nan),
        "matrix": [matrix if some else None for matrix, some in zip(fitted.confusion, known, strict=True)],
    }


def repeats(columns: Columns) -> Figures:
    """Return how often a person said the same when they were asked once more, and the accuracy that this allows."""
    rows = np.flatnonzero(columns.repeat & (columns.preference != NO_PREFERENCE))
    key = columns.annotator.astype(np.int64) * len(columns.tasks) + columns.task
    wanted = columns.annotator[rows].astype(np.int64) * len(columns.tasks) + columns.task_repeats[columns.task[rows]]
    order = np.argsort(key, kind="stable")
    found = np.searchsorted(key[order], wanted)
    at = order[np.minimum(found, max(0, len(order) - 1))] if len(order) else found
    met = key[at] == wanted if len(order) else np.zeros(len(rows), dtype=bool)
    rows, first = rows[met], at[met]
    a, b = np.sign(columns.preference[first].astype(int)), np.sign(columns.preference[rows].astype(int))
    decisive = (a != 0) & (b != 0) & (columns.preference[first] != NO_PREFERENCE)
    who = columns.annotator[rows[decisive]]
    count = len(columns.people)
    asked, same = np.bincount(who, minlength=count), np.bincount(who, (a == b)[decisive], minlength=count)
    low, high = wilson(same, asked)
    share = ratio(same, asked)
    return {
        "repeats": asked,
        "same": share,
        "same_low": np.where(asked > 0, low, np.nan),
        "same_high": np.where(asked > 0, high, np.nan),
        "same_accuracy": np.array([np.nan if np.isnan(one) else rater_accuracy(one) for one in share]),
    }


def habits(columns: Columns, texts: Texts) -> Figures:
    """Return how far side, length and markup draw each person, and how often they choose the first and the longer."""
    compared = (columns.preference != NO_PREFERENCE) & (columns.preference != 0) & (columns.shown_swapped >= 0)
    rows = np.flatnonzero(compared & ~columns.repeat)
    swapped, task = columns.shown_swapped[rows] == 1, columns.task[rows]
    chosen_place = (columns.preference[rows] > 0).astype(np.int64)
    chose_first = (chosen_place == np.where(swapped, 1, 0)).astype(float)
    first, second = np.where(swapped, 1, 0), np.where(swapped, 0, 1)
    words, markup = texts.words[task], texts.markup[task]
    measured = np.isfinite(words).all(axis=1)
    rows, task = rows[measured], task[measured]
    chose_first, first, second = chose_first[measured], first[measured], second[measured]
    chosen_place, words, markup = chosen_place[measured], words[measured], markup[measured]
    at = np.arange(len(rows))
    drawn_by = np.empty((len(rows), 2))
    drawn_by[:, 0] = length_difference(words[at, first], words[at, second])
    drawn_by[:, 1] = length_difference(markup[at, first], markup[at, second])
    who, count = columns.annotator[rows], len(columns.people)
    decided = np.bincount(who, minlength=count)
    differ = words[at, 0] != words[at, 1]
    longer = (words[at, 1] > words[at, 0]).astype(np.int64) == chosen_place
    different = np.bincount(who[differ], minlength=count)
    figures: Figures = {
        "decided": decided,
        "first_rate": ratio(np.bincount(who, chose_first, minlength=count), decided),
        "longer_rate": ratio(np.bincount(who[differ], longer[differ], minlength=count), different),
    }
    fitted = slopes.slopes_by_person(who, chose_first, drawn_by, people_count=count) if len(rows) else None
    for number, name in enumerate(("side", "length", "markup")):
        for end in ("slope", "low", "high"):
            known = np.full(count, np.nan) if fitted is None else getattr(fitted, end)[:, number]
            figures[f"{name}_{end}"] = np.where(decided > 0, known, np.nan)
    return figures


def times(columns: Columns, texts: Texts) -> Figures:
    """Return quartiles of active seconds, also per 100 words, the hours, and the share faster than anybody reads."""
    read = texts.read[columns.task]
    seconds = columns.seconds.astype(float)
    found = pace.pace(columns.annotator, seconds, read, people_count=len(columns.people))
    timed = np.isfinite(seconds)
    measured = timed & (read > 0)
    fast = measured & (seconds < read / READING_WORDS_A_SECOND)
    return {
        "timed": found.judgments,
        "seconds_quarter": found.quarter,
        "seconds_median": found.median,
        "seconds_three_quarters": found.three_quarters,
        "per_100_words": found.per_100_words_median,
        "per_100_words_quarter": found.per_100_words_quarter,
        "per_100_words_three_quarters": found.per_100_words_three_quarters,
        "hours": per_person(columns, timed, np.nan_to_num(seconds)) / 3600,
        "fast": ratio(per_person(columns, fast), per_person(columns, measured)),
    }


def ratio(part: Any, whole: Any) -> Floats:
    """Divide elementwise; nan where there is nothing to divide by."""
    whole = np.asarray(whole, dtype=float)
    return np.where(whole > 0, np.asarray(part, dtype=float) / np.where(whole > 0, whole, 1), np.nan)
