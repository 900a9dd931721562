"""DPO on pairs that the policy writes itself and the reward decides (arXiv:2402.04792).

Each step: 1. two responses to each prompt; 2. their rewards, of which the higher is chosen; 3. the DPO loss of the
pair against the reference, so that the first is ln 2. Our own trainer rather than TRL's, which takes the first of two
responses with equal rewards for the better one and counts padding in its KL. Here such a pair teaches nothing: its
loss is left out of the mean, and the share of such pairs is told.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch import Tensor, nn
from torch.utils.data import Sampler, SequentialSampler
from transformers import PreTrainedModel, Trainer, TrainingArguments, default_data_collator

from training.configs import OnlineDPOConfig
from training.ml import rl
from training.ml.group_runs import (
    Ready,
    Responses,
    frozen_copy,
    make_ready,
    rows_in_order,
    train_and_publish,
)
from training.ml.sequences import Rollouts, lay_out, response_logits
from training.ml.trl_runs import trainer_arguments
from training.ml.tuning import train_padded, tuned
from training.rundir import Outcome, RunDirectory, RunSpec

METRICS = {
    name: name
    for name in (
        "loss",
        "score_mean",
        "reward_mean",
        "reward_gap",
        "alike_fraction",
        "rewards_accuracy",
        "rewards_margin",
        "kl",
        "entropy",
        "response_length",
        "eos_fraction",
        "learning_rate",
        "grad_norm",
    )
}


def pair_losses(policy: Tensor, reference: Tensor, first_is_chosen: Tensor, beta: float, loss: str) -> Tensor:
    """Return the loss of each pair, [B].

    `policy` and `reference` are log p(response) in nats, [2, B], first and second response; `first_is_chosen` is
    boolean [B]. sigmoid: -log sigmoid(beta * h), ipo: (h - 1 / (2 * beta))^2, where h is the chosen response's
    log-ratio to the reference less the other's (arXiv:2305.18290, arXiv:2310.12036).
    """
    assert policy.shape == reference.shape == (2, len(first_is_chosen)), f"{policy.shape}, {reference.shape}"
    assert first_is_chosen.dtype == torch.bool, f"first_is_chosen must be bool, not {first_is_chosen.dtype}"
    ratios = policy - reference
    gap = torch.where(first_is_chosen, ratios[0] - ratios[1], ratios[1] - ratios[0])
    match loss:
        case "sigmoid":
            return -nn.functional.logsigmoid(beta * gap)
        case "ipo":
            return (gap - 1 / (2 * beta)).pow(2)
        case _:
            raise ValueError(f"{loss!r} is not one of sigmoid, ipo")


class OnlineDPOTrainer(Trainer):
    """A trainer whose batches are prompts; it writes the pairs that it learns from."""

    loss_is_scaled_for_ga = False

    def __init__(
        self,
        responses: Responses,
        reference: PreTrainedModel | None,
        config: OnlineDPOConfig,
        **arguments: Any,
    ) -> None:
        """`reference` is a frozen copy of the model; None where switching the adapter off gives it."""
        super().__init__(**arguments)
        self.responses = responses
        self.reference = reference if reference is None else reference.to(self.args.device)
        self.config = config
        self.part = 0
        """Of the step: which of its forward passes this is."""
        self.figures: dict[str, list[float]] = defaultdict(list)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    @contextlib.contextmanager
    def as_reference(self, model: nn.Module) -> Iterator[nn.Module]:
        if self.reference is not None:
            yield self.reference
        else:
            inner = self.accelerator.unwrap_model(model)
            assert isinstance(inner, PeftModel)
            with inner.disable_adapter():
                yield model

    def logprobs(self, model: nn.Module, rollouts: Rollouts) -> tuple[Tensor, Tensor]:
        """Return log p of each response token, [2B, T], and the mean entropy in nats of the model's choices."""
        logits = response_logits(model, rollouts)
        with torch.no_grad():
            entropy = rl.masked_mean(rl.entropy_from_logits(logits / self.config.temperature), rollouts.response_mask)
        return rl.logprobs_from_logits(logits, rollouts.response_ids), entropy

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Return the mean loss of this batch's pairs whose rewards differ; 0 where none do."""
        # 1. Two responses to each prompt, all first ones before all second ones.
        written = self.responses.write(self, inputs["row"].tolist(), self.part, copies=2)
        rows = inputs["row"].tolist() * 2
        self.part = (self.part + 1) % self.args.gradient_accumulation_steps
        prompts = [self.responses.prompts[row].ids for row in rows]
        pad_id = self.responses.tokenizer.pad_token_id
        rollouts = lay_out(prompts, written, pad_id, self.args.device)
        mask = rollouts.response_mask

        # 2. Their rewards.
        rewarded = self.responses.reward(self, rows, written)
        rewards = rewarded.rewards.to(self.args.device).view(2, -1)
        differ = rewards[0] != rewards[1]

        # 3. The loss against the reference.
        logprobs, entropy = self.logprobs(model, rollouts)
        with torch.no_grad(), self.as_reference(model) as reference_model:
            reference, _ = self.logprobs(reference_model, rollouts)
        policy_sums = torch.where(mask, logprobs, 0.0).sum(1).view(2, -1)
        reference_sums = torch.where(mask, reference, 0.0).sum(1).view(2, -1)
        losses = pair_losses(policy_sums, reference_sums, rewards[0] > rewards[1], self.config.beta, self.config.loss)
        pairs = self.accelerator.reduce(differ.sum(), reduction="sum").clamp(min=1)
        loss = torch.where(differ, losses, 0.0).sum() * self.accelerator.num_processes / pairs  # processes are averaged

        gaps = self.config.beta * (policy_sums - reference_sums).detach()
        margins = torch.where(rewards[0] > rewards[1], gaps[0] - gaps[1], gaps[1] - gaps[0])
        self.keep(
            score_mean=rewarded.scores.mean(),
            reward_mean=rewards.mean(),
            reward_gap=(rewards[0] - rewards[1]).abs().mean(),
            alike_fraction=1 - differ.float().mean(),
            rewards_accuracy=(margins > 0).float().mean(),
            rewards_margin=margins.mean(),
            kl=rl.kl_per_token(logprobs.detach(), reference, mask).sum(1).mean(),
            entropy=entropy,
            response_length=mask.sum(1).float().mean(),
            eos_fraction=rewarded.finished.float().mean(),
        )
        self.state.num_input_tokens_seen += int(rollouts.attention_mask.sum())
        return loss

    def keep(self, **figures: Tensor) -> None:
        """Keep figures of this batch, means over all processes, until the step is told."""
        names = sorted(figures)
        values = torch.stack([figures[name].detach().float().to(self.args.device) for name in names])
        means = self.accelerator.reduce(values, reduction="mean").tolist()
        for name, value in zip(names, means, strict=True):
            self.figures[name].append(value)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs |= {name: sum(values) / len(values) for name, values in self.figures.items()}
            logs["num_tokens"] = float(self.state.num_input_tokens_seen)
            self.figures.clear()
        super().log(logs, start_time)


def make_trainer(run: RunDirectory, config: OnlineDPOConfig, ready: Ready) -> OnlineDPOTrainer:
    """Return the trainer, its policy wrapped for training and held to what it is now."""
    reference = frozen_copy(ready.model) if config.tuning == "full" else None
    torch.manual_seed(config.seed)
    model = tuned(ready.model, config)
    train_padded(model)
    return OnlineDPOTrainer(
        Responses(run, config, ready),
        reference,
        config,
        model=model,
        args=TrainingArguments(**trainer_arguments(run, config), remove_unused_columns=False),
        train_dataset=rows_in_order(config, len(ready.prompts)),
        processing_class=ready.tokenizer,
        data_collator=default_data_collator,
    )


def run_online_dpo(run: RunDirectory, spec: RunSpec, config: OnlineDPOConfig) -> Outcome:
    """Train the run's policy on pairs of its own responses and publish it."""
    ready = make_ready(run, spec, config)
    return train_and_publish(run, config, ready, make_trainer(run, config, ready), METRICS)
