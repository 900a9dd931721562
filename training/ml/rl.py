"""Reinforcement learning as pure tensor functions: no model, no state, no device.

Everywhere: B = rollouts, T = response tokens, V = vocabulary. A `mask` is boolean [B, T], True on response tokens that
count (the end token counts, padding does not). Whatever lies under a False may be anything, infinities included: it is
replaced before it is used, never multiplied by zero. Formulas: PPO arXiv:1707.06347, GAE arXiv:1506.02438, and the N+
implementation details arXiv:2403.17031.
"""

from __future__ import annotations

import torch
from torch import Tensor


def check_mask(mask: Tensor, *values: Tensor) -> None:
    """Assert that `mask` is boolean [B, T] and every one of `values` is floating point of its shape."""
    assert mask.dtype == torch.bool, f"mask must be bool, not {mask.dtype}"
    assert mask.dim() == 2, f"mask must be [B, T], not {tuple(mask.shape)}"
    for value in values:
        assert value.shape == mask.shape, f"expected {tuple(mask.shape)}, not {tuple(value.shape)}"
        assert value.is_floating_point(), f"expected a floating point tensor, not {value.dtype}"


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum `values` [B, T] where `mask` is True; a scalar."""
    check_mask(mask, values)
    return torch.where(mask, values, 0.0).sum()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Average `values` [B, T] where `mask` is True; a scalar. Refuses an empty mask."""
    check_mask(mask, values)
    assert bool(mask.any()), "the mean over no token is not defined"
    return masked_sum(values, mask) / mask.sum()


def aggregate(scores: Tensor, how: str, penalty: float) -> Tensor:
    """Return one score for each rollout, [B], from an ensemble's, [members, B].

    mean: of the members. worst: of the least pleased. variance: the mean less `penalty` times the members' variance
    (arXiv:2310.02743, 3.2; divided by their number). One member alone says the same in every way.
    """
    assert scores.dim() == 2, f"scores must be [members, B], not {tuple(scores.shape)}"
    assert len(scores), "an ensemble without a member has no score"
    match how:
        case "mean":
            return scores.mean(0)
        case "worst":
            return scores.amin(0)
        case "variance":
            return scores.mean(0) - penalty * scores.var(0, correction=0)
        case _:
            raise ValueError(f"{how!r} is not one of mean, worst, variance")


def whiten(values: Tensor, mask: Tensor, epsilon: float = 1e-8) -> Tensor:
    """Shift and scale `values` [B, T] to mean 0 and variance 1 over the True of `mask`; 0 under False.

    The variance is the unbiased one; a single token is only shifted.
    """
    check_mask(mask, values)
    mean = masked_mean(values, mask)
    centred = torch.where(mask, values - mean, 0.0)
    count = mask.sum()
    if count < 2:
        return centred
    variance = centred.pow(2).sum() / (count - 1)
    return centred * torch.rsqrt(variance + epsilon)


def scale_to_unit_variance(values: Tensor, mask: Tensor, epsilon: float = 1e-8) -> Tensor:
    """Scale `values` [B, T] to variance 1 over the True of `mask` and keep their mean; 0 under False.

    A single value has no variance and stays as it is.
    """
    check_mask(mask, values)
    kept = values[mask]
    if kept.numel() < 2:
        return torch.where(mask, values, 0.0)
    mean, variance = kept.mean(), kept.var(correction=0)
    return torch.where(mask, (values - mean) * torch.rsqrt(variance + epsilon) + mean, 0.0)


def adapted_kl_coef(kl_coef: float, kl: float, target: float, rollouts: int, horizon: int) -> float:
    """Return the KL coefficient after `rollouts` more, whose mean KL was `kl` nats (arXiv:1909.08593, 2.2).

    It grows by at most a fifth of `rollouts / horizon` of itself where the KL is above `target`, and shrinks likewise.
    `horizon` is at least `rollouts`, or the coefficient could turn negative.
    """
    assert horizon >= rollouts, f"a horizon of {horizon} rollouts is shorter than one update of {rollouts}"
    error = min(max((kl - target) / target, -0.2), 0.2)
    return kl_coef * (1 + error * rollouts / horizon)


