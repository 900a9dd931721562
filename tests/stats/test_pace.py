from __future__ import annotations

import numpy as np
import pytest

from feedback.stats.pace import bits_per_label, cost_per_bit, cost_per_useful_label, pace, quartiles, useful_labels


def test_quartiles_as_numpy_has_them():
    rng = np.random.default_rng(0)
    group, value = rng.integers(0, 9, 400), rng.lognormal(3, 1, 400)
    sizes, found = quartiles(group, value, 11)
    for each in range(9):
        assert found[:, each] == pytest.approx(np.quantile(value[group == each], [0.25, 0.5, 0.75]))
        assert sizes[each] == (group == each).sum()
    assert np.isnan(found[:, 9:]).all()


def test_what_was_not_measured_does_not_count():
    found = pace([0, 0, 0, 1], [10, np.nan, 30, np.nan], [100, 100, 0, 50])
    assert found.judgments.tolist() == [2, 0]
    assert found.read.tolist() == [1, 0]
    assert found.median[0] == 20
    assert found.per_100_words_median[0] == 10
    assert np.isnan([found.median[1], found.per_100_words_median[1]]).all()


def test_a_perfect_answer_is_one_bit_and_a_coin_none():
    matrices = np.array([[[1, 0], [0, 1]], [[0.5, 0.5], [0.5, 0.5]], [[0, 1], [1, 0]], [[0.8, 0.2], [0.2, 0.8]]])
    entropy = -(0.8 * np.log2(0.8) + 0.2 * np.log2(0.2))
    assert bits_per_label(matrices, [0.5, 0.5]) == pytest.approx([1, 0, 1, 1 - entropy])
    assert bits_per_label(np.eye(4), np.full(4, 0.25)) == pytest.approx(2)
    assert bits_per_label(np.eye(2), [1, 0]) == 0
    assert np.isnan(bits_per_label(np.full((2, 2), np.nan), [0.5, 0.5]))


def test_information_does_not_depend_on_the_names_of_classes():
    matrix, prior = np.random.default_rng(0).dirichlet(np.ones(3), 3), np.array([0.5, 0.3, 0.2])
    turned = [2, 0, 1]
    assert bits_per_label(matrix[turned][:, turned], prior[turned]) == pytest.approx(bits_per_label(matrix, prior))


def test_a_label_that_says_half_costs_twice():
    assert cost_per_bit(10, 100, [1, 0.5]) == pytest.approx([0.1, 0.2])
    assert cost_per_bit(10, 100, 0) == np.inf
    assert np.isnan(cost_per_bit(10, 100, np.nan))
    assert useful_labels(100, 0.4, [0.5, 0.5]) == pytest.approx(40)
    assert useful_labels(100, 2, np.full(4, 0.25)) == pytest.approx(100)
    assert cost_per_useful_label(10, 100, [1, 0.5], [0.5, 0.5]) == pytest.approx([0.1, 0.2])
    assert np.isnan(cost_per_useful_label(10, 100, 0.5, [1, 0]))
