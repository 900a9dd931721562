"""How long people take, how much a label of theirs says, and what a useful one costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from feedback.stats.intervals import Floats, Ints, dense


@dataclass(frozen=True)
class Pace:
    """Quartiles [people] of active seconds and of active seconds per 100 words that were read; nan without any.

    `judgments` counts those with a measured time, `read` those of them with a text to read.
    """

    judgments: Ints
    quarter: Floats
    median: Floats
    three_quarters: Floats
    read: Ints
    per_100_words_quarter: Floats
    per_100_words_median: Floats
    per_100_words_three_quarters: Floats


def pace(people: ArrayLike, seconds: ArrayLike, words: ArrayLike, people_count: int | None = None) -> Pace:
    """Return everybody's pace from rows of person, active seconds (nan: not measured) and words to read."""
    person, count = dense(people, people_count)
    taken, text = np.asarray(seconds, dtype=float), np.asarray(words, dtype=float)
    per_100_words = np.where(text > 0, 100 * taken / np.where(text > 0, text, 1), np.nan)
    judgments, whole = quartiles(person, taken, count)
    read, relative = quartiles(person, per_100_words, count)
    return Pace(judgments, whole[0], whole[1], whole[2], read, relative[0], relative[1], relative[2])


def quartiles(groups: ArrayLike, values: ArrayLike, count: int | None = None) -> tuple[Ints, Floats]:
    """Return how many values every group has, and its quartiles [3 x groups] (linear between neighbours, as numpy)."""
    group, groups = dense(groups, count)
    value = np.asarray(values, dtype=float)
    known = np.isfinite(value)
    group, value = group[known], value[known]
    ordered = value[np.lexsort((value, group))]
    sizes = np.bincount(group, minlength=groups)
    starts = np.cumsum(sizes) - sizes
    found = np.full((3, groups), np.nan)
    some = sizes > 0
    for row, at in enumerate((0.25, 0.5, 0.75)):
        place = (sizes[some] - 1) * at
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, sizes[some] - 1)
        low, high = ordered[starts[some] + below], ordered[starts[some] + above]
        found[row, some] = low + (place - below) * (high - low)
    return sizes, found


def bits_per_label(confusion: ArrayLike, class_prior: ArrayLike) -> Floats:
    """Return the mutual information in bits of the true class and a label [...], of matrices [... x true x label].

    1 is a perfect answer to an even question, 0 a coin's; nan of a matrix with nan (see dawid_skene).
    """
    matrix, prior = np.asarray(confusion, dtype=float), np.asarray(class_prior, dtype=float)
    joint = matrix * prior[:, None]
    label = joint.sum(axis=-2)
    information = xlogy(joint, matrix).sum(axis=(-1, -2)) - xlogy(label, label).sum(axis=-1)
    return np.maximum(information / np.log(2), 0.0)


def cost_per_bit(pay: ArrayLike, labels: ArrayLike, bits: ArrayLike) -> Floats:
    """Return what one bit costs: pay / (labels x bits per label), elementwise; infinite of labels that say nothing."""
    paid = np.asarray(pay, dtype=float)
    said = np.asarray(labels, dtype=float) * np.asarray(bits, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(said > 0, paid / np.where(said > 0, said, 1), np.where(np.isnan(said), np.nan, np.inf))


def useful_labels(labels: ArrayLike, bits: ArrayLike, class_prior: ArrayLike) -> Floats:
    """Return how many perfect labels would say as much as these, elementwise: labels x bits / bits of the question."""
    prior = np.asarray(class_prior, dtype=float)
    question = float(-xlogy(prior, prior).sum() / np.log(2))
    if question <= 0:
        return np.full(np.shape(labels), np.nan)
    return np.asarray(labels, dtype=float) * np.asarray(bits, dtype=float) / question


def cost_per_useful_label(pay: ArrayLike, labels: ArrayLike, bits: ArrayLike, class_prior: ArrayLike) -> Floats:
    """Return what a label's worth of perfect answers costs; infinite of labels that say nothing. Units of `pay`."""
    return cost_per_bit(pay, useful_labels(labels, bits, class_prior), 1.0)
