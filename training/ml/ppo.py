"""Proximal policy optimisation against a reward model, as one readable loop.

The numbered steps follow "The N+ Implementation Details of RLHF with PPO" (arXiv:2403.17031; its details in brackets):
rollouts at a sampling temperature [detail 15], the score read on the end token, a penalty for a response without one
[18], KL per token against the reference [20], values that start as the reward model's score [17], GAE over the
response, whitened advantages [19], clipped policy and value losses, AdamW with epsilon 1e-5 and a linearly falling
learning rate [10], and where asked for an adaptive KL coefficient (arXiv:1909.08593, 2.2) and rewards scaled to unit
variance. Left out: reuse of rollouts across updates, several devices. `ppo_runs` is the run around it.

Everything random is a function of the seed and the update, so a run resumed from a checkpoint goes on bit for bit.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from training.configs import PPOConfig
from training.ml import CannotRun, rl
from training.ml.ppo_rewards import Judge, Prompt, Verdict
from training.ml.sampling import Interrupted, generate_tokens, never, readable, response_seed
from training.ml.sequences import Rollouts, lay_out, response_logits
from training.ml.shared_models import SharedModels


class LossNotFinite(CannotRun):
    """A loss or a gradient became infinite or no number; nothing after it could be learned."""


@dataclass(frozen=True)
class FirstPass:
    """The forward pass that learning begins with: the policy is then still the one that wrote, so it is done once."""

    rows: Tensor
    """int64 [b]: which rollouts."""
    logprobs: Tensor
    """[b, t], with what it takes to go backward."""


@dataclass(frozen=True)
class Written:
    """Responses that the policy wrote, and how far it has come from its reference; float tensors [B, T] unless said."""

    rollouts: Rollouts
    responses: list[list[int]]
    texts: list[str]
    finished: Tensor
    """bool [B]: False when the response was cut off."""
    logprobs: Tensor
    kl: Tensor
    entropy: Tensor
    states: Tensor | None
    """The policy's, [B, T, hidden], where the value head reads those."""
    first: FirstPass | None

    @property
    def mask(self) -> Tensor:
        return self.rollouts.response_mask


@dataclass(frozen=True)
class Experience:
    """A batch of rollouts and what was thought of them when they were made; float tensors [B, T] unless said."""

    rollouts: Rollouts
    texts: list[str]
    verdict: Verdict
    finished: Tensor
    """bool [B]: False when the response was cut off."""
    logprobs: Tensor
    kl: Tensor
    values: Tensor
    states: Tensor | None
    """What the value head reads, [B, T, hidden]; None where values have a pass of their own."""
    entropy: Tensor
    rewards: Tensor
    kl_coef: float
    """With which the rewards were made."""
    advantages: Tensor
    returns: Tensor
    first: FirstPass | None = None

    @property
    def mask(self) -> Tensor:
        return self.rollouts.response_mask


def prompt_order(count: int, batch_size: int, update: int, seed: int) -> list[int]:
    """Return which prompts update number `update` (from 1) takes: every prompt once before any comes again."""
    chosen: list[int] = []
    for place in range((update - 1) * batch_size, update * batch_size):
        epoch, offset = divmod(place, count)
        order = list(range(count))
        random.Random(f"{seed}:{epoch}").shuffle(order)
        chosen.append(order[offset])
    return chosen


def minibatches(count: int, config: PPOConfig, update: int) -> Iterator[Tensor]:
    """Yield the rows of each minibatch of an update, int64, epoch after epoch."""
    shuffle = torch.Generator().manual_seed(response_seed(config.seed, "minibatches", update))
    for _ in range(config.ppo_epochs):
        yield from torch.randperm(count, generator=shuffle).split(config.minibatch_size)


def pieces_of(rollouts: Rollouts, config: PPOConfig, first: Tensor | None = None) -> list[Tensor]:
    """Return the rows of each forward pass: `first`, then the others, of like length together."""
    order = rollouts.attention_mask.sum(1).argsort(stable=True).cpu()
    micro = config.minibatch_size // config.gradient_accumulation
    if first is None:
        return list(order.split(micro))
    return [first, *order[~torch.isin(order, first)].split(micro)] if len(first) < len(order) else [first]


