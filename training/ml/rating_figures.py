"""How well attribute heads foretell what people rate, on ratings that the model never saw.

Ratings lie on their scale from 0, its lower end, to 1; the sigmoid of a head's score is where it expects them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from training.ml.intervals import Z_95
from training.ml.reward_models import Scorer
from training.ml.reward_rows import RewardRow

FEWEST = 10
"""Ratings below which no order is told."""


def measure_ratings(scorer: Scorer, rows: Sequence[RewardRow], batch_size: int) -> list[dict[str, Any]]:
    """Return {"attribute", ...} of every attribute head for which there are ratings, as `rating_figures` has them."""
    heads = scorer.card.heads
    if len(heads) < 2 or not rows:
        return []
    expected = scorer.all_scores([row.sequences[0] for row in rows], batch_size).sigmoid().mean(0)
    found = []
    for head, attribute in enumerate(heads[1:], start=1):
        at = [place for place, row in enumerate(rows) if attribute in row.ratings]
        if at:
            given = torch.tensor([rows[place].ratings[attribute] for place in at], dtype=torch.float64)
            found.append({"attribute": attribute, **rating_figures(expected[head, at].double(), given)})
    return found


def rating_figures(expected: Tensor, given: Tensor) -> dict[str, Any]:
    """Return {"n", "error", "error_of_one", "order", "low", "high"} of ratings [n] and where they were expected.

    `error` is the mean distance, a share of the scale; `error_of_one` that of whoever always says the median, and knows
    it. `order` is Spearman's rank correlation with its interval (Bonett and Wright 2000), None for few ratings or for
    ratings that are all alike.
    """
    n = len(given)
    order = rank_correlation(expected, given) if n >= FEWEST else None
    low, high = None, None
    if order is not None:
        middle = math.atanh(max(-0.9999, min(0.9999, order)))
        half = Z_95 * math.sqrt((1 + order**2 / 2) / (n - 3))
        low, high = math.tanh(middle - half), math.tanh(middle + half)
    return {
        "n": n,
        "error": float((expected - given).abs().mean()),
        "error_of_one": float((given - given.median()).abs().mean()),
        "order": order,
        "low": low,
        "high": high,
    }


def rank_correlation(one: Tensor, other: Tensor) -> float | None:
    """Return Spearman's correlation of two columns, equal values on the mean of their ranks; None where one is flat."""
    ranks = torch.stack([mean_ranks(one), mean_ranks(other)])
    ranks = ranks - ranks.mean(1, keepdim=True)
    spread = ranks.norm(dim=1)
    if not bool((spread > 0).all()):
        return None
    return float((ranks[0] * ranks[1]).sum() / (spread[0] * spread[1]))


def mean_ranks(values: Tensor) -> Tensor:
    """Return each value's rank from 1, float64 [n]; equal values share the mean of theirs."""
    _, group, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0)
    return (last - (counts - 1) / 2).double()[group]
