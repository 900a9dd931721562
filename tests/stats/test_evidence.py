from __future__ import annotations

import numpy as np
import pytest

from feedback.stats.evidence import (
    DRIFT_THRESHOLD,
    confidence_sequence,
    drift_cusum,
    e_benjamini_hochberg,
    gold_e_process,
    self_consistency,
)
from feedback.stats.intervals import wilson


def golds(accuracy: float, people: int, each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    person = np.repeat(np.arange(people), each)
    return person, np.random.default_rng(seed).random(person.size) < accuracy


# Gold ---------------------------------------------------------------------------------------------------


def test_the_e_process_is_the_product_of_likelihood_ratios():
    found = gold_e_process([0, 1, 0, 0], [True, False, False, True], poor=(0.55,))
    right, wrong = 0.55 / 0.75, 0.45 / 0.25
    assert found.running == pytest.approx([right, wrong, right * wrong, right * wrong * right])
    assert found.latest == pytest.approx([right * wrong * right, wrong])
    assert found.largest == pytest.approx([right * wrong, wrong])
    assert found.golds.tolist() == [3, 1]


def test_several_bets_are_their_mean():
    people, right = golds(0.7, 5, 40)
    several = gold_e_process(people, right, poor=(0.5, 0.6)).running
    single = [gold_e_process(people, right, poor=(p1,)).running for p1 in (0.5, 0.6)]
    assert several == pytest.approx(np.mean(single, axis=0))


def test_its_mean_does_not_grow_for_who_is_just_good_enough():
    # Exactly, over all sequences of ten answers, for the boundary itself and above.
    sequences = (np.arange(1024)[:, None] >> np.arange(10)) & 1
    people = np.repeat(np.arange(1024), 10)
    latest = gold_e_process(people, sequences.ravel()).latest
    right = sequences.sum(axis=1)
    for p in (0.75, 0.8, 0.95):
        mean = (latest * p**right * (1 - p) ** (10 - right)).sum()
        assert mean == pytest.approx(1.0) if p == 0.75 else mean < 1


def test_who_is_good_enough_is_hardly_ever_named_and_who_guesses_soon_is():
    share = {
        accuracy: (gold_e_process(*golds(accuracy, 2_000, 300), poor=(0.55,)).largest >= 100).mean()
        for accuracy in (0.5, 0.65, 0.75, 0.8)
    }
    assert share[0.5] == 1.0
    assert share[0.65] == pytest.approx(0.57, abs=0.04)
    assert share[0.75] <= 0.01 + 0.007
    assert share[0.8] <= 0.002
    running = gold_e_process(*golds(0.5, 2_000, 300), poor=(0.55,)).running.reshape(2_000, 300)
    assert np.median((running >= 100).argmax(axis=1) + 1) == pytest.approx(31, abs=2)


def test_bets_on_mild_shortfalls_find_more_of_them_and_still_name_nobody_who_is_good_enough():
    def named(accuracy: float) -> float:
        return float((gold_e_process(*golds(accuracy, 2_000, 300)).largest >= 100).mean())

    assert named(0.65) == pytest.approx(0.76, abs=0.04)
    assert named(0.75) <= 0.01 + 0.007


def test_somebody_without_gold_has_no_evidence_either_way():
    found = gold_e_process([1], [True], people_count=3)
    assert found.latest[[0, 2]].tolist() == found.largest[[0, 2]].tolist() == [1, 1]
    assert found.golds.tolist() == [0, 1, 0]


@pytest.mark.parametrize("poor", [(0.8,), (0.75,), (0.0,)])
def test_a_bet_on_being_good_is_refused(poor):
    with pytest.raises(ValueError, match=r"below 0\.75"):
        gold_e_process([0], [True], poor=poor)


# Over people --------------------------------------------------------------------------------------------


def test_e_bh_names_the_largest_that_carry_each_other():
    assert e_benjamini_hochberg([200, 50, 30, 1, 0.2, 0], 0.1).tolist() == [True, True, True, False, False, False]
    assert e_benjamini_hochberg([20, 0, 0], 0.05).tolist() == [False] * 3
    assert e_benjamini_hochberg([60, 0, 0], 0.05).tolist() == [True, False, False]
    assert e_benjamini_hochberg([10, 10, 10], 0.1).tolist() == [True] * 3  # one by one, each would need 30
    assert e_benjamini_hochberg([np.nan, 60, 1], 0.05).tolist() == [False, True, False]
    assert e_benjamini_hochberg([]).tolist() == []


def test_of_those_named_few_are_named_wrongly():
    wrongly = []
    for seed in range(60):
        accuracy = np.repeat([0.75, 0.55], [80, 20])
        people = np.repeat(np.arange(100), 120)
        right = np.random.default_rng(seed).random(people.size) < accuracy[people]
        named = e_benjamini_hochberg(gold_e_process(people, right).latest, 0.1)
        wrongly.append(named[:80].sum() / max(1, named.sum()))
    assert np.mean(wrongly) <= 0.1


# Drift --------------------------------------------------------------------------------------------------


def test_the_cusum_forgets_the_good_past():
    person, right = golds(0.8, 7, 60)
    order = np.random.default_rng(3).permutation(person.size)
    person, right = person[order], right[order]
    found = drift_cusum(person, right)
    state = np.ones(7)
    for row, (who, was_right) in enumerate(zip(person, right, strict=True)):
        state[who] = max(state[who], 1.0) * (0.70 / 0.85 if was_right else 0.30 / 0.15)
        assert found.running[row] == pytest.approx(state[who])
    assert found.latest == pytest.approx(state)


def test_false_alarms_and_delay_are_as_documented():
    steady = drift_cusum(*golds(0.85, 1_000, 1_000))
    assert (steady.largest >= DRIFT_THRESHOLD).mean() == pytest.approx(0.042, abs=0.015)
    assert (steady.largest >= 100).mean() == pytest.approx(0.35, abs=0.04)
    people = np.repeat(np.arange(1_000), 900)
    accuracy = np.tile(np.repeat([0.85, 0.70], [300, 600]), 1_000)
    right = np.random.default_rng(1).random(people.size) < accuracy
    after = drift_cusum(people, right).running.reshape(1_000, 900)[:, 300:]
    assert np.median((after >= DRIFT_THRESHOLD).argmax(axis=1) + 1) == pytest.approx(74, abs=4)


def test_a_drift_upwards_is_refused():
    with pytest.raises(ValueError, match="higher accuracy to a lower"):
        drift_cusum([0], [True], good=0.7, drifted=0.8)


# Repeats ------------------------------------------------------------------------------------------------


def test_consistency_counts_sides_whatever_the_strength():
    found = self_consistency([3, -1, 2, -2, 0, 1, np.nan], [1, -3, -1, -1, 2, 0, 1])
    assert found.repeats == 4
    assert found.same.value == 0.75
    low, high = wilson(3, 4)
    assert (found.same.low, found.same.high) == (low, high)


@pytest.mark.parametrize(("same", "accuracy"), [(0.7, 0.816), (0.8, 0.887), (0.9, 0.947)])
def test_consistency_implies_an_accuracy(same, accuracy):
    first = np.ones(1_000)
    again = np.where(np.arange(1_000) < 1_000 * same, 1, -1)
    found = self_consistency(first, again)
    assert found.accuracy.value == pytest.approx(accuracy, abs=5e-4)
    assert found.accuracy.low < accuracy < found.accuracy.high


def test_without_repeats_nothing_is_known():
    found = self_consistency([], [])
    assert found.repeats == 0
    assert np.isnan([*found.same, *found.accuracy]).all()


# Over time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("prior", "false_alarms"), [(1.0, 0.034), (100.0, 0.022)])
def test_the_confidence_sequence_holds_at_every_time_at_once(prior, false_alarms):
    rng = np.random.default_rng(0)
    wins = np.cumsum(rng.random((500, 1_500)) < 0.5, axis=1)
    low, high = confidence_sequence(wins, np.arange(1, 1_501), prior=prior)
    ever = ((low > 0.5) | (high < 0.5)).any(axis=1).mean()
    assert ever == pytest.approx(false_alarms, abs=0.025)
    assert ever <= 0.05
    narrow = np.stack(wilson(wins, np.arange(1, 1_501)))[:, :, 24::25]
    peeked = ((narrow[0] > 0.5) | (narrow[1] < 0.5)).any(axis=1).mean()
    assert peeked > 0.2  # what looking every 25 votes at an ordinary interval does


def test_its_ends_are_where_the_e_value_is_one_over_alpha():
    from scipy.special import beta

    low, high = confidence_sequence(30, 50)
    for p in (float(low), float(high)):
        assert beta(1 + 30, 1 + 20) / (beta(1, 1) * p**30 * (1 - p) ** 20) == pytest.approx(20, rel=1e-6)
    assert float(low) < wilson(30, 50)[0]
    assert float(high) > wilson(30, 50)[1]


def test_it_needs_hardly_more_votes_than_a_fixed_number_would():
    wins = np.cumsum(np.random.default_rng(1).random((400, 1_500)) < 0.6, axis=1)
    low, _ = confidence_sequence(wins, np.arange(1, 1_501), prior=100)
    assert np.median((low > 0.5).argmax(axis=1) + 1) < 267


def test_before_the_first_vote_everything_is_possible():
    low, high = confidence_sequence([0, 0, 4], [0, 4, 4])
    assert (low[0], high[0]) == (0, 1)
    assert low[1] == 0
    assert high[2] == 1
    assert high[1] == pytest.approx(1 - low[2])