@torch.no_grad()
def write(
    models: SharedModels,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    config: PPOConfig,
    occasion: str,
    interrupted: Callable[[], bool] = never,
    first: Tensor | None = None,
) -> Written:
    """Write a response to each prompt and measure the KL; the same `occasion` draws the same random numbers.

    `first` are the rows that learning will begin with, if it will; they can then go backward. Raises Interrupted when
    `interrupted` says so meanwhile.
    """
    # 1. Rollouts from the policy as it is now.
    models.use("policy")
    responses = generate_tokens(
        models.causal,
        tokenizer,
        [prompt.ids for prompt in prompts],
        [response_seed(config.seed, occasion, row) for row in range(len(prompts))],
        temperature=config.temperature,
        top_p=1.0,
        max_new_tokens=config.max_new_tokens,
        interrupted=interrupted,
    )
    device = models.value_head.weight.device
    rollouts = lay_out([prompt.ids for prompt in prompts], responses, tokenizer.pad_token_id, device)

    # 2. Log-probabilities under policy and reference.
    shape, width = rollouts.response_mask.shape, models.value_head.in_features
    logprobs, reference, entropy = (torch.zeros(shape, device=device) for _ in range(3))
    states = torch.zeros(*shape, width, device=device) if models.value_reads == "policy" else None
    begun: FirstPass | None = None
    for rows in pieces_of(rollouts, config, first):
        part = rollouts[rows]
        with torch.set_grad_enabled(rows is first):
            raw, read = models.policy_pass(part)
            logits = raw.float() / config.temperature  # as sampling saw them
            told = rl.logprobs_from_logits(logits, part.response_ids)
        if rows is first:
            begun = FirstPass(rows, told)
        length = told.shape[1]
        logprobs[rows, :length] = told.detach()
        entropy[rows, :length] = rl.entropy_from_logits(logits.detach())
        if states is not None and read is not None:
            states[rows, :length] = read.detach().float()
        del raw, logits, read
    models.use("reference")
    for rows in pieces_of(rollouts, config, first):
        part = rollouts[rows]
        logits = response_logits(models.causal, part).float() / config.temperature
        reference[rows, : logits.shape[1]] = rl.logprobs_from_logits(logits, part.response_ids)
    if interrupted():
        raise Interrupted
    return Written(
        rollouts=rollouts,
        responses=responses,
        texts=[readable(tokenizer, tokens) for tokens in responses],
        finished=torch.tensor([tokens[-1] == tokenizer.eos_token_id for tokens in responses], device=device),
        logprobs=logprobs,
        kl=rl.kl_per_token(logprobs, reference, rollouts.response_mask),
        entropy=entropy,
        states=states,
        first=begun,
    )


@torch.no_grad()
def gather_experience(
    judge: Judge,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    update: int,
    kl_coef: float,
    interrupted: Callable[[], bool] = never,
) -> Experience:
    """Steps 1 to 4 of an update: write responses, score them, and work out what they were worth.

    Raises Interrupted when `interrupted` says so while responses are being written or read.
    """
    models, config = judge.models, judge.config
    first = None
    if not config.gradient_checkpointing:
        first = next(minibatches(len(prompts), config, update)).chunk(config.gradient_accumulation)[0]
    written = write(models, tokenizer, prompts, config, f"update {update}", interrupted, first)
    mask = written.mask

    # 3. Rewards: minus the KL on every token, the score (less the penalties of a missing end and of length) on the
    #    last one.
    verdict = judge.verdict(prompts, written.responses, written.texts)
    states = written.states if verdict.states is None else verdict.states
    value = own_values(models, written.rollouts, config) if states is None else models.values_of(states)
    scores = verdict.scores.to(mask.device)
    penalties = judge.penalties(mask.sum(1), written.finished)
    rewards = rl.token_rewards(scores - penalties, written.kl, mask, kl_coef)
    if config.whiten_rewards:
        rewards = rl.scale_to_unit_variance(rewards, mask)

    # 4. Advantages by GAE, whitened over the whole batch so that minibatches cannot change them.
    advantages, returns = rl.generalized_advantages(rewards, value, mask, config.gamma, config.gae_lambda)
    return Experience(
        rollouts=written.rollouts,
        texts=written.texts,
        verdict=verdict,
        finished=written.finished,
        logprobs=written.logprobs,
        kl=written.kl,
        values=value,
        states=states,
        entropy=written.entropy,
        rewards=rewards,
        kl_coef=kl_coef,
        advantages=rl.whiten(advantages, mask),
        returns=returns,
        first=written.first,
    )


def own_values(models: SharedModels, rollouts: Rollouts, config: PPOConfig) -> Tensor:
    """Return the value before each response token, [B, T], of a value model that reads by itself."""
    found = torch.zeros(rollouts.response_mask.shape, device=rollouts.ids.device)
    for rows in pieces_of(rollouts, config):
        told = models.own_values(rollouts[rows])
        found[rows, : told.shape[1]] = told
    return found


