from __future__ import annotations

import itertools

import numpy as np
import pytest

from feedback.stats.agreement import Ratings, cohen_kappa
from feedback.stats.pairs_of_people import pairwise_by_people


def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return np.repeat(np.arange(60), 4), rng.permuted(np.tile(np.arange(7), (60, 1)), axis=1)[:, :4].ravel(), (
        rng.integers(-1, 2, 240)
    )  # fmt: skip


def test_every_two_people_as_counted_one_by_one():
    units, people, values = drawn()
    said = {(unit, person): value for unit, person, value in zip(units, people, values, strict=True)}
    found = pairwise_by_people(Ratings(units, people, values))
    assert found.units.tolist() == sorted(found.units.tolist(), reverse=True)
    rows = {(a, b): row for row, (a, b) in enumerate(zip(found.first, found.second, strict=True))}
    assert set(rows) == set(itertools.combinations(range(7), 2))
    for (a, b), row in rows.items():
        both = [(said[unit, a], said[unit, b]) for unit in range(60) if (unit, a) in said and (unit, b) in said]
        assert found.units[row] == len(both)
        assert found.agreed[row] == sum(x == y for x, y in both)
        assert found.kappa[row] == pytest.approx(cohen_kappa(*zip(*both, strict=True)).value)
        assert 0 <= found.low[row] <= found.percent[row] <= found.high[row] <= 1


def test_pairs_with_too_little_in_common_are_left_out():
    ratings = Ratings(*drawn())
    assert (pairwise_by_people(ratings, least=18).units >= 18).all()
    assert pairwise_by_people(ratings, least=1_000).units.size == 0


def test_nobody_and_somebody_alone_make_no_pair():
    assert pairwise_by_people(Ratings([], [], [])).units.size == 0
    assert pairwise_by_people(Ratings([0, 1], ["a", "a"], [1, 2])).units.size == 0
