"""Proximal policy optimisation against a reward model, as one readable loop.

The numbered steps follow "The N+ Implementation Details of RLHF with PPO" (arXiv:2403.17031; its details in brackets):
rollouts at a sampling temperature [detail 15], the score read on the end token, a penalty for a response without one
[18], KL per token against the reference [20], a value model that starts as the reward model [17], GAE over the
response, whitened advantages [19], clipped policy and value losses, AdamW with epsilon 1e-5 and a linearly falling
learning rate [10], and where asked for an adaptive KL coefficient (arXiv:1909.08593, 2.2) and rewards scaled to unit
variance. Left out: reuse of rollouts across updates, several devices.

Everything random is a function of the seed and the update, so a run resumed from a checkpoint goes on bit for bit.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from feedback.contract import TRAIN, PromptRow
from training.configs import PPOConfig
from training.ml import rl
from training.ml.chat import prompt_ids, refuse_too_long, template_digest
from training.ml.models import check_source, load_tokenizer, pick_device, publish_model
from training.ml.ppo_checkpoints import resume, save_checkpoint
from training.ml.sampling import (
    Interrupted,
    NoPrompts,
    generate_tokens,
    never,
    read_prompts,
    readable,
    response_seed,
)
from training.ml.sequences import Rollouts, lay_out, response_logits, response_states, sequence_scores
from training.ml.shared_models import SharedModels
from training.rundir import Outcome, RunDirectory, RunSpec, append_line, keep_lines, read_lines

PREVIEWS = 2
"""Rollouts of each update that are kept for people to read."""


@dataclass(frozen=True)
class Experience:
    """A batch of rollouts and what was thought of them when they were made; float tensors [B, T] unless said."""

    rollouts: Rollouts
    texts: list[str]
    scores: Tensor
    """[B]: what the reward model says."""
    finished: Tensor
    """bool [B]: False when the response was cut off."""
    logprobs: Tensor
    kl: Tensor
    values: Tensor
    entropy: Tensor
    rewards: Tensor
    kl_coef: float
    """With which the rewards were made."""
    advantages: Tensor
    returns: Tensor

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


def policy_logits(models: SharedModels, rollouts: Rollouts, temperature: float) -> Tensor:
    """Return the current model's logits [B, T, V] as sampling saw them: divided by the temperature."""
    return response_logits(models.causal, rollouts) / temperature


