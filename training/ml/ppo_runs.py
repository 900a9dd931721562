"""A run of PPO from its directory to its outcome: prompts, looks at held-out ones, checkpoints, and what is left.

Left is the policy of the last update; of a run with patience the one with the best reward on held-out prompts, of a run
that went past its KL limit the last one that was seen within, of one whose loss became no number its last checkpoint's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from feedback.contract import EVALUATION, TRAIN
from training.configs import PPOConfig
from training.ml import Paused, rl
from training.ml.chat import prompt_ids, template_digest
from training.ml.estimates import MIB, peak_memory
from training.ml.models import check_source, has_virtual_tokens, load_tokenizer, pick_device, publish_model
from training.ml.online_rewards import NoReward
from training.ml.ppo import (
    Experience,
    LossNotFinite,
    describe,
    gather_experience,
    learn,
    look_at_held_out,
    prompt_order,
)
from training.ml.ppo_checkpoints import Kept, Standing, resume, save_checkpoint
from training.ml.ppo_rewards import Judge, Prompt
from training.ml.preflight import look_first
from training.ml.reward_functions import load_reward_function
from training.ml.reward_models import check_reward_source, load_scorer
from training.ml.sampling import Interrupted, NoPrompts, read_prompts
from training.ml.shared_models import CannotShare, SharedModels, can_share, check_one_format
from training.rundir import Check, ModelSource, Outcome, RunDirectory, RunSpec, append_line, keep_lines, read_lines

PREVIEWS = 2
"""Rollouts of each update that are kept for people to read."""
MOST_HELD_OUT = 64
"""Held-out prompts that each look takes, from the first on."""


def run_ppo(run: RunDirectory, spec: RunSpec, config: PPOConfig) -> Outcome:
    """Train the run's policy against its reward and publish the adapter."""
    policy = check_source(spec.policy, "policy to train")
    tokenizer = load_tokenizer(policy)
    prompts, held_out = read_both(run, tokenizer, config)
    run.write_progress("loading the models", 0, config.updates)
    judge = load_judge(policy, spec.reward, tokenizer, config)
    models = judge.models
    prompts, held_out = look_first(
        run, spec, config, tokenizer, prompts, held_out, model=models.causal, extra=[check_values(models)]
    )
    optimizer = torch.optim.AdamW(
        models.trained().values(), lr=config.learning_rate, eps=1e-5, weight_decay=0.0, foreach=False
    )
    standing = resume(run, models, optimizer, config.kl_coef)
    run.forget_metrics_after(standing.update)
    previews = run.previews_path
    keep_lines(previews, [row for row in read_lines(previews) if row["step"] <= standing.update])

    def stop_now() -> bool:
        """An update that has not begun to learn may be given up; the first one is always finished."""
        return standing.update > 0 and run.stop_requested()

    ended: dict[str, Any] = {}
    stopped = failed = False
    while standing.update < config.updates:
        if config.patience and standing.looks_since_best >= config.patience:
            ended["stopped_without_better_for"] = standing.looks_since_best
            break
        update = standing.update + 1
        run.write_progress("writing and scoring responses", standing.update, config.updates)
        started = time.monotonic()
        rate = config.learning_rate * (1.0 - (update - 1) / config.updates)
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = [prompts[row] for row in prompt_order(len(prompts), config.batch_size, update, config.seed)]
        try:
            experience = gather_experience(judge, tokenizer, chosen, update, standing.kl_coef, stop_now)
        except Interrupted:
            stopped = True
            break
        told = describe(experience)
        if config.max_kl:
            if told["kl"] > config.max_kl and standing.within is not None:
                ended["stopped_at_kl"] = told["kl"]
                break
            standing = replace(standing, within=Kept(standing.update, models.policy_weights()))
        run.write_progress("learning", standing.update, config.updates)
        try:
            figures = learn(models, optimizer, experience, config, update)
        except LossNotFinite as error:
            standing = resume(run, models, optimizer, config.kl_coef)
            if not standing.update:
                raise
            run.write_error(f"{error} What it had learned up to update {standing.update} is kept as its checkpoint.")
            failed = True
            break
        if config.evaluate_every and update % config.evaluate_every == 0:
            run.write_progress("looking at held-out prompts", update, config.updates)
            looked = look_at_held_out(judge, tokenizer, held_out)
            figures.update(looked)
            standing = after_look(standing, Kept(update, models.policy_weights(), looked["held_out_reward"]))
        append_previews(previews, update, chosen, experience)
        seconds = time.monotonic() - started
        run.append_metrics(
            {
                "step": update,
                "time": time.time(),
                **told,
                **figures,
                "learning_rate": rate,
                "seconds": seconds,
                "tokens_per_second": int(experience.mask.sum()) / seconds,
                "memory_mb": peak_memory() / MIB,
            }
        )
        kl_coef = standing.kl_coef
        if config.kl_target:
            kl_coef = rl.adapted_kl_coef(kl_coef, told["kl"], config.kl_target, config.batch_size, config.kl_horizon)
        standing = replace(standing, update=update, kl_coef=kl_coef)
        if update % config.checkpoint_every == 0 or update == config.updates:
            save_checkpoint(run, models, optimizer, standing)

    save_checkpoint(run, models, optimizer, standing)
    if stopped and not run.cancel_requested():
        raise Paused(standing.update)
    run.write_progress("saving the policy", standing.update, config.updates)
    left = policy_to_leave(standing, ended, config)
    if left is not None:
        models.put(left.weights)
    step = left.update if left is not None else standing.update
    sha256 = publish_model(run, models.peft, tokenizer, kind="policy", source=policy, step=step)
    run.write_progress("done", standing.update, config.updates)
    figures = {**summary(run, config, len(held_out)), **ended}
    status = "failed" if failed else "cancelled" if stopped else "succeeded"
    return Outcome(status, step, sha256, template_digest(tokenizer), figures)


