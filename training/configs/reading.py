"""Kinds that leave weights as they are: sampling, evaluating, scoring."""

from __future__ import annotations

from dataclasses import dataclass

from training.configs.base import BadConfig, Config, setting


@dataclass(frozen=True)
class SampleConfig(Config):
    """Responses of a policy to prompts."""

    temperatures: tuple[float, ...] = setting(
        (0.3, 1.0), "Temperatures", "One set of responses for each.", minimum=0.0, maximum=5.0
    )
    responses_per_temperature: int = setting(
        1, "Responses per temperature", "To each prompt, drawn apart.", minimum=1, maximum=16
    )
    best_of: int = setting(
        1,
        "Best of",
        "Each response is the best of so many drafts, by the reward model; 1 takes the first draft.",
        minimum=1,
        maximum=256,
    )
    top_p: float = setting(
        0.95,
        "Top p",
        "Words are drawn from the likeliest that make up this share.",
        minimum=0.01,
        maximum=1.0,
        advanced=True,
    )
    max_new_tokens: int = setting(96, "Longest response", "Tokens.", minimum=1, maximum=32_768)
    batch_size: int = setting(8, "Batch size", "Prompts generated together.", minimum=1, maximum=1024, advanced=True)
    precision: str = setting(
        "bfloat16",
        "Precision",
        "bfloat16 is faster where the processor has it, and rounds.",
        choices=("float32", "bfloat16"),
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperatures:
            raise BadConfig("temperatures", "give at least one temperature")
        if len(self.temperatures) * self.responses_per_temperature > 64:
            raise BadConfig("responses_per_temperature", "more than 64 responses per prompt")
        if self.best_of > 1 and 0.0 in self.temperatures:
            raise BadConfig("best_of", "at temperature 0 all drafts are the same; leave that temperature out")

    @property
    def responses(self) -> int:
        """How many responses each model writes to a prompt."""
        return len(self.temperatures) * self.responses_per_temperature


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """Accuracy on a snapshot's evaluation split; or a policy against its reference, judged by a reward model."""

    batch_size: int = setting(
        8, "Batch size", "Rows, or prompts, per forward pass.", minimum=1, maximum=4096, advanced=True
    )
    max_length: int = setting(512, "Longest sequence", "Tokens.", minimum=8, maximum=131_072, advanced=True)
    max_new_tokens: int = setting(
        96,
        "Longest response",
        "Tokens; where a policy writes against its reference.",
        minimum=1,
        maximum=32_768,
    )
    temperature: float = setting(0.7, "Temperature", "Of what they write.", minimum=0.0, maximum=5.0, advanced=True)
    precision: str = setting(
        "float32",
        "Precision",
        "bfloat16 is faster where the processor has it, and rounds.",
        choices=("float32", "bfloat16"),
        advanced=True,
    )


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
    precision: str = setting(
        "float32",
        "Precision",
        "bfloat16 is faster where the processor has it, and rounds.",
        choices=("float32", "bfloat16"),
        advanced=True,
    )
