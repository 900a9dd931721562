from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit

from feedback.stats.slopes import length_difference, slopes_by_person


def drawn(seed: int = 0, people: int = 40, each: int = 150, spread: float = 0.4):
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), each)
    z = rng.normal(size=(person.size, 2))
    truth = np.array([0.2, 0.5, 0.0]) + rng.normal(0, spread, (people, 3))
    chance = expit(truth[person, 0] + (truth[person, 1:] * z).sum(axis=1))
    return person, (rng.random(person.size) < chance).astype(float), z, truth


def test_everybody_together_as_statsmodels_has_it():
    person, y, z, _ = drawn()
    found = slopes_by_person(person, y, z)
    peer = sm.Logit(y, sm.add_constant(z)).fit(
        disp=False, tol=1e-12, cov_type="cluster", cov_kwds={"groups": person, "use_correction": False}
    )
    assert found.mean == pytest.approx(peer.params, abs=1e-5)
    half = 1.959964 * peer.bse * np.sqrt(40 / 39)
    assert found.mean_high - found.mean == pytest.approx(half, rel=1e-4)


def test_each_person_alone_as_statsmodels_has_it_when_the_prior_is_wide():
    person, y, z, _ = drawn()
    found = slopes_by_person(person, y, z, prior_sd=1_000)
    for who in (0, 7, 39):
        mine = person == who
        peer = sm.Logit(y[mine], sm.add_constant(z[mine])).fit(disp=False, tol=1e-12)
        assert found.slope[who] == pytest.approx(peer.params, abs=1e-4)
        assert found.high[who] - found.slope[who] == pytest.approx(1.959964 * peer.bse, rel=1e-3)


def test_intervals_hold_what_they_promise():
    held = []
    for seed in range(10):
        person, y, z, truth = drawn(seed)
        found = slopes_by_person(person, y, z, prior_sd=0.4)
        held.append((found.low <= truth) & (truth <= found.high))
    assert 0.92 <= np.mean(held) <= 0.98


def test_few_judgments_say_little_and_infinite_slopes_do_not_happen():
    found = slopes_by_person([0] * 5 + [1] * 500, [1.0] * 5 + [1.0, 0.0] * 250)
    assert abs(found.slope[0, 0]) < 1
    assert found.high[0, 0] - found.low[0, 0] > 1.5
    assert not found.draws[0, 0]


def test_who_takes_the_first_is_seen():
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(20), 200)
    y = (rng.random(person.size) < np.where(person == 3, 0.9, 0.5)).astype(float)
    assert np.flatnonzero(slopes_by_person(person, y).draws[:, 0] & (slopes_by_person(person, y).slope[:, 0] > 1)) == 3


def test_turning_every_comparison_round_turns_the_sides_slope_only():
    person, y, z, _ = drawn()
    once, turned = slopes_by_person(person, y, z), slopes_by_person(person, 1 - y, -z)
    assert turned.slope[:, 0] == pytest.approx(-once.slope[:, 0], abs=1e-5)
    assert turned.slope[:, 1:] == pytest.approx(once.slope[:, 1:], abs=1e-5)


def test_ties_and_what_is_not_known_are_left_out():
    person, y, z, _ = drawn()
    z_more = np.concatenate([z, [[0.3, 0.1], [np.nan, 0], [1, 1]]])
    found = slopes_by_person(np.append(person, [0, 0, 0]), np.append(y, [0.5, 1, np.nan]), z_more)
    assert found.slope == pytest.approx(slopes_by_person(person, y, z).slope)
    assert found.judgments.tolist() == [150] * 40


def test_people_without_decisive_judgments_are_unknown():
    found = slopes_by_person([0, 0, 2], [1, 0, 0.5], people_count=4)
    assert np.isnan(found.slope[1:]).all()
    assert np.isfinite(found.slope[0]).all()
    empty = slopes_by_person([], [], people_count=2)
    assert np.isnan(empty.slope).all()
    assert np.isnan(empty.mean_low).all()


def test_lengths_are_compared_by_their_typical_difference():
    found = length_difference([100, 300, 200], [200, 200, 200])
    assert found == pytest.approx([-np.tanh(np.sqrt(1.5)), np.tanh(np.sqrt(1.5)), 0])
    assert length_difference([5, 5], [5, 5]).tolist() == [0, 0]
    assert length_difference([], []).size == 0
