"""Losses on preferences and thumbs, from log-probabilities alone: pure functions, [B] in and [B] out.

`beta` is in nats; every log-probability is summed over a response's tokens, its end token included. The first values,
where policy and reference are one model, are known by hand and tested; each loss is tested against TRL's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from training.configs import DPOConfig, KTOConfig

WITHOUT_REFERENCE = ("simpo", "orpo")


@dataclass(frozen=True)
class PairLogprobs:
    """What policy and reference say of B pairs; float32 [B] each."""

    chosen: Tensor
    rejected: Tensor
    chosen_tokens: Tensor
    rejected_tokens: Tensor
    reference_chosen: Tensor
    """Zero for a loss without a reference, and so for the next."""
    reference_rejected: Tensor

    @property
    def chosen_ratio(self) -> Tensor:
        return self.chosen - self.reference_chosen

    @property
    def rejected_ratio(self) -> Tensor:
        return self.rejected - self.reference_rejected


def implied_rewards(pairs: PairLogprobs, config: DPOConfig) -> tuple[Tensor, Tensor]:
    """Return the rewards that the loss takes the policy's log-probabilities for, (chosen, rejected), [B] each."""
    if config.loss in WITHOUT_REFERENCE:  # per token
        return (
            config.beta * pairs.chosen / pairs.chosen_tokens,
            config.beta * pairs.rejected / pairs.rejected_tokens,
        )
    return config.beta * pairs.chosen_ratio, config.beta * pairs.rejected_ratio


def pair_losses(pairs: PairLogprobs, config: DPOConfig) -> Tensor:
    """Return the loss of each pair, [B]."""
    chosen, rejected = implied_rewards(pairs, config)
    gap, noise = chosen - rejected, config.label_noise
    match config.loss:
        case "sigmoid":  # arXiv:2305.18290; with noise, cDPO (E. Mitchell, 2023)
            return -(1 - noise) * logsigmoid(gap) - noise * logsigmoid(-gap)
        case "robust":  # arXiv:2403.00409, eq. 12
            return (-(1 - noise) * logsigmoid(gap) + noise * logsigmoid(-gap)) / (1 - 2 * noise)
        case "ipo":  # arXiv:2310.12036, eq. 17, per token as its authors did it
            per_token = pairs.chosen_ratio / pairs.chosen_tokens - pairs.rejected_ratio / pairs.rejected_tokens
            return (per_token - 1 / (2 * config.beta)) ** 2
        case "hinge":  # arXiv:2305.10425
            return torch.relu(1 - gap)
        case "exo_pair":  # arXiv:2402.00856, eq. 16
            better, worse = logsigmoid(gap), logsigmoid(-gap)
            return better.exp() * (better - math.log1p(-noise)) + worse.exp() * (worse - math.log(noise))
        case "nca_pair":  # arXiv:2402.05369, with both responses as their own contrast
            return -logsigmoid(chosen) - 0.5 * logsigmoid(-chosen) - 0.5 * logsigmoid(-rejected)
        case "apo_zero":  # arXiv:2408.06266, eq. 7
            return torch.sigmoid(-chosen) + torch.sigmoid(rejected)
        case "apo_down":  # eq. 8
            return torch.sigmoid(chosen) + torch.sigmoid(-gap)
        case "simpo":  # arXiv:2405.14734, eq. 6
            return -logsigmoid(gap - config.simpo_gamma)
        case "orpo":  # arXiv:2403.07691, eq. 6 and 7, with the likelihood of the response's tokens alone
            chosen_mean, rejected_mean = chosen / config.beta, rejected / config.beta
            odds = log_odds(chosen_mean) - log_odds(rejected_mean)
            return -chosen_mean - config.beta * logsigmoid(odds)
        case _:
            raise ValueError(f"{config.loss!r} is no loss on pairs")


def log_odds(logprob: Tensor) -> Tensor:
    """Return log(p / (1 - p)) of log p < 0."""
    return logprob - torch.log(-torch.expm1(logprob.clamp(max=-1e-7)))


def thumb_losses(ratio: Tensor, is_up: Tensor, kl: Tensor, beta: float, up_weight: float, down_weight: float) -> Tensor:
    """Return KTO's loss of each response, [B] (arXiv:2402.01306, eq. 8).

    `ratio` is log p(response) over the reference's; `is_up` bool [B]; `kl` >= 0, a number in nats, carries no gradient.
    """
    gap = torch.where(is_up, ratio - kl, kl - ratio)
    weight = torch.where(is_up, up_weight, down_weight)
    return weight * (1 - torch.sigmoid(beta * gap))


def thumb_weights(up: int, down: int, config: KTOConfig) -> tuple[float, float]:
    """Return the weights of thumbs up and down; balanced, the rarer one is weighed up until both sides count alike."""
    up_weight, down_weight = config.desirable_weight, config.undesirable_weight
    if config.balance and up and down:
        if up < down:
            up_weight *= down / up
        else:
            down_weight *= up / down
    return up_weight, down_weight
