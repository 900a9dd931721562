"""How far a reward model's probabilities can be believed."""

from __future__ import annotations

import math

import pytest
import torch

from training.ml.calibration import (
    FEWEST,
    calibration,
    calibration_error,
    crossed_log_loss,
    fit_temperature,
    log_loss,
    perfect_error,
)

pytestmark = pytest.mark.torch


def labels(temperature: float, count: int = 20_000) -> torch.Tensor:
    """Margins whose labels are drawn with probability sigmoid(margin / temperature)."""
    generator = torch.Generator().manual_seed(3)
    gaps = 3 * torch.randn(count, generator=generator, dtype=torch.float64)
    right = torch.rand(count, generator=generator) < torch.sigmoid(gaps.abs() / temperature)
    return torch.where(right, gaps.abs(), -gaps.abs())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_temperature_that_the_labels_were_drawn_with_is_found(temperature):
    assert fit_temperature(labels(temperature)) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_makes_the_labels_likelier():
    margins = labels(2.0)
    best = fit_temperature(margins)
    assert log_loss(margins, best) < min(log_loss(margins, 0.9 * best), log_loss(margins, 1.1 * best))


def test_a_model_that_is_always_right_is_not_believed_without_limit():
    """With n right labels at one margin m, sigmoid(m / temperature) = (n + 1) / (n + 2)."""
    temperature = fit_temperature(torch.full((98,), 5.0))
    assert 1 / (1 + math.exp(-5 / temperature)) == pytest.approx(0.99)


def test_a_model_that_is_worse_than_a_coin_is_taken_for_a_coin():
    temperature = fit_temperature(torch.tensor([-1.0, -2.0, 0.5, -1.0] * 20))
    assert temperature == pytest.approx(1000, rel=1e-3)


def test_a_coin_s_log_loss_is_ln_2():
    assert log_loss(torch.zeros(4), 1.0) == pytest.approx(math.log(2))


def test_the_crossed_log_loss_never_measures_what_was_fitted():
    """Halves that contradict each other: each half's own temperature is the other's worst."""
    margins = torch.tensor([3.0, -3.0] * 50)
    assert crossed_log_loss(margins) > math.log(2)


def test_the_calibration_error_is_what_is_worked_out_by_hand():
    """Five at 0.95, of which 3 are right, and five at 0.65, of which 4 are: (0.35 + 0.15) / 2."""
    confidence = torch.tensor([0.95] * 5 + [0.65] * 5)
    right = torch.tensor([True] * 3 + [False] * 2 + [True] * 4 + [False])
    assert calibration_error(confidence, right) == pytest.approx(0.25)


def test_few_labels_show_an_error_where_there_is_none():
    generator = torch.Generator().manual_seed(5)
    confidence = 0.5 + torch.rand(2000, generator=generator) / 2
    few, many = perfect_error(confidence[:100]), perfect_error(confidence)
    assert few > 3 * many > 0
    assert perfect_error(confidence[:100]) == few


def test_the_random_slice_says_the_temperature_where_it_is_large_enough():
    fair, chosen = labels(1.0, 200), labels(8.0, 200)
    margins, arms = torch.cat([fair, chosen]), ["random"] * 200 + ["priority"] * 200
    temperature, figures = calibration(margins, arms)
    assert temperature == fit_temperature(fair)
    assert (figures["slice"], figures["n"]) == ("random", 200)
    _, all_of_them = calibration(margins[190:], arms[190:])
    assert (all_of_them["slice"], all_of_them["n"]) == ("all", 210)


def test_too_few_labels_give_no_temperature():
    assert calibration(labels(1.0, FEWEST - 1), ["random"] * (FEWEST - 1)) == (1.0, {})