def accumulate_gradients(
    models: SharedModels, experience: Experience, rows: Tensor, config: PPOConfig, first: FirstPass | None = None
) -> dict[str, float]:
    """Step 5: add the gradients of one minibatch; return its figures, each a mean over its response tokens.

    A minibatch is split into `gradient_accumulation` forward passes, of which the first may be done already. Each
    divides by the tokens of the whole minibatch, not by its own, so that the split does not change the sum. Values go
    backward after the policy: where they have an adapter of their own, only one of the two can be switched on.
    """
    tokens = int(experience.mask[rows].sum())
    sums = dict.fromkeys(("policy_loss", "value_loss", "ratio", "clip_fraction", "approx_kl"), 0.0)
    for micro in rows.chunk(config.gradient_accumulation):
        part = experience.rollouts[micro]
        mask, length = part.response_mask, part.response_mask.shape[1]
        old_logprobs, advantages, old_values, returns = (
            one[micro, :length]
            for one in (experience.logprobs, experience.advantages, experience.values, experience.returns)
        )

        models.use("policy")
        if first is not None and torch.equal(first.rows, micro):
            logprobs = first.logprobs
        else:
            logits = response_logits(models.causal, part).float() / config.temperature
            logprobs = rl.logprobs_from_logits(logits, part.response_ids)
        losses, ratio, clipped = rl.clipped_policy_loss(logprobs, old_logprobs, advantages, mask, config.clip_range)
        policy_loss = rl.masked_sum(losses, mask) / tokens
        policy_loss.backward()

        if experience.states is None:
            values = models.own_values(part)
        else:
            values = models.values_of(experience.states[micro, :length])
        losses = rl.clipped_value_loss(values, old_values, returns, mask, config.value_clip_range)
        value_loss = rl.masked_sum(losses, mask) / tokens
        (config.value_coef * value_loss).backward()

        with torch.no_grad():
            sums["policy_loss"] += policy_loss.item()
            sums["value_loss"] += value_loss.item()
            sums["ratio"] += rl.masked_sum(ratio, mask).item() / tokens
            sums["clip_fraction"] += rl.masked_sum(clipped.float(), mask).item() / tokens
            sums["approx_kl"] += rl.masked_sum(rl.approx_kl(logprobs, old_logprobs, mask), mask).item() / tokens
    return sums


def learn(
    models: SharedModels, optimizer: torch.optim.Optimizer, experience: Experience, config: PPOConfig, update: int
) -> dict[str, float]:
    """Steps 5 and 6: several passes over the rollouts in shuffled minibatches, one optimizer step for each.

    Raises LossNotFinite before it would spoil the weights.
    """
    models.train(config.gradient_checkpointing)  # it works in training mode alone; there is no dropout in either
    trained = list(models.trained().values())
    figures: list[dict[str, float]] = []
    for number, rows in enumerate(minibatches(len(experience.rollouts), config, update)):
        optimizer.zero_grad(set_to_none=True)
        row = accumulate_gradients(models, experience, rows, config, None if number else experience.first)
        # 6. One clipped AdamW step.
        row["grad_norm"] = float(torch.nn.utils.clip_grad_norm_(trained, config.max_grad_norm))
        refuse_infinite(row, update)
        optimizer.step()
        figures.append(row)
    models.eval()
    means = {name: sum(row[name] for row in figures) / len(figures) for name in figures[0]}
    return {
        **{name: means[name] for name in ("policy_loss", "value_loss", "clip_fraction", "approx_kl", "grad_norm")},
        "ratio_mean_first": figures[0]["ratio"],
        "clip_fraction_first": figures[0]["clip_fraction"],
    }


def refuse_infinite(figures: Mapping[str, float], update: int) -> None:
    for name in ("policy_loss", "value_loss", "grad_norm"):
        if not math.isfinite(figures[name]):
            raise LossNotFinite(
                f"{name} became {figures[name]} in update {update}; nothing after it could be learned. Lower the "
                "learning rate or the gradient clip, and run again."
            )


def describe(experience: Experience) -> dict[str, float]:
    """Return the figures of a batch of rollouts: means over rollouts, entropy over tokens, kl summed per rollout."""
    members = experience.verdict.members
    spread = {"score_spread": members.std(0, correction=0).mean().item()} if len(members) > 1 else {}
    return {
        "score_mean": experience.verdict.scores.mean().item(),
        **spread,
        "reward_mean": experience.rewards.sum(1).mean().item(),
        "kl": experience.kl.sum(1).mean().item(),
        "entropy": rl.masked_mean(experience.entropy, experience.mask).item(),
        "response_length": experience.mask.sum(1).float().mean().item(),
        "eos_fraction": experience.finished.float().mean().item(),
        "kl_coef": experience.kl_coef,
    }


def look_at_held_out(judge: Judge, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> dict[str, float]:
    """Return what the policy gets on prompts that it does not learn from, each a mean over them.

    The reward is the score less its penalties and less what the KL costs at the config's own coefficient, so that it
    is the same yardstick throughout. The same random numbers are drawn at every look.
    """
    config = judge.config
    scores, kl, costs = [], [], []
    for start in range(0, len(prompts), config.batch_size):
        batch = prompts[start : start + config.batch_size]
        written = write(judge.models, tokenizer, batch, config, f"held out {start}")
        scores.append(judge.verdict(batch, written.responses, written.texts).scores)
        kl.append(written.kl.sum(1).cpu())
        costs.append(judge.penalties(written.mask.sum(1), written.finished).cpu())
    score, distance = torch.cat(scores), torch.cat(kl)
    return {
        "held_out_score": score.mean().item(),
        "held_out_kl": distance.mean().item(),
        "held_out_reward": (score - torch.cat(costs) - config.kl_coef * distance).mean().item(),
    }
