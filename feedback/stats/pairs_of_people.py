"""How far every two people agree on the units that both rated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from feedback.stats.agreement import Ratings
from feedback.stats.intervals import Floats, Ints, wilson

CELLS_LIMIT = 50_000_000


@dataclass(frozen=True)
class PairsOfPeople:
    """One row per two people with a unit in common, the pairs with most such units first.

    `first` and `second` are rater codes; `units` how many they share, `agreed` on how many they gave the same value.
    `low` and `high` are Wilson's interval of `percent`, which takes units as independent. `kappa` is Cohen's, nan where
    both used one category only.
    """

    first: Any
    second: Any
    units: Ints
    agreed: Ints
    percent: Floats
    low: Floats
    high: Floats
    kappa: Floats


def pairwise_by_people(ratings: Ratings, least: int = 1) -> PairsOfPeople:
    """Return the agreement of every two people who share at least `least` units."""
    people, width = ratings.rater_codes.size, ratings.points.size
    keys, cells = [], []
    order = np.lexsort((ratings.rater, ratings.unit))
    unit, rater, code = ratings.unit[order], ratings.rater[order], ratings.code[order]
    most = int(np.bincount(unit).max()) if unit.size else 0
    for apart in range(1, most):  # within a unit raters ascend, so a pair has one key whoever came first
        both = np.flatnonzero(unit[apart:] == unit[:-apart])
        keys.append(rater[both] * people + rater[both + apart])
        cells.append(code[both] * width + code[both + apart])
    key = np.concatenate(keys) if keys else np.zeros(0, dtype=np.int64)
    cell = np.concatenate(cells) if cells else np.zeros(0, dtype=np.int64)
    pairs, pair, units = np.unique(key, return_inverse=True, return_counts=True)
    agreed = np.bincount(pair[cell // max(width, 1) == cell % max(width, 1)], minlength=pairs.size)
    kappa = kappas(pair.reshape(-1), cell, pairs.size, width)
    kept = np.flatnonzero(units >= least)
    kept = kept[np.argsort(-units[kept], kind="stable")]
    low, high = wilson(agreed[kept], units[kept])
    return PairsOfPeople(
        first=ratings.rater_codes[pairs[kept] // max(people, 1)],
        second=ratings.rater_codes[pairs[kept] % max(people, 1)],
        units=units[kept],
        agreed=agreed[kept],
        percent=agreed[kept] / units[kept],
        low=low,
        high=high,
        kappa=kappa[kept],
    )


def kappas(pair: Ints, cell: Ints, pairs: int, width: int) -> Floats:
    """Return Cohen's kappa [pairs] from every rating's pair of people and cell of their table."""
    found = np.full(pairs, np.nan)
    at_once = max(1, CELLS_LIMIT // max(1, width * width))
    for start in range(0, pairs, at_once):
        stop = min(pairs, start + at_once)
        here = (pair >= start) & (pair < stop)
        flat = (pair[here] - start) * width * width + cell[here]
        tables = np.bincount(flat, minlength=(stop - start) * width * width).reshape(-1, width, width)
        total = tables.sum(axis=(1, 2))
        observed = np.trace(tables, axis1=1, axis2=2) / total
        expected = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1) / total**2
        with np.errstate(invalid="ignore", divide="ignore"):
            found[start:stop] = np.where(expected < 1 - 1e-12, (observed - expected) / (1 - expected), np.nan)
    return found
