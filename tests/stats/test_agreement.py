"""How far people agree: known answers, peers, identities, and what cannot be said."""

from __future__ import annotations

import warnings

import evalica
import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.inter_rater import cohens_kappa as peer_cohen
from statsmodels.stats.inter_rater import fleiss_kappa as peer_fleiss

from feedback.stats.agreement import (
    METRICS,
    Ratings,
    TooManyCategories,
    bootstrap,
    ceiling,
    cohen_kappa,
    decisive_only,
    figures,
    fleiss_kappa,
    gwet_ac1,
    gwet_ac2,
    krippendorff_alpha,
    percent_agreement,
    rater_accuracy,
    ties_as_a_category,
)
from tests.stats.published import FLEISS, KRIPPENDORFF, matrix


@pytest.fixture(autouse=True)
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def ratings_of(table: np.ndarray, **more) -> Ratings:
    """Make ratings of a table [raters x units]."""
    raters, units = np.indices(table.shape)
    return Ratings(units.ravel(), raters.ravel(), table.ravel(), **more)


def from_counts(counts: np.ndarray) -> Ratings:
    """Make ratings of a table [units x categories] of how many raters said what."""
    rows = [
        (unit, category) for (unit, category), many in np.ndenumerate(counts.astype(int)) for _ in range(many)
    ]  # fmt: skip
    units, values = np.array(rows).T
    return Ratings(units, np.arange(len(rows)), values)


def drawn(seed: int = 0, raters: int = 6, units: int = 80, missing: float = 0.4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    table = np.round(rng.normal(size=units) + rng.normal(size=(raters, units))).clip(-2, 2) + 3
    return np.where(rng.random(table.shape) < missing, np.nan, table)


# Known answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "alpha"), [("nominal", 0.743421), ("ordinal", 0.815388), ("interval", 0.849107), ("ratio", 0.797403)]
)
def test_alpha_of_krippendorffs_example(metric, alpha):
    assert krippendorff_alpha(ratings_of(matrix(KRIPPENDORFF)), metric) == pytest.approx(alpha, abs=5e-7)


def test_gwets_example():
    ratings = ratings_of(matrix(KRIPPENDORFF))
    assert percent_agreement(ratings) == pytest.approx(0.81818, abs=5e-6)
    assert gwet_ac1(ratings) == pytest.approx(0.77544, abs=5e-6)
    assert gwet_ac2(ratings) == pytest.approx(0.914, abs=5e-4)
    assert fleiss_kappa(ratings) == pytest.approx(0.76117, abs=5e-6)


def test_fleiss_example_of_14_raters():
    assert fleiss_kappa(from_counts(matrix(FLEISS))) == pytest.approx(0.20993, abs=5e-6)


def test_cohens_kappa_with_its_large_sample_interval():
    first = np.repeat([0, 0, 1, 1], [20, 5, 10, 15])
    second = np.repeat([0, 1, 0, 1], [20, 5, 10, 15])
    value, low, high = cohen_kappa(first, second)
    assert value == pytest.approx(0.4)
    assert (low, high) == pytest.approx((0.151, 0.649), abs=5e-4)
    assert (high - value) / 1.959964 == pytest.approx(0.1270, abs=5e-5)


def test_cohens_kappa_of_three_abstractors():
    cells = np.array([[13, 0, 0], [0, 20, 7], [0, 4, 56]])
    first, second = (np.repeat(side.ravel(), cells.ravel()) for side in np.indices(cells.shape))
    value, _, high = cohen_kappa(first, second)
    assert value == pytest.approx(0.7964094, abs=5e-8)
    assert (high - value) / 1.959964 == pytest.approx(0.0589, abs=5e-5)


def test_gwets_paradox_where_almost_everybody_says_the_same():
    first = np.repeat([0, 0, 1], [118, 5, 2])
    second = np.repeat([0, 1, 0], [118, 5, 2])
    assert cohen_kappa(first, second).value == pytest.approx(-0.02339, abs=5e-6)
    ratings = ratings_of(np.stack([first, second]))
    assert gwet_ac1(ratings) == pytest.approx(0.94078, abs=5e-6)
    assert percent_agreement(ratings) == pytest.approx(0.944)


@pytest.mark.parametrize(
    ("votes", "accuracy"), [(1, 0.836), (3, 0.928), (5, 0.966)]
)  # fmt: skip
def test_ceiling_that_agreement_of_72_6_percent_implies(votes, accuracy):
    assert ceiling(0.726, votes) == pytest.approx(accuracy, abs=5e-4)


def test_no_agreement_beyond_chance_is_a_coin():
    assert rater_accuracy(0.5) == rater_accuracy(0.3) == 0.5
    assert ceiling(0.5, 5) == pytest.approx(0.5)
    assert rater_accuracy(1.0) == 1.0
    assert np.isnan(ceiling(np.nan))


