"""Evidence about a person that may be looked at after every answer: gold, drift, repeats, and shares over time.

Looking often at an ordinary interval finds something sooner or later. What is here holds at every time: an e-process
exceeds 1 / alpha with probability at most alpha, ever, if the person is as good as was asked (Ville). None of it
decides anything; a person does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, xlog1py, xlogy

from feedback.stats.agreement import rater_accuracy
from feedback.stats.intervals import Bools, Estimate, Floats, Ints, dense, share

REQUIRED = 0.75
"""The accuracy on gold that is asked of a person."""
POOR = (0.45, 0.55, 0.65, 0.70)
"""The accuracies against which evidence is collected: bets that pay when the person answers like one of these.

Of people at 0.65, 76 % are found within 300 golds (56 % by the bet on 0.55 alone), coin-flippers after a median of 34
(31), and at 0.75 itself, the boundary, 0.5 % (0.9 %) are named wrongly.
"""
GOOD, DRIFTED = 0.85, 0.70
"""The two accuracies that the drift alarm tells apart."""
DRIFT_THRESHOLD = 1000.0
"""Reached within 1,000 golds by 4 % of people who stay at GOOD, and a median of 74 golds after a fall to DRIFTED."""


@dataclass(frozen=True)
class Evidence:
    """Running evidence, in the order in which the rows were given, and where every person stands.

    `running` [rows] is the person's value after that row. `latest`, `largest` (1: no evidence either way) and how many
    `golds` there were are per person.
    """

    running: Floats
    latest: Floats
    largest: Floats
    golds: Ints


def gold_e_process(
    people: ArrayLike,
    correct: ArrayLike,
    *,
    required: float = REQUIRED,
    poor: Sequence[float] = POOR,
    people_count: int | None = None,
) -> Evidence:
    """Return the e-process against "this person's accuracy on gold is at least `required`".

    Rows in order of time: a person's index and whether the gold was answered right. E multiplies p1 / p0 for a right
    and (1 - p1) / (1 - p0) for a wrong answer; of several `poor` p1 it is the mean. Whatever accuracy from p0 up the
    person has, E ever reaches 1 / alpha with probability at most alpha.
    """
    if not all(0 < p1 < required < 1 for p1 in poor):
        raise ValueError(f"Evidence is collected for accuracies below {required}, not {tuple(poor)}.")
    person, count = dense(people, people_count)
    right = np.asarray(correct, dtype=bool)
    running = np.zeros(right.size)
    for p1 in poor:
        running += np.exp(np.minimum(running_sums(person, log_ratio(right, p1, required), count), 700.0)) / len(poor)
    return by_person(person, running, count)


def drift_cusum(
    people: ArrayLike,
    correct: ArrayLike,
    *,
    good: float = GOOD,
    drifted: float = DRIFTED,
    people_count: int | None = None,
) -> Evidence:
    """Return the restarting likelihood ratio S = max(S, 1) x LR for a fall from `good` to `drifted`; as above by rows.

    It forgets the good past, so it finds a person who was good and is no more. It will cross any threshold at last:
    DRIFT_THRESHOLD says how often. Source: Page 1954.
    """
    if not 0 < drifted < good < 1:
        raise ValueError("A drift leads from a higher accuracy to a lower one.")
    person, count = dense(people, people_count)
    sums = running_sums(person, log_ratio(np.asarray(correct, dtype=bool), drifted, good), count)
    # With c the running sum, log S is c less the lowest c so far, the start (0) included, the present one not.
    order = np.argsort(person, kind="stable")
    lowest = np.zeros(person.size)
    ends = np.cumsum(np.bincount(person, minlength=count))
    for start, end in zip(np.concatenate([[0], ends[:-1]]), ends, strict=True):
        if end > start:
            before = np.concatenate([[0.0], sums[order[start : end - 1]]])
            lowest[order[start:end]] = np.minimum.accumulate(before)
    return by_person(person, np.exp(np.minimum(sums - lowest, 700.0)), count)


def log_ratio(right: Bools, p1: float, p0: float) -> Floats:
    return np.asarray(np.where(right, np.log(p1 / p0), np.log((1 - p1) / (1 - p0))), dtype=float)


def running_sums(person: Ints, values: Floats, count: int) -> Floats:
    """Return each person's sum of `values` up to and with every row."""
    order = np.argsort(person, kind="stable")
    sums = np.cumsum(values[order])
    sizes = np.bincount(person, minlength=count)
    starts = np.cumsum(sizes) - sizes
    before = np.concatenate([[0.0], sums])[starts]
    found = np.empty(person.size)
    found[order] = sums - before[person[order]]
    return found


