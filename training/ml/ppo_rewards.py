"""Where PPO's reward comes from: a reward model or an ensemble of them, a Python function, or both added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from feedback.contract import Message
from training.configs import PPOConfig
from training.ml import rl
from training.ml.readings import Reading
from training.ml.reward_functions import RewardFunction
from training.ml.reward_models import Scorer
from training.ml.shared_models import SharedModels


@dataclass(frozen=True)
class Prompt:
    """What the policy answers."""

    name: str
    """How a message to people calls it."""
    ids: list[int]
    messages: list[Message]

    def readings(self) -> list[Reading]:
        return [Reading(self.ids)]


@dataclass(frozen=True)
class Verdict:
    """What the reward says of B responses."""

    scores: Tensor
    """[B]: the members' scores as one, and the function's added."""
    members: Tensor
    """[members, B]; no member where a function alone gives the reward."""
    states: Tensor | None = None
    """What the value head reads, [B, T, hidden], where that is what the reward model read."""


@dataclass(frozen=True)
class Judge:
    """Scores responses as a run's config asks."""

    models: SharedModels
    config: PPOConfig
    pad_id: int
    end_id: int
    beside: Scorer | None = None
    """Where the reward model does not share the policy's backbone."""
    function: RewardFunction | None = None

    def verdict(self, prompts: Sequence[Prompt], responses: Sequence[list[int]], texts: Sequence[str]) -> Verdict:
        """Score each response; one that was cut off is closed with the end token first, as in the training data."""
        end = self.end_id
        closed = [
            [*prompt.ids, *response, *([] if response[-1] == end else [end])]
            for prompt, response in zip(prompts, responses, strict=True)
        ]
        micro = self.config.minibatch_size // self.config.gradient_accumulation
        states = None
        if self.beside is not None:
            members = self.beside.scores(closed, micro)
        elif self.models.value_reads == "reward":
            starts, length = [len(prompt.ids) for prompt in prompts], max(map(len, responses))
            members, states = self.models.scores_and_states(closed, self.pad_id, micro, starts, length)
        else:
            members = self.models.scores(closed, self.pad_id, micro)
        scores = torch.zeros(len(closed))
        if len(members):
            scores = rl.aggregate(members, self.config.reward_aggregation, self.config.variance_penalty)
        if self.function:
            scores = scores + torch.tensor(self.function([prompt.messages for prompt in prompts], list(texts)))
        return Verdict(scores, members, states)

    def penalties(self, lengths: Tensor, finished: Tensor) -> Tensor:
        """Return what comes off each score, [B]: for a missing end, and for `lengths`, in tokens."""
        return (
            self.config.missing_eos_penalty * (~finished).float() + self.config.length_penalty * lengths.float() / 100
        )
