"""How far the side, the length and the style of a response draw each person, by a logistic regression per person.

All people are fitted at once: Newton's method on stacked matrices [people x parameters x parameters], whose entries are
counted by `bincount`. Everybody is drawn to the mean of all by a normal prior, or somebody's first ten judgments would
have infinite slopes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from scipy.stats import norm

from feedback.stats.intervals import LEVEL, Bools, Floats, Ints, dense

STEPS = 25
SMALL_STEP = 1e-6


@dataclass(frozen=True)
class Slopes:
    """Slopes in log-odds of preferring the response shown first: [people x (1 + C)], the first column for the side.

    0 in the side's column is a person whom the side does not draw; in the others it is per unit of the covariate. `low`
    and `high` are of the posterior (prior: `mean` with spread `prior_sd`); `mean`, `mean_low`, `mean_high` [1 + C] are
    of all people together, clustered by person. Of people without decisive judgments slopes are nan. `draws` says
    whose interval leaves out 0. `judgments` counts the decisive ones.
    """

    slope: Floats
    low: Floats
    high: Floats
    mean: Floats
    mean_low: Floats
    mean_high: Floats
    judgments: Ints
    prior_sd: float

    @property
    def draws(self) -> Bools:
        with np.errstate(invalid="ignore"):
            return np.asarray((self.low > 0) | (self.high < 0))


def length_difference(first: ArrayLike, second: ArrayLike) -> Floats:
    """Return tanh((a - b) / sd) of two lengths, as AlpacaEval: beyond a typical difference, more hardly matters."""
    gap = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    typical = float(np.sqrt((gap**2).mean())) if gap.size else 0.0
    return np.tanh(gap / typical) if typical > 0 else np.zeros(gap.shape)


def slopes_by_person(
    people: ArrayLike,
    preferred_first: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    people_count: int | None = None,
    prior_sd: float = 0.5,
    level: float = LEVEL,
) -> Slopes:
    """Fit everybody's slopes from rows of person, what was preferred, and covariates [rows x C].

    `preferred_first` is 1 for the response shown first, 0 for the other; 0.5 (a tie) and nan are left out. Covariates
    are of the first shown less the other (`length_difference`, `style_differences`). Sides are drawn at random, so how
    good the responses are does not bias the side's slope, it draws it towards 0 a little.
    """
    person, count = dense(people, people_count)
    y = np.asarray(preferred_first, dtype=float)
    x = np.ones((y.size, 1))
    if covariates is not None:
        x = np.concatenate([x, np.asarray(covariates, dtype=float).reshape(y.size, -1)], axis=1)
    kept = ((y == 0) | (y == 1)) & np.isfinite(x).all(axis=1)
    person, y, x = person[kept], y[kept], np.ascontiguousarray(x[kept].T)
    mean, mean_error = everybody(person, y, x, count)
    precision = np.eye(len(x)) / prior_sd**2
    slope = np.tile(mean, (count, 1))
    information = np.tile(precision, (count, 1, 1))
    for _ in range(STEPS):
        p = expit(sum(slope[person, c] * x[c] for c in range(len(x))))
        gradient = added_up(person, x, y - p, count) - (slope - mean) @ precision
        information = crossed(person, x, p * (1 - p), count) + precision
        step = np.linalg.solve(information, gradient[:, :, None])[:, :, 0]
        longest = np.abs(step).max(axis=1, keepdims=True, initial=0.0)
        slope = slope + step * np.minimum(1.0, 2.0 / np.maximum(longest, 1e-300))
        if longest.max(initial=0.0) < SMALL_STEP:
            break
    error = np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2))
    judgments = np.bincount(person, minlength=count)
    z = float(norm.ppf(0.5 + level / 2))
    slope = np.where(judgments[:, None] > 0, slope, np.nan)
    return Slopes(
        slope, slope - z * error, slope + z * error,
        mean, mean - z * mean_error, mean + z * mean_error, judgments, prior_sd,
    )  # fmt: skip


def everybody(person: Ints, y: Floats, x: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the slopes of one regression over all rows and their errors, clustered by person (nan of a single one)."""
    if not y.size:
        return np.zeros(len(x)), np.full(len(x), np.nan)
    slope = np.zeros(len(x))
    ridge = np.eye(len(x)) * 1e-6  # only against a covariate that is always 0, or judgments that are all the same
    for _ in range(STEPS):
        p = expit(slope @ x)
        information = (x * (p * (1 - p))) @ x.T + ridge
        step = np.linalg.solve(information, x @ (y - p) - ridge @ slope)
        longest = float(np.abs(step).max())
        slope = slope + step * min(1.0, 2.0 / max(longest, 1e-300))
        if longest < SMALL_STEP:
            break
    scores = added_up(person, x, y - expit(slope @ x), count)
    groups = int(np.unique(person).size)
    if groups < 2:
        return slope, np.full(len(x), np.nan)
    bread = np.linalg.inv(information)
    return slope, np.sqrt(np.diag(groups / (groups - 1) * bread @ scores.T @ scores @ bread))


def added_up(person: Ints, x: Floats, rest: Floats, count: int) -> Floats:
    """Return sums over each person's rows of x times rest: [people x parameters], of x [parameters x rows]."""
    return np.stack([np.bincount(person, each * rest, minlength=count) for each in x], axis=1)


def crossed(person: Ints, x: Floats, weight: Floats, count: int) -> Floats:
    """Return sums over each person's rows of weight x x': [people x parameters x parameters]."""
    found = np.empty((count, len(x), len(x)))
    for a in range(len(x)):
        for b in range(a + 1):
            found[:, a, b] = found[:, b, a] = np.bincount(person, weight * x[a] * x[b], minlength=count)
    return found
