"""Group-relative policy optimisation (arXiv:2402.03300) by TRL's GRPOTrainer.

A response's advantage is its reward less the mean of its group, divided by the group's spread where the run says so;
the advantages of a group sum to zero. With one pass over each set of responses the clip takes no hold: the ratio is 1.
"""

from __future__ import annotations

from typing import Any

from trl import GRPOConfig as TRLGRPOConfig
from trl import GRPOTrainer

from training.configs import GRPOConfig
from training.ml.group_runs import (
    METRICS,
    Ready,
    Responses,
    WritesItself,
    frozen_copy,
    make_ready,
    reward_function_of,
    rows_in_order,
    set_reference,
    train_and_publish,
)
from training.ml.trl_runs import trainer_arguments
from training.ml.tuning import adapter_config, train_padded
from training.rundir import Outcome, RunDirectory, RunSpec


class OwnGRPOTrainer(WritesItself, GRPOTrainer):
    """TRL's trainer with our responses and rewards."""

    def _generate_single_turn(self, prompt_ids: list[list[int]], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        return self.responses.write(self, self.rows), None


def make_trainer(run: RunDirectory, config: GRPOConfig, ready: Ready) -> OwnGRPOTrainer:
    """Return the trainer, its policy wrapped for training and held to what it is now."""
    reference = frozen_copy(ready.model) if config.tuning == "full" and config.kl_coef else None
    made: list[OwnGRPOTrainer] = []
    trainer = OwnGRPOTrainer(
        model=ready.model,
        peft_config=adapter_config(config),
        reward_funcs=[reward_function_of(made)],
        args=TRLGRPOConfig(
            **trainer_arguments(run, config),
            num_generations=config.responses_per_prompt,
            num_iterations=config.passes,
            max_completion_length=config.max_new_tokens,
            temperature=config.temperature,
            beta=0.0,  # set_reference says why
            loss_type=config.loss,
            epsilon=config.clip_range,
            # TRL's cispo takes the highest ratio itself, not how far above 1 it lies.
            epsilon_high=1.0 + config.clip_range if config.loss == "cispo" else config.clip_range,
            scale_rewards="group" if config.scale_rewards else "none",
            shuffle_dataset=False,
        ),
        train_dataset=rows_in_order(config, len(ready.prompts), config.passes),
        processing_class=ready.tokenizer,
    )
    made.append(trainer)
    train_padded(trainer.model)
    trainer.responses = Responses(run, config, ready)
    set_reference(trainer, reference, config.kl_coef)
    return trainer


def run_grpo(run: RunDirectory, spec: RunSpec, config: GRPOConfig) -> Outcome:
    """Train the run's policy on groups of its own responses and publish it."""
    ready = make_ready(run, spec, config)
    return train_and_publish(run, config, ready, make_trainer(run, config, ready), METRICS)