def by_person(person: Ints, running: Floats, count: int) -> Evidence:
    latest, largest = np.ones(count), np.ones(count)
    latest[person] = running  # the last row of a person wins
    np.maximum.at(largest, person, running)
    return Evidence(running, latest, largest, np.bincount(person, minlength=count))


def e_benjamini_hochberg(e_values: ArrayLike, alpha: float = 0.05) -> Bools:
    """Return who stands out of a pool so that at most `alpha` of those named are expected to be named wrongly.

    The k largest are named, for the largest k whose e-value is at least N / (k alpha); N counts everybody with an
    e-value, so give the whole pool. E-values may depend on each other. Source: Wang and Ramdas 2022.
    """
    e = np.nan_to_num(np.asarray(e_values, dtype=float), nan=0.0)
    order = np.argsort(-e, kind="stable")
    enough = np.flatnonzero(e[order] * np.arange(1, e.size + 1) * alpha >= e.size)
    named = np.zeros(e.size, dtype=bool)
    if enough.size:
        named[order[: enough[-1] + 1]] = True
    return named


@dataclass(frozen=True)
class Consistency:
    """How often a person says the same of the same thing, and the accuracy that this would mean.

    `same` with Wilson's interval. `accuracy`: two independent answers with error rate e agree (1 - e)^2 + e^2 often; a
    person who is consistently wrong is consistent all the same, so it is an upper bound. `repeats` counts.
    """

    same: Estimate
    accuracy: Estimate
    repeats: int


def self_consistency(first: ArrayLike, again: ArrayLike) -> Consistency:
    """Return how often a person's second answer prefers the same response; answers by response, not by side.

    Repeats with a tie in either answer are left out (they say nothing about which response); give signs or strengths.
    """
    a, b = np.sign(np.asarray(first, dtype=float)), np.sign(np.asarray(again, dtype=float))
    decisive = (a != 0) & (b != 0) & ~np.isnan(a) & ~np.isnan(b)
    repeats = int(decisive.sum())
    same = share(float((a == b)[decisive].sum()), repeats)
    accuracy = Estimate(*(np.nan if np.isnan(end) else rater_accuracy(end) for end in same))
    return Consistency(same, accuracy, repeats)


def confidence_sequence(
    successes: ArrayLike, trials: ArrayLike, *, alpha: float = 0.05, prior: float = 1.0
) -> tuple[Floats, Floats]:
    """Return the ends of an interval of a share that holds at all times at once with probability 1 - alpha.

    Elementwise, so running counts give the whole sequence. It keeps every p whose e-value B(a + S, a + n - S) /
    (B(a, a) p^S (1 - p)^(n - S)) is below 1 / alpha; `prior` a is largest where shares are near one half. 0 to 1 at
    no trials. Source: Robbins 1970; Waudby-Smith and Ramdas 2024.
    """
    s, n = np.broadcast_arrays(np.asarray(successes, dtype=float), np.asarray(trials, dtype=float))
    limit = np.log(1 / alpha) - betaln(prior + s, prior + n - s) + betaln(prior, prior)

    def excess(p: Floats) -> Floats:
        return -xlogy(s, p) - xlog1py(n - s, -p) - limit

    middle = np.where(n > 0, s / np.maximum(n, 1), 0.5)
    found = []
    for end in (0.0, 1.0):
        outside, inside = np.full(s.shape, end), middle.copy()
        for _ in range(60):  # excess falls from the end to the middle: halve until floats cannot tell
            between = (outside + inside) / 2
            is_outside = excess(between) >= 0
            outside, inside = np.where(is_outside, between, outside), np.where(is_outside, inside, between)
        # With nothing but failures (or successes) the end itself is never excluded.
        found.append(np.where(excess(np.full(s.shape, end)) < 0, end, outside))
    return found[0], found[1]
