"""One frozen dataclass per run kind: the config that refuses.

Standard library only; shared by the site's forms, the API and `training.ml`. An unknown key, a wrong type or a value
out of range raises BadConfig that names the field and what would be right. Field metadata (`label`, `help`, `minimum`,
`maximum`, `choices`) feeds the forms, so a new field needs no second description.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints


class BadConfig(ValueError):
    """A run's config has an unknown key, a wrong type or a value out of range; `field` says which."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def is_finite(value: object) -> bool:
    """Tell whether `value` is a number that a float can hold; a bool is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number past any float
        return False


def shortened(value: object) -> str:
    """Return `value` as a message shows it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def setting(
    default: Any,
    label: str,
    help: str = "",
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    advanced: bool = False,
) -> Any:
    return dataclasses.field(
        default=default,
        metadata={
            "label": label,
            "help": help,
            "minimum": minimum,
            "maximum": maximum,
            "choices": choices,
            "advanced": advanced,
        },
    )


@dataclass(frozen=True)
class Config:
    """What every run kind has."""

    seed: int = setting(17, "Seed", "The same seed, data and code give the same run.", minimum=0, maximum=2**31 - 1)

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            self._check_type(field.name, value, hints[field.name])
            self._check_range(field.name, value, field.metadata)

    @staticmethod
    def _check_type(name: str, value: object, expected: Any) -> None:
        if expected is bool:
            right = isinstance(value, bool)
        elif expected is int:
            right = isinstance(value, int) and not isinstance(value, bool)
        elif expected is float:
            right = is_finite(value)
        elif expected is str:
            right = isinstance(value, str)
        else:  # tuple[float, ...]
            right = isinstance(value, list | tuple) and all(is_finite(part) for part in value)
        if not right:
            expected_name = (
                getattr(expected, "__name__", str(expected))
                if expected in (bool, int, float, str)
                else ("list of numbers")
            )
            raise BadConfig(name, f"{shortened(value)} is not a {expected_name}")

    @staticmethod
    def _check_range(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
        low, high, choices = metadata.get("minimum"), metadata.get("maximum"), metadata.get("choices")
        if choices and value not in choices:
            raise BadConfig(name, f"{shortened(value)} is not one of {', '.join(choices)}")
        for part in value if isinstance(value, list | tuple) else (value,):
            if low is not None and part < low:
                raise BadConfig(name, f"{shortened(part)} is too small; the least is {low}")
            if high is not None and part > high:
                raise BadConfig(name, f"{shortened(part)} is too large; the most is {high}")


@dataclass(frozen=True)
class TrainingConfig(Config):
    """What every run kind that changes weights has."""

    steps: int = setting(
        40, "Optimizer steps", "One step uses batch size x accumulation pairs.", minimum=1, maximum=1_000_000
    )
    batch_size: int = setting(4, "Batch size", "Pairs per forward pass.", minimum=1, maximum=4096)
    gradient_accumulation: int = setting(
        1, "Gradient accumulation", "Forward passes per optimizer step.", minimum=1, maximum=4096, advanced=True
    )
    learning_rate: float = setting(
        1e-4, "Learning rate", "LoRA wants 10 to 100 times the rate of full fine-tuning.", minimum=1e-9, maximum=1.0
    )
    max_length: int = setting(
        512,
        "Longest sequence",
        "Tokens of prompt and response; longer rows are refused.",
        minimum=8,
        maximum=131_072,
        advanced=True,
    )
    lora_rank: int = setting(16, "LoRA rank", "Size of the adapter.", minimum=1, maximum=512, advanced=True)
    lora_alpha: int = setting(
        32, "LoRA alpha", "Scale of the adapter; twice the rank is usual.", minimum=1, maximum=1024, advanced=True
    )
    checkpoint_every: int = setting(
        10,
        "Checkpoint every",
        "Steps between resumable checkpoints; a crash loses at most this many.",
        minimum=1,
        maximum=100_000,
        advanced=True,
    )
    precision: str = setting(
        "float32",
        "Precision",
        "bfloat16 is faster where the processor has it.",
        choices=("float32", "bfloat16"),
        advanced=True,
    )


@dataclass(frozen=True)
class RewardConfig(TrainingConfig):
    """Bradley-Terry reward model on the snapshot's preferences, by TRL's RewardTrainer."""

    use_margin: bool = setting(True, "Use preference strength", "Strong preferences ask for a wider reward gap.")
    center_rewards_coefficient: float = setting(
        0.01, "Centring", "Pulls the mean reward to zero.", minimum=0.0, maximum=10.0, advanced=True
    )


NOISY_LOSSES = ("robust", "exo_pair")
"""DPO losses that are told how many labels are the wrong way round."""


@dataclass(frozen=True)
class DPOConfig(TrainingConfig):
    """Direct preference optimisation and its relatives on the snapshot's preferences, by TRL's DPOTrainer."""

    loss: str = setting(
        "sigmoid",
        "Loss",
        "sigmoid: DPO itself. ipo: does not run away where all agree. robust, exo_pair: for labels of known noise. "
        "hinge: stops at a gap. nca_pair, apo_zero: raise the chosen response too. apo_down: lowers both.",
        choices=("sigmoid", "ipo", "robust", "hinge", "exo_pair", "nca_pair", "apo_zero", "apo_down"),
    )
    beta: float = setting(0.1, "Beta", "How strongly the policy is held to its reference.", minimum=1e-4, maximum=100.0)
    label_noise: float = setting(
        0.0,
        "Label noise",
        "Share of labels that are the wrong way round; the losses robust and exo_pair need it, the others take none.",
        minimum=0.0,
        maximum=0.49,
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss in NOISY_LOSSES and not self.label_noise:
            raise BadConfig("label_noise", f"the loss {self.loss} needs the share of wrong labels, such as 0.1")
        if self.label_noise and self.loss not in NOISY_LOSSES:
            raise BadConfig("label_noise", f"the loss {self.loss} takes none; leave it at 0 or choose robust")


@dataclass(frozen=True)
class PPOConfig(Config):
    """Proximal policy optimisation against a reward model (arXiv:2403.17031, the N+ implementation details)."""

    updates: int = setting(20, "Updates", "Rollout-and-learn rounds.", minimum=1, maximum=1_000_000)
    batch_size: int = setting(
        8, "Rollouts per update", "Prompts sampled before each update.", minimum=1, maximum=65_536
    )
    minibatch_size: int = setting(
        4, "Minibatch size", "Rollouts per optimizer step; divides the rollouts.", minimum=1, maximum=4096
    )
    gradient_accumulation: int = setting(
        1,
        "Gradient accumulation",
        "Splits a minibatch into this many forward passes.",
        minimum=1,
        maximum=4096,
        advanced=True,
    )
    ppo_epochs: int = setting(2, "PPO epochs", "Passes over each batch of rollouts.", minimum=1, maximum=64)
    learning_rate: float = setting(5e-5, "Learning rate", minimum=1e-9, maximum=1.0)
    kl_coef: float = setting(
        0.05, "KL coefficient", "Reward units per nat of distance from the reference.", minimum=0.0, maximum=10.0
    )
    kl_target: float = setting(
        0.0,
        "KL target",
        "Nats for each response that the KL coefficient is adapted to hold; 0 leaves the coefficient as it is.",
        minimum=0.0,
        maximum=10_000.0,
        advanced=True,
    )
    kl_horizon: int = setting(
        1000,
        "KL horizon",
        "Rollouts in which the coefficient may change by a fifth of itself.",
        minimum=1,
        maximum=100_000_000,
        advanced=True,
    )
    max_kl: float = setting(
        0.0,
        "Stop above a KL of",
        "Nats for each response, a mean over an update: the run ends with the policy that wrote those. 0 for never.",
        minimum=0.0,
        maximum=10_000.0,
        advanced=True,
    )
    max_new_tokens: int = setting(48, "Longest response", "Tokens.", minimum=1, maximum=32_768)
    max_prompt_length: int = setting(
        512, "Longest prompt", "Tokens; longer prompts are refused.", minimum=1, maximum=131_072, advanced=True
    )
    temperature: float = setting(0.7, "Temperature", minimum=0.01, maximum=5.0)
    gamma: float = setting(1.0, "Discount", minimum=0.0, maximum=1.0, advanced=True)
    gae_lambda: float = setting(0.95, "GAE lambda", minimum=0.0, maximum=1.0, advanced=True)
    clip_range: float = setting(0.2, "Policy clip", minimum=1e-3, maximum=10.0, advanced=True)
    value_clip_range: float = setting(0.2, "Value clip", minimum=1e-3, maximum=1e3, advanced=True)
    value_coef: float = setting(0.1, "Value loss weight", minimum=0.0, maximum=10.0, advanced=True)
    missing_eos_penalty: float = setting(
        1.0,
        "Missing-EOS penalty",
        "Taken off the score of a response that was cut off.",
        minimum=0.0,
        maximum=100.0,
        advanced=True,
    )
    length_penalty: float = setting(
        0.0,
        "Length penalty",
        "Taken off the score for each 100 tokens of a response.",
        minimum=0.0,
        maximum=1000.0,
        advanced=True,
    )
    whiten_rewards: bool = setting(
        False, "Scale rewards", "To unit variance over each batch, their mean kept.", advanced=True
    )
    max_grad_norm: float = setting(1.0, "Gradient clip", minimum=1e-3, maximum=1e6, advanced=True)
    lora_rank: int = setting(16, "LoRA rank", minimum=1, maximum=512, advanced=True)
    lora_alpha: int = setting(32, "LoRA alpha", minimum=1, maximum=1024, advanced=True)
    checkpoint_every: int = setting(
        1, "Checkpoint every", "Updates between resumable checkpoints.", minimum=1, maximum=100_000, advanced=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kl_target and not self.kl_coef:
            raise BadConfig("kl_target", "a KL coefficient of 0 stays 0, whatever the target; give both or neither")
        if self.kl_target and self.kl_horizon < self.batch_size:
            raise BadConfig(
                "kl_horizon",
                f"{self.kl_horizon} is less than the {self.batch_size} rollouts of one update, so it could turn "
                f"the coefficient below zero; give at least {self.batch_size}",
            )
        if self.batch_size % self.minibatch_size:
            raise BadConfig("minibatch_size", f"{self.minibatch_size} does not divide the {self.batch_size} rollouts")
        if self.minibatch_size % self.gradient_accumulation:
            raise BadConfig(
                "gradient_accumulation",
                f"{self.gradient_accumulation} does not divide the minibatch of {self.minibatch_size}",
            )


@dataclass(frozen=True)
class SampleConfig(Config):
    """Responses of a policy to prompts."""

    temperatures: tuple[float, ...] = setting(
        (0.3, 1.0), "Temperatures", "One set of responses for each.", minimum=0.0, maximum=5.0
    )
    responses_per_temperature: int = setting(1, "Responses per temperature", minimum=1, maximum=16)
    top_p: float = setting(0.95, "Top p", minimum=0.01, maximum=1.0, advanced=True)
    max_new_tokens: int = setting(96, "Longest response", "Tokens.", minimum=1, maximum=32_768)
    batch_size: int = setting(8, "Batch size", "Prompts generated together.", minimum=1, maximum=1024, advanced=True)
    precision: str = setting("bfloat16", "Precision", choices=("float32", "bfloat16"), advanced=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperatures:
            raise BadConfig("temperatures", "give at least one temperature")
        if len(self.temperatures) * self.responses_per_temperature > 64:
            raise BadConfig("responses_per_temperature", "more than 64 responses per prompt")


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """Accuracy of a reward model, or of a policy's implicit reward, on a snapshot's evaluation split."""

    batch_size: int = setting(8, "Batch size", minimum=1, maximum=4096, advanced=True)
    max_length: int = setting(512, "Longest sequence", "Tokens.", minimum=8, maximum=131_072, advanced=True)


@dataclass(frozen=True)
class ScoreConfig(Config):
    """A reward model's score of every response of a project, or of one queue's tasks."""

    batch_size: int = setting(16, "Batch size", "Responses per forward pass.", minimum=1, maximum=4096)
    max_length: int = setting(
        1024,
        "Longest sequence",
        "Tokens of prompt and response; a longer response gets no score.",
        minimum=8,
        maximum=131_072,
    )


CONFIGS: dict[str, type[Config]] = {
    "sample": SampleConfig,
    "reward": RewardConfig,
    "dpo": DPOConfig,
    "ppo": PPOConfig,
    "evaluate": EvaluateConfig,
    "score": ScoreConfig,
}


def parse_config(kind: str, values: Mapping[str, Any]) -> Config:
    """Build the config of `kind` from plain JSON values; raises BadConfig for anything it does not know."""
    if kind not in CONFIGS:
        raise BadConfig("kind", f"{kind!r} is not one of {', '.join(CONFIGS)}")
    config_class = CONFIGS[kind]
    known = {field.name for field in dataclasses.fields(config_class)}
    for name in values:
        if name not in known:
            raise BadConfig(str(name), f"unknown setting of a {kind} run; known are {', '.join(sorted(known))}")
    clean: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return config_class(**clean)


def config_values(config: Config) -> dict[str, Any]:
    """Return `config` as plain JSON values; `parse_config` reads them back."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(config).items()}
