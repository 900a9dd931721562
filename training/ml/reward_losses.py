"""What a reward model is trained on, as pure tensor functions: pairs, ties, rankings, ratings.

Everywhere the leading dimensions [...] are free (members of an ensemble, rows); what people said of one answer is one
row, and every function returns one loss for each row, [...]. Sources: Bradley and Terry 1952; margin arXiv:2307.09288,
3.2.2; ties Davidson 1970; rankings Plackett 1975 and Luce 1959, tied places by Efron 1977 (the partial likelihood of
the proportional hazards model is that of Plackett-Luce); centring arXiv:2312.09244.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid


def tie_prevalence(ties: int, decided: int) -> float:
    """Return Davidson's nu that the share of ties would have if all responses were equally good.

    P(tie) = nu / (2 + nu) at a gap of 0. Without ties it is 0, and Davidson's model is Bradley and Terry's.
    """
    assert decided > 0, "where all were tied nobody preferred anything"
    return 2 * ties / decided


def pair_losses(gap: Tensor, margin: Tensor, nu: float = 0.0) -> Tensor:
    """Return -log P(chosen wins), where `gap` = reward of chosen - reward of rejected, which is to exceed `margin`."""
    if not nu:
        return -logsigmoid(gap - margin)
    return log_total(gap - margin, nu) - (gap - margin) / 2


def tie_losses(gap: Tensor, nu: float) -> Tensor:
    """Return -log P(tie) of two responses whose rewards lie `gap` apart; needs a `nu` above 0."""
    assert nu > 0, "where nu is 0 no tie is possible"
    return log_total(gap, nu) - math.log(nu)


def log_total(gap: Tensor, nu: float) -> Tensor:
    """Return log(exp(gap / 2) + exp(-gap / 2) + nu)."""
    return torch.stack([gap / 2, -gap / 2, torch.full_like(gap, math.log(nu))]).logsumexp(0)


def ranking_losses(scores: Tensor, ranks: Tensor, *, use_ties: bool) -> Tensor:
    """Return -log P(ranking) for each choice in it, [...], of K responses' scores, [..., K].

    `ranks` is int64 [..., K]: 1 = best, equal = tied, 0 = not there. A ranking of K responses is K - 1 choices of the
    best among what is left, and counts as one answer. Tied responses are equally good where `use_ties`; else they are
    not compared with each other.
    """
    assert scores.shape == ranks.shape, f"scores {tuple(scores.shape)} do not fit ranks {tuple(ranks.shape)}"
    assert ranks.dtype == torch.long, f"ranks must be int64, not {ranks.dtype}"
    there = ranks > 0
    mine, others = ranks.unsqueeze(-1), ranks.unsqueeze(-2)
    tied = (mine == others) & there.unsqueeze(-1)
    itself = torch.eye(ranks.shape[-1], dtype=torch.bool, device=ranks.device)
    below = (others > mine) & there.unsqueeze(-1)
    if use_ties:
        # Of t tied responses the l-th (from 0) is chosen where l of the t are gone, nobody knows which.
        before = (tied & itself.logical_not() & torch.ones_like(itself).tril()).sum(-1, keepdim=True)
        left = 1 - before / tied.sum(-1, keepdim=True).clamp(min=1)
        weight = below + tied * left
        choices = (there.sum(-1) - 1).clamp(min=1)
    else:
        weight = below + (itself & there.unsqueeze(-1)).float()
        choices = below.any(-1).sum(-1).clamp(min=1)
    weight = torch.where(there.unsqueeze(-1), weight, 1.0)  # rows that are not there count nothing, but stay finite
    scores = torch.where(there, scores, 0.0)
    lost = (scores.unsqueeze(-2) + weight.log()).logsumexp(-1) - scores
    return torch.where(there, lost, 0.0).sum(-1) / choices


def rating_losses(logits: Tensor, places: Tensor) -> Tensor:
    """Return the cross-entropy of each response's ratings, a mean over those it has; [..., A] to [...].

    `places` are where the ratings lie on their scales, 0 = its lower end, 1 = its upper; NaN where nobody rated. The
    sigmoid of a head's score is the expected place; for a thumb it is the probability of a thumb up.
    """
    assert logits.shape == places.shape, f"logits {tuple(logits.shape)} do not fit places {tuple(places.shape)}"
    given = ~places.isnan()
    each = binary_cross_entropy_with_logits(logits, places.nan_to_num(0.0), reduction="none")
    return torch.where(given, each, 0.0).sum(-1) / given.sum(-1).clamp(min=1)


def off_centre(scores: Tensor, there: Tensor) -> Tensor:
    """Return the square of twice the mean of each row's scores, [..., K] to [...]; of a pair that is (a + b)^2."""
    mean = torch.where(there, scores, 0.0).sum(-1) / there.sum(-1).clamp(min=1)
    return (2 * mean).pow(2)
