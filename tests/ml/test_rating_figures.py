"""Figures of attribute heads, worked out by hand."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from training.ml.rating_figures import mean_ranks, rank_correlation, rating_figures  # noqa: E402

pytestmark = pytest.mark.torch


def column(*values: float):
    return torch.tensor(values, dtype=torch.float64)


def test_equal_values_share_the_mean_of_their_ranks():
    assert mean_ranks(column(0.5, 0.1, 0.5, 0.9, 0.5)).tolist() == [3.0, 1.0, 3.0, 5.0, 3.0]


def test_the_rank_correlation_is_spearman_s():
    assert rank_correlation(column(1, 2, 3, 4), column(10, 20, 30, 400)) == pytest.approx(1.0)
    assert rank_correlation(column(1, 2, 3, 4), column(4, 3, 2, 1)) == pytest.approx(-1.0)
    # Ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15)
    assert rank_correlation(column(1, 2, 3, 4), column(2, 1, 4, 3)) == pytest.approx(0.6)
    # Ranks 1 2.5 2.5 4 against 1 2 3 4: deviations -1.5 0 0 1.5 and -1.5 -0.5 0.5 1.5
    assert rank_correlation(column(1, 2, 2, 3), column(1, 2, 3, 4)) == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert rank_correlation(column(1, 1, 1), column(1, 2, 3)) is None


def test_the_error_is_a_share_of_the_scale_beside_that_of_always_the_median():
    figures = rating_figures(column(0.25, 0.5, 0.75, 0.75), column(0.0, 0.5, 1.0, 0.5))
    assert figures["error"] == pytest.approx((0.25 + 0 + 0.25 + 0.25) / 4)
    assert figures["error_of_one"] == pytest.approx((0.5 + 0 + 0.5 + 0) / 4)
    assert (figures["n"], figures["order"], figures["low"]) == (4, None, None)  # too few for an order


def test_the_interval_of_the_order_is_bonett_and_wright_s():
    expected = torch.arange(12, dtype=torch.float64)
    given = expected.clone()
    given[[0, 1]] = given[[1, 0]]
    figures = rating_figures(expected, given)
    order = 1 - 6 * 2 / (12 * 143)
    assert figures["order"] == pytest.approx(order)
    half = 1.959963984540054 * math.sqrt((1 + order**2 / 2) / 9)
    assert figures["low"] == pytest.approx(math.tanh(math.atanh(order) - half))
    assert figures["high"] == pytest.approx(math.tanh(math.atanh(order) + half))