@torch.no_grad()
def gather_experience(
    models: SharedModels,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    config: PPOConfig,
    update: int,
    kl_coef: float,
    interrupted: Callable[[], bool] = never,
) -> Experience:
    """Steps 1 to 4 of an update: write responses, score them, and work out what they were worth.

    Raises Interrupted when `interrupted` says so while responses are being written or read.
    """
    device = models.value_head.weight.device
    pad_id, end_id = tokenizer.pad_token_id, tokenizer.eos_token_id
    micro = config.minibatch_size // config.gradient_accumulation

    # 1. Rollouts from the policy as it is now.
    models.use("policy")
    seeds = [response_seed(config.seed, f"update {update}", row) for row in range(len(prompts))]
    responses = generate_tokens(
        models.causal,
        tokenizer,
        prompts,
        seeds,
        temperature=config.temperature,
        top_p=1.0,
        max_new_tokens=config.max_new_tokens,
        interrupted=interrupted,
    )
    rollouts = lay_out(prompts, responses, pad_id, device)
    finished = torch.tensor([tokens[-1] == end_id for tokens in responses], device=device)
    pieces = [slice(start, start + micro) for start in range(0, len(rollouts), micro)]

    # 2. Log-probabilities under policy and reference, values, and scores. A response that was cut off is closed with
    #    the end token before it is scored, as in the reward model's training data.
    logprobs, entropy, reference, values = [], [], [], []
    for piece in pieces:
        part = rollouts[piece]
        logits = policy_logits(models, part, config.temperature)
        logprobs.append(rl.logprobs_from_logits(logits, part.response_ids))
        entropy.append(rl.entropy_from_logits(logits))
    models.use("reference")
    for piece in pieces:
        part = rollouts[piece]
        logits = policy_logits(models, part, config.temperature)
        reference.append(rl.logprobs_from_logits(logits, part.response_ids))
    if interrupted():
        raise Interrupted
    models.use("value")
    for piece in pieces:
        values.append(models.value_head(response_states(models.trunk, rollouts[piece])).squeeze(-1))
    models.use("reward")
    closed = [
        [*prompt, *response, *([] if response[-1] == end_id else [end_id])]
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    scores = torch.tensor(sequence_scores(models.trunk, models.score_head, closed, pad_id, micro), device=device)

    # 3. Rewards: minus the KL on every token, the score (less the penalties of a missing end and of length) on the
    #    last one.
    mask = rollouts.response_mask
    old = torch.cat(logprobs)
    kl = rl.kl_per_token(old, torch.cat(reference), mask)
    penalties = config.missing_eos_penalty * (~finished).float() + config.length_penalty * mask.sum(1) / 100
    rewards = rl.token_rewards(scores - penalties, kl, mask, kl_coef)
    if config.whiten_rewards:
        rewards = rl.scale_to_unit_variance(rewards, mask)

    # 4. Advantages by GAE, whitened over the whole batch so that minibatches cannot change them.
    value = torch.cat(values)
    advantages, returns = rl.generalized_advantages(rewards, value, mask, config.gamma, config.gae_lambda)
    return Experience(
        rollouts=rollouts,
        texts=[readable(tokenizer, tokens) for tokens in responses],
        scores=scores,
        finished=finished,
        logprobs=old,
        kl=kl,
        values=value,
        entropy=torch.cat(entropy),
        rewards=rewards,
        kl_coef=kl_coef,
        advantages=rl.whiten(advantages, mask),
        returns=returns,
    )


def accumulate_gradients(
    models: SharedModels, experience: Experience, rows: Tensor, config: PPOConfig
) -> dict[str, float]:
    """Step 5: add the gradients of one minibatch; return its figures, each a mean over its response tokens.

    A minibatch is split into `gradient_accumulation` forward passes. Each divides by the tokens of the whole
    minibatch, not by its own, so that the split does not change the sum. Policy and value go backward one after the
    other because they share the backbone and only one can be switched on.
    """
    tokens = int(experience.mask[rows].sum())
    sums = dict.fromkeys(("policy_loss", "value_loss", "ratio", "clip_fraction", "approx_kl"), 0.0)
    for micro in rows.chunk(config.gradient_accumulation):
        part, mask = experience.rollouts[micro], experience.mask[micro]

        models.use("policy")
        logits = policy_logits(models, part, config.temperature)
        logprobs = rl.logprobs_from_logits(logits, part.response_ids)
        losses, ratio, clipped = rl.clipped_policy_loss(
            logprobs, experience.logprobs[micro], experience.advantages[micro], mask, config.clip_range
        )
        policy_loss = rl.masked_sum(losses, mask) / tokens
        policy_loss.backward()

        models.use("value")
        values = models.value_head(response_states(models.trunk, part)).squeeze(-1)
        losses = rl.clipped_value_loss(
            values, experience.values[micro], experience.returns[micro], mask, config.value_clip_range
        )
        value_loss = rl.masked_sum(losses, mask) / tokens
        (config.value_coef * value_loss).backward()

        with torch.no_grad():
            sums["policy_loss"] += policy_loss.item()
            sums["value_loss"] += value_loss.item()
            sums["ratio"] += rl.masked_sum(ratio, mask).item() / tokens
            sums["clip_fraction"] += rl.masked_sum(clipped.float(), mask).item() / tokens
            sums["approx_kl"] += (
                rl.masked_sum(rl.approx_kl(logprobs, experience.logprobs[micro], mask), mask).item() / tokens
            )
    return sums


def learn(
    models: SharedModels, optimizer: torch.optim.Optimizer, experience: Experience, config: PPOConfig, update: int
) -> dict[str, float]:
    """Steps 5 and 6: several passes over the rollouts in shuffled minibatches, one optimizer step for each."""
    trained = list(models.trained().values())
    shuffle = torch.Generator().manual_seed(response_seed(config.seed, "minibatches", update))
    figures: list[dict[str, float]] = []
    for _ in range(config.ppo_epochs):
        for rows in torch.randperm(len(experience.rollouts), generator=shuffle).split(config.minibatch_size):
            optimizer.zero_grad(set_to_none=True)
            row = accumulate_gradients(models, experience, rows.to(experience.mask.device), config)
            # 6. One clipped AdamW step.
            row["grad_norm"] = float(torch.nn.utils.clip_grad_norm_(trained, config.max_grad_norm))
            optimizer.step()
            figures.append(row)
    means = {name: sum(row[name] for row in figures) / len(figures) for name in figures[0]}
    return {
        **{name: means[name] for name in ("policy_loss", "value_loss", "clip_fraction", "approx_kl", "grad_norm")},
        "ratio_mean_first": figures[0]["ratio"],
        "clip_fraction_first": figures[0]["clip_fraction"],
    }


def describe(experience: Experience) -> dict[str, float]:
    """Return the figures of a batch of rollouts: means over rollouts, entropy over tokens, kl summed per rollout."""
    return {
        "score_mean": experience.scores.mean().item(),
        "reward_mean": experience.rewards.sum(1).mean().item(),
        "kl": experience.kl.sum(1).mean().item(),
        "entropy": rl.masked_mean(experience.entropy, experience.mask).item(),
        "response_length": experience.mask.sum(1).float().mean().item(),
        "eos_fraction": experience.finished.float().mean().item(),
        "kl_coef": experience.kl_coef,
    }


# The run ------------------------------------------------------------------------------------------------


def train_prompts(
    run: RunDirectory, tokenizer: PreTrainedTokenizerBase, config: PPOConfig
) -> tuple[list[PromptRow], list[list[int]]]:
    """Return the prompts of the train split and their ids; held-out prompts are never trained on."""
    prompts = [row for row in read_prompts(run) if row["split"] == TRAIN]
    if not prompts:
        raise NoPrompts("every prompt of this run is held out for evaluation; PPO trains on none of those")
    ids = [prompt_ids(tokenizer, row["messages"]) for row in prompts]
    names = [f"prompt {row['prompt_id']}" for row in prompts]
    refuse_too_long([len(one) for one in ids], config.max_prompt_length, "max_prompt_length", names)
    return prompts, ids


def run_ppo(run: RunDirectory, spec: RunSpec, config: PPOConfig) -> Outcome:
    """Train the run's policy against its reward model and publish the adapter."""
    policy = check_source(spec.policy, "policy to train")
    reward = check_source(spec.reward, "reward model")
    tokenizer = load_tokenizer(policy)
    prompts, ids = train_prompts(run, tokenizer, config)
    run.write_progress("loading the models", 0, config.updates)
    models = SharedModels(
        policy, reward, tokenizer, rank=config.lora_rank, alpha=config.lora_alpha, seed=config.seed
    ).to(pick_device())
    models.eval()  # no dropout: the ratio of the first minibatch must be 1
    optimizer = torch.optim.AdamW(
        models.trained().values(), lr=config.learning_rate, eps=1e-5, weight_decay=0.0, foreach=False
    )
    resumed = resume(run, models, optimizer, config.kl_coef)
    done, kl_coef = resumed.update, resumed.kl_coef
    previews = run.previews_path
    run.forget_metrics_after(done)
    keep_lines(previews, [row for row in read_lines(previews) if row["step"] <= done])

    def stop_now() -> bool:
        """An update that has not begun to learn may be given up; the first one is always finished."""
        return done > 0 and run.cancel_requested()

    cancelled, stopped_at_kl = False, None
    for update in range(done + 1, config.updates + 1):
        run.write_progress("writing and scoring responses", done, config.updates)
        started = time.monotonic()
        rate = config.learning_rate * (1.0 - (update - 1) / config.updates)
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = prompt_order(len(prompts), config.batch_size, update, config.seed)
        try:
            experience = gather_experience(
                models, tokenizer, [ids[row] for row in chosen], config, update, kl_coef, stop_now
            )
        except Interrupted:
            cancelled = True
            save_checkpoint(run, models, optimizer, done, kl_coef)
            break
        told = describe(experience)
        if config.max_kl and done and told["kl"] > config.max_kl:  # the first update starts at the reference
            stopped_at_kl = told["kl"]
            save_checkpoint(run, models, optimizer, done, kl_coef)
            break
        run.write_progress("learning", done, config.updates)
        figures = learn(models, optimizer, experience, config, update)
        append_previews(previews, update, [prompts[row] for row in chosen], experience)
        run.append_metrics(
            {
                "step": update,
                "time": time.time(),
                **told,
                **figures,
                "learning_rate": rate,
                "seconds": time.monotonic() - started,
            }
        )
        done = update
        if config.kl_target:
            kl_coef = rl.adapted_kl_coef(kl_coef, told["kl"], config.kl_target, config.batch_size, config.kl_horizon)
        if update % config.checkpoint_every == 0 or update == config.updates:
            save_checkpoint(run, models, optimizer, update, kl_coef)

    run.write_progress("saving the policy", done, config.updates)
    sha256 = publish_model(run, models.peft, tokenizer, kind="policy", source=policy, step=done)
    run.write_progress("done", done, config.updates)
    figures = summary(run, config)
    if stopped_at_kl is not None:
        figures["stopped_at_kl"] = stopped_at_kl
    return Outcome("cancelled" if cancelled else "succeeded", done, sha256, template_digest(tokenizer), figures)


def append_previews(path: Path, update: int, prompts: Sequence[PromptRow], experience: Experience) -> None:
    """Append the first rollouts of an update, for people to read."""
    for row in range(min(PREVIEWS, len(prompts))):
        append_line(
            path,
            {
                "step": update,
                "prompt": prompts[row]["messages"][-1]["content"],
                "response": experience.texts[row],
                "score": experience.scores[row].item(),
            },
        )


def summary(run: RunDirectory, config: PPOConfig) -> dict[str, Any]:
    """Return score and KL of the first and the last update, each a mean over `n` rollouts."""
    rows = run.metrics()
    first, last = rows[0], rows[-1]
    return {
        "score_first": first["score_mean"],
        "score_last": last["score_mean"],
        "kl_first": first["kl"],
        "kl_last": last["kl"],
        "n": config.batch_size,
    }