# What a run begins with -------------------------------------------------------------------------------


def read_both(
    run: RunDirectory, tokenizer: PreTrainedTokenizerBase, config: PPOConfig
) -> tuple[list[Prompt], list[Prompt]]:
    """Return (prompts of the train split, held-out ones to look at); a held-out prompt is never trained on."""
    rows = read_prompts(run)
    every = {
        split: [
            Prompt(f"prompt {row['prompt_id']}", prompt_ids(tokenizer, row["messages"]), row["messages"])
            for row in rows
            if row["split"] == split
        ]
        for split in (TRAIN, EVALUATION)
    }
    if not every[TRAIN]:
        raise NoPrompts("every prompt of this run is held out for evaluation; PPO trains on none of those")
    if not config.evaluate_every:
        return every[TRAIN], []
    if not every[EVALUATION]:
        raise NoPrompts(
            "evaluate_every asks for looks at held-out prompts, and no prompt of this run is in the evaluation split; "
            "add some, or set it to 0"
        )
    return every[TRAIN], every[EVALUATION][:MOST_HELD_OUT]


def load_judge(
    policy: ModelSource, reward: ModelSource | None, tokenizer: PreTrainedTokenizerBase, config: PPOConfig
) -> Judge:
    """Load policy, value model and what gives the reward, on one backbone where that can be."""
    if has_virtual_tokens(policy):
        raise CannotShare(
            f"{policy.adapters[-1]} is a tuned prompt: virtual tokens, not weights, so nothing can be trained on top. "
            "Start from the model below it"
        )
    if reward is None and not config.reward_function:
        raise NoReward("the run names neither a reward model nor a reward function; give one of them, or both")
    function = load_reward_function(config.reward_function) if config.reward_function else None
    shared = None
    if reward is not None:
        reward = check_reward_source(reward)
        check_one_format(reward, tokenizer)
        shared = reward if can_share(policy, reward, config.tuning) else None
    models = SharedModels(policy, shared, tokenizer, config).to(pick_device()).eval()
    scorer = None
    if reward is not None and shared is None:
        scorer = load_scorer(reward, tokenizer, precision=config.precision)
    return Judge(models, config, tokenizer.pad_token_id, tokenizer.eos_token_id, scorer, function)


def check_values(models: SharedModels) -> Check:
    """Say what the value head starts as."""
    if models.members:
        return Check("values", "ok", "Values start as what the reward model says of a text so far.")
    return Check(
        "values",
        "ok",
        "Values start at zero, as no reward model shares the policy's backbone; the first updates go by the rewards "
        "alone until values have learned to foretell them.",
    )


# On the way -------------------------------------------------------------------------------------------


def after_look(standing: Standing, seen: Kept) -> Standing:
    """Return what is known once a policy has been measured on held-out prompts."""
    if standing.best is None or seen.reward > standing.best.reward:
        return replace(standing, best=seen, looks_since_best=0)
    return replace(standing, looks_since_best=standing.looks_since_best + 1)


def policy_to_leave(standing: Standing, ended: dict[str, Any], config: PPOConfig) -> Kept | None:
    """Return the earlier policy that the run leaves; None for the one in memory."""
    best = standing.best if config.patience else None
    if "stopped_at_kl" not in ended:
        return best
    within = standing.within
    # The best one was seen before the limit was passed, unless its look came between the last two updates.
    return best if best is not None and within is not None and best.update <= within.update else within


def append_previews(path: Path, update: int, prompts: Sequence[Prompt], experience: Experience) -> None:
    """Append the first rollouts of an update, for people to read."""
    for row in range(min(PREVIEWS, len(prompts))):
        append_line(
            path,
            {
                "step": update,
                "prompt": prompts[row].messages[-1]["content"],
                "response": experience.texts[row],
                "score": experience.verdict.scores[row].item(),
            },
        )


def summary(run: RunDirectory, config: PPOConfig, held_out: int) -> dict[str, Any]:
    """Return score and KL of the first and the last update, each a mean over `n` rollouts, and of the last look."""
    rows = run.metrics()
    first, last = rows[0], rows[-1]
    figures: dict[str, Any] = {
        "score_first": first["score_mean"],
        "score_last": last["score_mean"],
        "kl_first": first["kl"],
        "kl_last": last["kl"],
        "n": config.batch_size,
    }
    looks = [row["held_out_reward"] for row in rows if "held_out_reward" in row]
    if looks:
        figures.update(held_out_reward_best=max(looks), held_out_reward_last=looks[-1], n_held_out=held_out)
    return figures
