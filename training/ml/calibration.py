"""How far a reward model's probabilities can be believed, on labels that it never saw.

sigmoid(margin / temperature) is the probability that people prefer the response that they did prefer. The temperature
is fitted where the labels are a fair sample of all tasks: on those that the queue drew at random (Guo et al.,
arXiv:1706.04599). An expected calibration error is never 0 on few labels, so what a perfectly calibrated model would
show on the same labels stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

RANDOM = "random"
"""The arm of a queue that draws any task, whatever its priority."""
FEWEST = 30
"""Labels below which no temperature is fitted, and the random slice is too small to be used by itself."""
BINS = 10
DRAWS = 200
WIDEST = 1000.0
"""A temperature lies between its inverse and this."""


def fit_temperature(margins: Tensor) -> float:
    """Return the temperature under which the labels are likeliest; `margins` [n] are chosen less rejected.

    As if one label more were right and one more wrong (Platt 1999), or a model that is always right would be believed
    without limit.
    """
    assert margins.dim() == 1 and len(margins), f"margins must be [n], not {tuple(margins.shape)}"  # noqa: PT018
    margins = margins.double()
    right = (len(margins) + 1) / (len(margins) + 2)
    low, high = -math.log(WIDEST), math.log(WIDEST)
    for _ in range(60):  # the slope of the loss over the scale 1 / temperature grows all along
        middle = (low + high) / 2
        slope = (margins * (torch.sigmoid(margins * math.exp(middle)) - right)).sum()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return math.exp(-(low + high) / 2)


def log_loss(margins: Tensor, temperature: float) -> float:
    """Return the mean of -log sigmoid(margin / temperature); ln 2 is what a coin has."""
    return float(-logsigmoid(margins.double() / temperature).mean())


def crossed_log_loss(margins: Tensor) -> float:
    """Return the log loss of a temperature that is fitted on one half of the labels and measured on the other."""
    first, second = margins[::2], margins[1::2]
    one, other = log_loss(second, fit_temperature(first)), log_loss(first, fit_temperature(second))
    return (one * len(second) + other * len(first)) / len(margins)


def calibration_error(confidence: Tensor, right: Tensor, bins: int = BINS) -> float:
    """Return the expected calibration error: |share right - mean confidence| of each bin, weighed by its labels.

    `confidence` [n] lies in [0.5, 1]: the probability of the response that the model prefers; `right` [n] is bool.
    """
    place = ((confidence - 0.5) * 2 * bins).long().clamp(0, bins - 1)
    off = torch.zeros(bins, dtype=torch.float64).index_add_(0, place, right.double() - confidence.double())
    return float(off.abs().sum() / len(confidence))


def perfect_error(confidence: Tensor, draws: int = DRAWS) -> float:
    """Return the mean calibration error of a perfectly calibrated model with these confidences; the same each time."""
    generator = torch.Generator().manual_seed(0)
    chance = torch.rand(draws, len(confidence), generator=generator)
    return sum(calibration_error(confidence, one < confidence) for one in chance) / draws


def calibration(margins: Tensor, arms: Sequence[str]) -> tuple[float, dict[str, Any]]:
    """Return (temperature, figures), fitted on the random slice; on all labels where that slice is too small.

    `arms` say for each margin why the queue gave out the task. With fewer than FEWEST labels the temperature is 1 and
    there are no figures.
    """
    drawn = torch.tensor([arm == RANDOM for arm in arms], dtype=torch.bool)
    is_random = int(drawn.sum()) >= FEWEST
    used = margins[drawn] if is_random else margins
    if len(used) < FEWEST:
        return 1.0, {}
    temperature = fit_temperature(used)
    confidence = torch.sigmoid(used.abs() / temperature)
    return temperature, {
        "n": len(used),
        "slice": RANDOM if is_random else "all",
        "temperature": temperature,
        "log_loss_before": log_loss(used, 1.0),
        "log_loss": crossed_log_loss(used),
        "error": calibration_error(confidence, used > 0),
        "error_if_perfect": perfect_error(confidence),
    }
