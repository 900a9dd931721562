"""Train a policy with TRL's DPOTrainer (arXiv:2305.18290 and its relatives) against itself before training.

The preference's strength is dropped: DPO has no use for it. At the first step policy and reference are one model, so
the first loss is a number known beforehand: ln 2 for the sigmoid loss.
"""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel, TaskType
from trl import DPOConfig as TRLDPOConfig
from trl import DPOTrainer

from training.configs import DPOConfig
from training.ml.chat import template_digest
from training.ml.evaluate import groups_of, implicit_accuracy, logprob_margins
from training.ml.models import check_source, load_policy, load_tokenizer, lora_config, publish_model
from training.ml.preferences import PreferenceTokens, read_preferences, require_train_rows
from training.ml.trl_runs import draw_by_weight, train, trainer_arguments
from training.rundir import Outcome, RunDirectory, RunSpec

METRICS = {
    "loss": "loss",
    "rewards/accuracies": "rewards_accuracy",
    "rewards/margins": "rewards_margin",
    "rewards/chosen": "rewards_chosen",
    "rewards/rejected": "rewards_rejected",
    "logps/chosen": "logps_chosen",
    "logps/rejected": "logps_rejected",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
}


class TokenizedDPOTrainer(DPOTrainer):
    """TRL's trainer over rows that are token ids already, as its RewardTrainer takes them of itself.

    TRL's own tokenizing leaves the template's newline after the end token and truncates; ours does neither.
    """

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


def dataset(rows: list[PreferenceTokens]) -> Dataset:
    return Dataset.from_dict(
        {
            "prompt_ids": [row.prompt for row in rows],
            "chosen_ids": [row.chosen for row in rows],
            "rejected_ids": [row.rejected for row in rows],
        }
    )


def run_dpo(run: RunDirectory, spec: RunSpec, config: DPOConfig) -> Outcome:
    """Train on the snapshot's train split, publish the adapter, and measure the implicit reward on the rest."""
    source = check_source(spec.policy, "policy to train")
    tokenizer = load_tokenizer(source)
    rows, held_out = read_preferences(spec, tokenizer, config.max_length)
    require_train_rows(rows)
    run.write_progress("loading the model", 0, config.steps)
    torch.manual_seed(config.seed)
    trainer = TokenizedDPOTrainer(
        model=load_policy(source, tokenizer),
        peft_config=lora_config(config.lora_rank, config.lora_alpha, TaskType.CAUSAL_LM),
        args=TRLDPOConfig(
            **trainer_arguments(run, config),
            loss_type=[config.loss],
            beta=config.beta,
            label_smoothing=config.label_noise,
        ),
        train_dataset=dataset(rows),
        processing_class=tokenizer,
    )
    draw_by_weight(trainer, [row.weight for row in rows], config.seed)
    status, step = train(run, trainer, METRICS, config)

    run.write_progress("evaluating", step, config.steps)
    sha256 = publish_model(run, trainer.model, tokenizer, kind="policy", source=source, step=step)
    figures = held_out_accuracy(trainer.model, held_out, tokenizer.pad_token_id, config.batch_size)
    losses = [row["loss"] for row in run.metrics()]
    run.write_progress("done", step, config.steps)
    return Outcome(
        status,
        step,
        sha256,
        template_digest(tokenizer),
        {**figures, "loss_first": losses[0] if losses else None, "loss_last": losses[-1] if losses else None},
    )


def held_out_accuracy(
    model: PeftModel, held_out: list[PreferenceTokens], pad_id: int, batch_size: int
) -> dict[str, Any]:
    """Return the accuracy of the implicit reward: the adapter's log-probabilities over those without it."""
    inner = model.get_base_model().eval()
    policy = logprob_margins(inner, held_out, pad_id, batch_size)
    with model.disable_adapter():
        reference = logprob_margins(inner, held_out, pad_id, batch_size)
    return implicit_accuracy(policy, reference, groups_of(held_out))
