"""Intervals of shares, and what every figure with an interval looks like."""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEVEL = 0.95


class Estimate(NamedTuple):
    """A figure and its interval; each is nan where the data do not say it."""

    value: float
    low: float
    high: float


UNKNOWN = Estimate(np.nan, np.nan, np.nan)


def wilson(successes: ArrayLike, trials: ArrayLike, level: float = LEVEL) -> tuple[Floats, Floats]:
    """Return the ends of Wilson's score interval of a share, elementwise; 0 to 1 where nothing was tried.

    Both may be fractional (expected counts). Source: Wilson 1927; figures in Newcombe 1998, method 3.
    """
    x, n = np.asarray(successes, dtype=float), np.asarray(trials, dtype=float)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = x / n
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(np.maximum(share * (1 - share), 0.0) / n + z**2 / (4 * n**2))
    # Rounding must not push the ends of 0 of n and n of n beyond 0 and 1.
    low = np.where(n > 0, np.where(x <= 0, 0.0, np.maximum(middle - half, 0.0)), 0.0)
    high = np.where(n > 0, np.where(x >= n, 1.0, np.minimum(middle + half, 1.0)), 1.0)
    return low, high


def share(successes: float, trials: float, level: float = LEVEL) -> Estimate:
    """Return a share with Wilson's interval; an unknown one of nothing."""
    if trials <= 0:
        return UNKNOWN
    low, high = wilson(successes, trials, level)
    return Estimate(successes / trials, float(low), float(high))


def clustered_share(values: ArrayLike, clusters: ArrayLike, level: float = LEVEL) -> Estimate:
    """Return the mean of `values` in 0..1 whose members of one cluster (a prompt, a person) go together.

    The standard error is the sandwich's over clusters, times sqrt(g / (g - 1)); the quantile is Student's with g - 1
    degrees. Fewer than two clusters have a value and no interval.
    """
    y = np.asarray(values, dtype=float)
    if y.size == 0:
        return UNKNOWN
    mean = float(y.mean())
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    groups = int(codes.max()) + 1
    if groups < 2:
        return Estimate(mean, np.nan, np.nan)
    sums = np.bincount(codes, weights=y - mean, minlength=groups)
    half = student(groups, level) * np.sqrt(groups / (groups - 1) * (sums**2).sum()) / y.size
    return Estimate(mean, max(mean - half, 0.0), min(mean + half, 1.0))


def student(clusters: int, level: float = LEVEL) -> float:
    """Return the two-sided quantile for an error that was estimated from so many independent clusters."""
    from scipy.stats import t  # 50 MB that most figures do without

    return float(t.ppf(0.5 + level / 2, clusters - 1)) if clusters > 1 else np.nan


def dense(codes: ArrayLike, count: int | None = None) -> tuple[Ints, int]:
    """Return indices as int64 and how many there may be: `count`, or one more than the largest."""
    indices = np.asarray(codes, dtype=np.int64)
    highest = int(indices.max()) + 1 if indices.size else 0
    if indices.size and int(indices.min()) < 0:
        raise ValueError("Indices count from 0; there is a negative one.")
    if count is not None and highest > count:
        raise ValueError(f"There are {count} of them, numbered from 0; {highest - 1} is not among them.")
    return indices, highest if count is None else count
