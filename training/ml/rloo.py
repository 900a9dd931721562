"""REINFORCE with a leave-one-out baseline (arXiv:2402.14740) by TRL's RLOOTrainer.

A response's advantage is its reward, less kl_coef times its KL in nats, less the mean of that over the other responses
to the same prompt.
"""

from __future__ import annotations

from typing import Any

from trl import RLOOConfig as TRLRLOOConfig
from trl import RLOOTrainer

from training.configs import RLOOConfig
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


class OwnRLOOTrainer(WritesItself, RLOOTrainer):
    """TRL's trainer with our responses and rewards."""

    def _generate_single_turn(self, prompt_ids: list[list[int]], *_: Any, **__: Any) -> list[list[int]]:
        return self.responses.write(self, self.rows)


def make_trainer(run: RunDirectory, config: RLOOConfig, ready: Ready) -> OwnRLOOTrainer:
    """Return the trainer, its policy wrapped for training and held to what it is now."""
    reference = frozen_copy(ready.model) if config.tuning == "full" and config.kl_coef else None
    made: list[OwnRLOOTrainer] = []
    trainer = OwnRLOOTrainer(
        model=ready.model,
        peft_config=adapter_config(config),
        reward_funcs=[reward_function_of(made)],
        args=TRLRLOOConfig(
            **trainer_arguments(run, config),
            num_generations=config.responses_per_prompt,
            num_iterations=config.passes,
            max_completion_length=config.max_new_tokens,
            temperature=config.temperature,
            beta=0.0,  # set_reference says why
            epsilon=config.clip_range,
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


def run_rloo(run: RunDirectory, spec: RunSpec, config: RLOOConfig) -> Outcome:
    """Train the run's policy on its own responses, each against the others to its prompt, and publish it."""
    ready = make_ready(run, spec, config)
    return train_and_publish(run, config, ready, make_trainer(run, config, ready), METRICS)
