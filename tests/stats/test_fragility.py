from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from feedback.stats.fragility import Flip, fewest_people, fewest_votes
from feedback.stats.preference_models import bradley_terry


def drawn(seed: int, votes: int = 2_000, spread: float = 0.1):
    rng = np.random.default_rng(seed)
    strength = rng.normal(size=5) * spread
    i = rng.integers(0, 5, votes)
    j = (i + rng.integers(1, 5, votes)) % 5
    y = (rng.random(votes) < expit(strength[i] - strength[j])).astype(float)
    y[rng.random(votes) < 0.1] = 0.5
    return i, j, y, rng.integers(0, 60, votes)


def without(i, j, y, flip: Flip) -> np.ndarray:
    """Return which votes are left once the named ones are out."""
    kept = np.ones(i.size, dtype=bool)
    for first, second, points, times in zip(flip.first, flip.second, flip.wins, flip.times, strict=True):
        same = ((i == first) & (j == second) & (y == points)) | ((i == second) & (j == first) & (y == 1 - points))
        kept[np.flatnonzero(same)[:times]] = False
    return kept


@pytest.mark.parametrize("seed", range(4))
def test_leaving_out_the_named_votes_flips_first_place(seed):
    i, j, y, _ = drawn(seed)
    flip = fewest_votes(i, j, y)
    assert flip is not None
    kept = without(i, j, y, flip)
    assert (~kept).sum() == flip.dropped == flip.times.sum()
    assert bradley_terry(i, j, y).strength.argmax() == flip.leader
    after = bradley_terry(i[kept], j[kept], y[kept], players=5).strength
    assert after[flip.rival] > after[flip.leader]
    assert flip.share == flip.dropped / 2_000


@pytest.mark.parametrize("seed", range(4))
def test_leaving_out_the_named_people_flips_first_place(seed):
    i, j, y, people = drawn(seed)
    flip = fewest_people(i, j, y, people)
    assert flip is not None
    kept = ~np.isin(people, flip.people)
    assert flip.dropped == flip.people.size <= flip.of == 60
    after = bradley_terry(i[kept], j[kept], y[kept], players=5).strength
    assert after[flip.rival] > after[flip.leader]


def test_a_near_tie_flips_by_the_votes_that_decide_it():
    i, j = np.zeros(101, dtype=int), np.ones(101, dtype=int)
    y = np.repeat([1.0, 0.0], [52, 49])
    flip = fewest_votes(i, j, y)
    assert flip is not None
    assert (flip.leader, flip.rival, flip.dropped) == (0, 1, 4)


def test_a_wide_lead_takes_more_than_a_near_tie():
    near, wide = fewest_votes(*drawn(1, spread=0.02)[:3]), fewest_votes(*drawn(1, spread=0.8)[:3])
    assert near is not None
    assert wide is not None
    assert near.dropped < wide.dropped


@pytest.mark.parametrize("votes", [([], [], []), ([0, 0], [1, 1], [1, 1])])
def test_without_a_first_place_nothing_flips(votes):
    assert fewest_votes(*votes, players=2) is None
    assert fewest_people(*votes, votes[0], players=2) is None
