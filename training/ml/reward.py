"""Train a Bradley-Terry reward model with TRL's RewardTrainer; the margin asks for a wider gap where people were sure.

The rows go in as token ids, so that the model reads exactly what sampling and PPO produce, ended by the end token.
"""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset
from peft import TaskType
from trl import RewardConfig as TRLRewardConfig
from trl import RewardTrainer

from training.configs import RewardConfig
from training.ml.chat import template_digest
from training.ml.evaluate import accuracy, groups_of, reward_margins
from training.ml.models import check_source, load_policy, load_tokenizer, lora_config, publish_model
from training.ml.preferences import PreferenceTokens, read_preferences, require_train_rows
from training.ml.reward_models import RewardCard, scorer_of, with_score_head
from training.ml.trl_runs import draw_by_weight, train, trainer_arguments
from training.rundir import Outcome, RunDirectory, RunSpec

METRICS = {
    "loss": "loss",
    "accuracy": "accuracy",
    "margin": "margin",
    "mean_reward": "mean_reward",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
}


def dataset(rows: list[PreferenceTokens], use_margin: bool) -> Dataset:
    columns: dict[str, list[Any]] = {
        "chosen_ids": [[*row.prompt, *row.chosen] for row in rows],
        "rejected_ids": [[*row.prompt, *row.rejected] for row in rows],
    }
    if use_margin:
        columns["margin"] = [row.margin for row in rows]
    return Dataset.from_dict(columns)


def run_reward(run: RunDirectory, spec: RunSpec, config: RewardConfig) -> Outcome:
    """Train on the snapshot's train split, publish the model, and measure it on the evaluation split."""
    source = check_source(spec.policy, "model to start from")
    tokenizer = load_tokenizer(source)
    rows, held_out = read_preferences(spec, tokenizer, config.max_length)
    require_train_rows(rows)
    run.write_progress("loading the model", 0, config.steps)
    model = with_score_head(load_policy(source, tokenizer), config.seed)
    model.config.pad_token_id = tokenizer.pad_token_id
    torch.manual_seed(config.seed)
    trainer = RewardTrainer(
        model=model,
        peft_config=lora_config(config.lora_rank, config.lora_alpha, TaskType.SEQ_CLS),
        args=TRLRewardConfig(
            **trainer_arguments(run, config), center_rewards_coefficient=config.center_rewards_coefficient
        ),
        train_dataset=dataset(rows, config.use_margin),
        processing_class=tokenizer,
    )
    draw_by_weight(trainer, [row.weight for row in rows], config.seed)
    status, step = train(run, trainer, METRICS, config)

    run.write_progress("evaluating", step, config.steps)
    trained = trainer.model
    sha256 = publish_model(run, trained, tokenizer, kind="reward", source=source, step=step)
    margins = reward_margins(scorer_of(trained, tokenizer, RewardCard()), held_out, config.batch_size)[0].tolist()
    run.write_progress("done", step, config.steps)
    return Outcome(status, step, sha256, template_digest(tokenizer), accuracy(margins, groups_of(held_out)))
