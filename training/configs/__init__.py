"""One frozen dataclass per run kind: the config that refuses.

Standard library only; shared by the site's forms, the API and `training.ml`. An unknown key, a wrong type or a value
out of range raises BadConfig that names the field and what would be right. Field metadata (`label`, `help`, `minimum`,
`maximum`, `choices`) feeds the forms, so a new field needs no second description.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from training.configs.base import BadConfig, Config, Settings, is_finite, setting, shortened
from training.configs.launch import LaunchConfig, NeedsConfig
from training.configs.online import (
    GroupConfig,
    GRPOConfig,
    OnlineConfig,
    OnlineDPOConfig,
    PPOConfig,
    RLOOConfig,
)
from training.configs.reading import EvaluateConfig, SampleConfig, ScoreConfig
from training.configs.supervised import (
    NOISY_LOSSES,
    AdapterConfig,
    DPOConfig,
    KTOConfig,
    MergeConfig,
    PolicyConfig,
    RewardConfig,
    SFTConfig,
    TrainingConfig,
    TuningConfig,
)

__all__ = [
    "CONFIGS",
    "NOISY_LOSSES",
    "AdapterConfig",
    "BadConfig",
    "Config",
    "DPOConfig",
    "EvaluateConfig",
    "GRPOConfig",
    "GroupConfig",
    "KTOConfig",
    "LaunchConfig",
    "MergeConfig",
    "NeedsConfig",
    "OnlineConfig",
    "OnlineDPOConfig",
    "PPOConfig",
    "PolicyConfig",
    "RLOOConfig",
    "RewardConfig",
    "SFTConfig",
    "SampleConfig",
    "ScoreConfig",
    "Settings",
    "TrainingConfig",
    "TuningConfig",
    "config_values",
    "is_finite",
    "parse",
    "parse_config",
    "setting",
    "shortened",
]

C = TypeVar("C", bound=Settings)

CONFIGS: dict[str, type[Config]] = {
    "sft": SFTConfig,
    "reward": RewardConfig,
    "dpo": DPOConfig,
    "kto": KTOConfig,
    "ppo": PPOConfig,
    "grpo": GRPOConfig,
    "rloo": RLOOConfig,
    "online_dpo": OnlineDPOConfig,
    "sample": SampleConfig,
    "score": ScoreConfig,
    "evaluate": EvaluateConfig,
    "merge": MergeConfig,
}


def parse_config(kind: str, values: Mapping[str, Any]) -> Config:
    """Build the config of `kind` from plain JSON values; raises BadConfig for anything it does not know."""
    if kind not in CONFIGS:
        raise BadConfig("kind", f"{kind!r} is not one of {', '.join(CONFIGS)}")
    return parse(CONFIGS[kind], values, f"a {kind} run")


def parse(config_class: type[C], values: Mapping[str, Any], of: str) -> C:
    """Build `config_class` from plain JSON values; `of` says in a refusal whose setting is unknown."""
    known = {field.name for field in dataclasses.fields(config_class)}
    for name in values:
        if name not in known:
            raise BadConfig(str(name), f"unknown setting of {of}; known are {', '.join(sorted(known))}")
    clean: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return config_class(**clean)


def config_values(config: Settings) -> dict[str, Any]:
    """Return `config` as plain JSON values; `parse_config` reads them back."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(config).items()}