def test_raters_of_one_accuracy_agree_as_the_ceiling_says():
    for p in (0.6, 0.75, 0.9):
        assert rater_accuracy(p * p + (1 - p) * (1 - p)) == pytest.approx(p)
    assert ceiling(0.68, 2) == pytest.approx(ceiling(0.68, 1))  # of two, a split is a coin


# Peers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", range(4))
def test_alpha_as_evalica_has_it(metric, seed):
    table = drawn(seed)
    peer = evalica.alpha(pd.DataFrame(table), distance=metric).alpha
    assert krippendorff_alpha(ratings_of(table), metric) == pytest.approx(peer, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_fleiss_and_cohen_as_statsmodels_has_them(seed):
    table = drawn(seed, missing=0)
    ratings = ratings_of(table)
    assert fleiss_kappa(ratings) == pytest.approx(peer_fleiss(ratings.counts), abs=1e-12)
    first, second = table[:2].astype(int)
    cells = np.zeros((5, 5))
    np.add.at(cells, (first - 1, second - 1), 1)
    peer = peer_cohen(cells[np.ix_(cells.any(axis=1) | cells.any(axis=0), cells.any(axis=1) | cells.any(axis=0))])
    value, low, _ = cohen_kappa(first, second)
    assert (value, low) == pytest.approx((peer.kappa, peer.kappa_low), abs=1e-9)


# Identities ---------------------------------------------------------------------------------------------


def test_order_of_rows_and_names_of_raters_and_units_change_nothing():
    table = drawn()
    rng = np.random.default_rng(1)
    shuffled = table[rng.permutation(len(table))][:, rng.permutation(table.shape[1])]
    assert figures(ratings_of(shuffled)) == pytest.approx(figures(ratings_of(table)), nan_ok=True)


def test_naming_categories_otherwise_changes_nothing_nominal():
    table = drawn()
    renamed = np.select([table == value for value in range(1, 6)], [30, 10, 50, 20, 40], default=np.nan)
    before, after = figures(ratings_of(table)), figures(ratings_of(renamed))
    for name in ("percent", "percent_of_pairs", "alpha_nominal", "ac1", "fleiss"):
        assert after[name] == pytest.approx(before[name])


def test_stretching_the_scale_changes_nothing_interval_or_ordinal():
    before, after = figures(ratings_of(drawn())), figures(ratings_of(drawn() * 10 - 7))
    for name in ("alpha_ordinal", "alpha_interval", "ac2"):
        assert after[name] == pytest.approx(before[name])


def test_doubling_every_unit_changes_no_share_and_narrows_intervals():
    table = drawn()
    once, twice = ratings_of(table), ratings_of(np.hstack([table, table]))
    for name in ("percent", "percent_of_pairs", "ac1", "ac2", "fleiss"):
        assert figures(twice)[name] == pytest.approx(figures(once)[name])
    narrow, wide = bootstrap(twice)["percent"], bootstrap(once)["percent"]
    assert (narrow.high - narrow.low) / (wide.high - wide.low) == pytest.approx(1 / np.sqrt(2), rel=0.15)


def test_full_agreement_is_one_and_labels_at_random_are_zero():
    same = ratings_of(np.tile(drawn(missing=0)[0], (3, 1)))
    assert figures(same) == pytest.approx(dict.fromkeys(figures(same), 1.0))
    at_random = ratings_of(np.random.default_rng(5).integers(1, 5, (3, 40_000)))
    for name in ("alpha_nominal", "alpha_ordinal", "alpha_interval", "ac1", "fleiss"):
        assert figures(at_random)[name] == pytest.approx(0, abs=0.01)


def test_of_two_ratings_of_a_unit_by_one_rater_the_first_counts():
    ratings = Ratings([0, 0, 0, 1, 1], ["a", "b", "a", "a", "b"], [1, 1, 2, 2, 1])
    assert len(ratings) == 4
    assert ratings.rows.tolist() == [0, 1, 3, 4]
    assert percent_agreement(ratings) == 0.5


def test_a_unit_with_one_rating_counts_for_prevalence_alone():
    two = Ratings([0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0])
    more = Ratings([0, 0, 1, 1, 2], [0, 1, 0, 1, 0], [0, 0, 1, 0, 1])
    for name in ("percent", "alpha_nominal"):
        assert figures(more)[name] == figures(two)[name]
    assert gwet_ac1(more) != gwet_ac1(two)


def test_the_two_tie_rules():
    ratings = Ratings([0, 0, 1, 1, 2, 2], [0, 1] * 3, [-3, -1, 2, 0, 1, -2])
    as_category, decisive = ties_as_a_category(ratings), decisive_only(ratings)
    assert percent_agreement(as_category) == pytest.approx(1 / 3)
    assert percent_agreement(decisive) == pytest.approx(1 / 2)
    assert len(decisive) == 5
    assert as_category.points.tolist() == [-1, 0, 1]


def test_only_some_rows():
    ratings = Ratings([0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0])
    assert percent_agreement(ratings.only(ratings.unit == 0)) == 1.0


# The bootstrap ------------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_interval_and_its_value_is_the_figure():
    ratings = ratings_of(drawn())
    once = bootstrap(ratings, draws=200, seed=3)
    assert once == bootstrap(ratings, draws=200, seed=3)
    assert {name: each.value for name, each in once.items()} == pytest.approx(figures(ratings))
    assert all(each.low <= each.value <= each.high for each in once.values())


def test_drawing_kinds_of_units_is_drawing_units():
    ratings = ratings_of(drawn(raters=3, units=200, missing=0.2))
    rng = np.random.default_rng(0)
    units = ratings.unit_codes.size
    by_hand = []
    for _ in range(1_500):
        times = np.bincount(rng.integers(0, units, units), minlength=units)
        counts = np.repeat(ratings.counts, times, axis=0)
        by_hand.append(fleiss_kappa(from_counts(counts)))
    interval = bootstrap(ratings, draws=4_000)["fleiss"]
    assert np.quantile(by_hand, [0.025, 0.975]) == pytest.approx([interval.low, interval.high], abs=0.008)


def test_units_that_go_together_are_drawn_together():
    rng = np.random.default_rng(2)
    hard = np.repeat(rng.random(120) < 0.5, 10)  # of a hard prompt's ten pairs none is agreed on
    first = rng.integers(0, 2, hard.size)
    second = np.where(hard, rng.integers(0, 2, hard.size), first)
    units, prompts = np.tile(np.arange(hard.size), 2), np.tile(np.arange(hard.size) // 10, 2)
    ratings = Ratings(units, np.repeat([0, 1], hard.size), np.concatenate([first, second]))
    alone = bootstrap(ratings)["percent"]
    together = bootstrap(ratings, clusters=prompts)["percent"]
    assert together.value == pytest.approx(alone.value)
    assert together.high - together.low > 1.4 * (alone.high - alone.low)


def test_a_cluster_of_one_unit_each_is_no_cluster():
    table = drawn()
    ratings = ratings_of(table)
    alone, clustered = bootstrap(ratings, draws=3_000), bootstrap(
        ratings, draws=3_000, clusters=np.indices(table.shape)[1].ravel()
    )  # fmt: skip
    for name in alone:
        assert clustered[name] == pytest.approx(alone[name], abs=0.015)


def test_intervals_hold_what_they_promise():
    rng, held = np.random.default_rng(7), 0
    for seed in range(200):
        truth = rng.integers(0, 2, 150)
        said = np.where(rng.random((3, 150)) < 0.85, truth, 1 - truth)
        interval = bootstrap(ratings_of(said), draws=400, seed=seed)["percent"]
        held += interval.low <= 0.85**2 + 0.15**2 <= interval.high
    assert 0.90 <= held / 200 <= 0.99


# What cannot be said ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "values"), [([], []), ([0], [1]), ([0, 1, 2], [1, 2, 1]), ([0, 0], [np.nan, 1.0])]
)  # fmt: skip
def test_without_two_ratings_of_one_unit_nothing_is_known(units, values):
    ratings = Ratings(units, np.arange(len(units)), values)
    assert all(np.isnan(value) for value in figures(ratings).values())
    assert all(np.isnan(each).all() for each in bootstrap(ratings, draws=20).values())


def test_with_one_category_only_the_percentage_is_known():
    found = figures(Ratings([0, 0, 1, 1], [0, 1, 0, 1], [2, 2, 2, 2]))
    assert found.pop("percent") == found.pop("percent_of_pairs") == 1.0
    assert all(np.isnan(value) for value in found.values())
    assert np.isnan(cohen_kappa([1, 1], [1, 1]).value)


def test_one_unit_has_a_figure_and_no_interval():
    interval = bootstrap(Ratings([0, 0], [0, 1], [1, 2]), draws=50)["percent"]
    assert interval.value == 0.0
    assert np.isnan([interval.low, interval.high]).all()


def test_ratio_of_negative_values_is_not_said():
    assert np.isnan(krippendorff_alpha(Ratings([0, 0, 1, 1], [0, 1, 0, 1], [-1, 1, 1, 1]), "ratio"))


def test_a_rating_that_is_no_category_is_refused():
    with pytest.raises(ValueError, match="none of the categories"):
        Ratings([0, 0], [0, 1], [1, 4], categories=[1, 2, 3])


def test_a_scale_without_steps_is_refused():
    with pytest.raises(TooManyCategories, match="40 different values"):
        Ratings(np.zeros(40), np.arange(40), np.arange(40) / 7)
