"""Whatever a trainer writes beside a step is explained in the glossary, and nothing is explained that none writes."""

from __future__ import annotations

import importlib

import pytest

from training.configs import CONFIGS, GroupConfig, TrainingConfig
from training.glossary import CHARTS, HELD_OUT, explained

TRAINERS = {
    "sft": "sft",
    "reward": "reward",
    "dpo": "dpo",
    "kto": "kto",
    "grpo": "grpo",
    "rloo": "rloo",
    "online_dpo": "online_dpo",
}
"""By kind, the module of training.ml with its METRICS: what of TRL's figures becomes which metric."""
EVERY_STEP = {"seconds", "tokens_per_second", "memory_mb"}
"""What training.ml.follow adds."""
OF_THE_STEP = {"learning_rate", "grad_norm"}
"""There are none on held-out rows."""


def test_every_kind_that_takes_steps_is_explained() -> None:
    takes_steps = {kind for kind, config in CONFIGS.items() if hasattr(config, "learning_rate")}
    assert set(CHARTS) == takes_steps
    assert {kind for kind in takes_steps if issubclass(CONFIGS[kind], TrainingConfig | GroupConfig)} == set(TRAINERS)


@pytest.mark.parametrize(("kind", "module"), TRAINERS.items())
def test_what_a_trainer_writes_is_what_the_glossary_explains(kind: str, module: str) -> None:
    metrics = set(importlib.import_module(f"training.ml.{module}").METRICS.values())
    looks = issubclass(CONFIGS[kind], TrainingConfig)
    held_out = {f"{HELD_OUT}{name}" for name in metrics - OF_THE_STEP} if looks else set()
    assert set(explained(kind)) == metrics | held_out | EVERY_STEP