def logprobs_from_logits(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return log p(tokens) as float32 [B, T] from `logits` [B, T, V] and token ids [B, T].

    `logits[:, t]` must be the prediction of `tokens[:, t]`: the caller shifts.
    """
    assert logits.dim() == 3, f"logits must be [B, T, V], not {tuple(logits.shape)}"
    assert tokens.shape == logits.shape[:2], f"tokens {tuple(tokens.shape)} do not fit logits {tuple(logits.shape)}"
    assert tokens.dtype == torch.long, f"token ids must be int64, not {tokens.dtype}"
    logits = logits.float()
    chosen = logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return chosen - logits.logsumexp(-1)


def entropy_from_logits(logits: Tensor) -> Tensor:
    """Return the entropy in nats of every next-token distribution: [B, T, V] to float32 [B, T]."""
    assert logits.dim() == 3, f"logits must be [B, T, V], not {tuple(logits.shape)}"
    logits = logits.float()
    total = logits.logsumexp(-1)
    return total - (logits.softmax(-1) * logits).sum(-1)


def kl_per_token(logprobs: Tensor, reference_logprobs: Tensor, mask: Tensor) -> Tensor:
    """Return log p(token) - log p_ref(token), [B, T], 0 under False: the k1 estimate; its sum estimates the KL."""
    check_mask(mask, logprobs, reference_logprobs)
    return torch.where(mask, logprobs - reference_logprobs, 0.0)


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, kl_coef: float) -> Tensor:
    """Return the reward of every token, [B, T]: -kl_coef * kl, plus the score [B] on the last True of each row.

    Every row of `mask` needs a True.
    """
    check_mask(mask, kl)
    assert scores.shape == mask.shape[:1], f"scores {tuple(scores.shape)} do not fit {mask.shape[0]} rollouts"
    assert bool(mask.any(dim=1).all()), "a rollout without a response token cannot carry a score"
    rewards = torch.where(mask, -kl_coef * kl, 0.0)
    places = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    last = torch.where(mask, places, -1).amax(dim=1)
    rewards[torch.arange(len(scores), device=mask.device), last] += scores.to(rewards.dtype)
    return rewards


def generalized_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Return (advantages, returns), both [B, T], 0 under False.

    `values[:, t]` is the value before token t; after the last True the episode is over and worth 0. The Trues of a row
    must be its first tokens (right padding). returns = advantages + values.
    """
    check_mask(mask, rewards, values)
    assert not bool((mask[:, 1:] & ~mask[:, :-1]).any()), "response masks must be right-padded"
    rewards = torch.where(mask, rewards, 0.0)
    values = torch.where(mask, values, 0.0)
    advantages = torch.zeros_like(rewards)
    next_value = torch.zeros_like(rewards[:, 0])
    running = torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        running = torch.where(mask[:, t], delta + gamma * lam * running, 0.0)
        advantages[:, t] = running
        next_value = values[:, t]
    return advantages, torch.where(mask, advantages + values, 0.0)


def clipped_policy_loss(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor, clip_range: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (loss, ratio, clipped), each [B, T] per token; 0, 1 and False where `mask` is False.

    loss = max(-A r, -A clip(r, 1 - c, 1 + c)); `clipped` is True where the clip took hold.
    """
    check_mask(mask, logprobs, old_logprobs, advantages)
    ratio = torch.where(mask, logprobs - old_logprobs, 0.0).exp()
    advantages = torch.where(mask, advantages, 0.0)
    free = -advantages * ratio
    held = -advantages * ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    return torch.maximum(free, held), ratio, (held > free) & mask


def clipped_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip_range: float) -> Tensor:
    """Return 0.5 * max((v - R)^2, (clip(v, old - c, old + c) - R)^2) per token, [B, T]; 0 where `mask` is False."""
    check_mask(mask, values, old_values, returns)
    values = torch.where(mask, values, 0.0)
    old_values = torch.where(mask, old_values, 0.0)
    returns = torch.where(mask, returns, 0.0)
    held = old_values + (values - old_values).clamp(-clip_range, clip_range)
    return 0.5 * torch.maximum((values - returns).pow(2), (held - returns).pow(2))


def approx_kl(logprobs: Tensor, old_logprobs: Tensor, mask: Tensor) -> Tensor:
    """Return the k2 estimate 0.5 (log r)^2 of the KL between old and new policy, per token [B, T]; 0 under False."""
    check_mask(mask, logprobs, old_logprobs)
    return 0.5 * torch.where(mask, logprobs - old_logprobs, 0.0).pow(2)
