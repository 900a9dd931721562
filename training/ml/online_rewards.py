"""What a response is worth to a policy that learns from its own: by a reward model, a function, or the sum of both.

A response that was cut off is closed with the end token before it is scored, as in the reward model's training data,
and pays for it; so does a long one where the run says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from feedback.contract import TRAIN, Message
from training.configs import OnlineConfig
from training.ml import CannotRun, rl
from training.ml.chat import prompt_ids
from training.ml.models import backbone, check_source, load_reward_model, pick_device
from training.ml.readings import Reading
from training.ml.reward_functions import RewardFunction, load_reward_function
from training.ml.sampling import NoPrompts, read_prompts, readable
from training.ml.sequences import sequence_scores
from training.rundir import RunDirectory, RunSpec


class NoReward(CannotRun):
    """The run names neither a reward model nor a reward function."""


@dataclass(frozen=True)
class OnlinePrompt:
    """A prompt that the policy answers while it learns."""

    prompt_id: str
    messages: list[Message]
    ids: list[int]

    @property
    def name(self) -> str:
        return f"prompt {self.prompt_id}"

    def readings(self) -> list[Reading]:
        return [Reading(self.ids)]


@dataclass(frozen=True)
class Rewarded:
    """What B responses are worth; float32 tensors [B] on the CPU."""

    texts: list[str]
    scores: Tensor
    """What the reward model and the function say together."""
    rewards: Tensor
    """The scores, less the penalties for a missing end and for length."""
    finished: Tensor
    """bool [B]: False where the response was cut off."""


def train_prompts(run: RunDirectory, tokenizer: PreTrainedTokenizerBase) -> list[OnlinePrompt]:
    """Return the run's prompts of the train split; held-out prompts are never trained on."""
    rows = [row for row in read_prompts(run) if row["split"] == TRAIN]
    if not rows:
        raise NoPrompts("every prompt of this run is held out for evaluation; a policy learns from none of those")
    return [OnlinePrompt(row["prompt_id"], row["messages"], prompt_ids(tokenizer, row["messages"])) for row in rows]


class OnlineRewards:
    """Gives responses their rewards; made by `load_rewards`."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        config: OnlineConfig,
        model: torch.nn.Module | None,
        function: RewardFunction | None,
    ) -> None:
        self.tokenizer = tokenizer
        self.config = config
        self.model = model
        self.function = function

    def __call__(self, prompts: Sequence[OnlinePrompt], responses: Sequence[Sequence[int]]) -> Rewarded:
        """Return what each response (its token ids, the end token included where it was written) is worth."""
        end_id, config = self.tokenizer.eos_token_id, self.config
        texts = [readable(self.tokenizer, tokens) for tokens in responses]
        finished = torch.tensor([tokens[-1] == end_id for tokens in responses])
        scores = torch.zeros(len(responses))
        if self.model is not None:
            closed = [
                [*prompt.ids, *tokens, *([] if tokens[-1] == end_id else [end_id])]
                for prompt, tokens in zip(prompts, responses, strict=True)
            ]
            members = self.member_scores(closed)
            scores += rl.aggregate(members, config.reward_aggregation, config.variance_penalty)
        if self.function is not None:
            scores += torch.tensor(self.function([prompt.messages for prompt in prompts], texts))
        lengths = torch.tensor([len(tokens) for tokens in responses])
        penalties = config.missing_eos_penalty * (~finished).float() + config.length_penalty * lengths / 100
        return Rewarded(texts, scores, scores - penalties, finished)

    def member_scores(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """Return what each member of the reward model says of each closed sequence, [members, B]."""
        assert self.model is not None
        values = sequence_scores(
            backbone(self.model), self.model.score, sequences, self.tokenizer.pad_token_id, len(sequences)
        )
        return torch.tensor([values])


def load_rewards(spec: RunSpec, config: OnlineConfig, tokenizer: PreTrainedTokenizerBase) -> OnlineRewards:
    """Load the run's reward model and reward function; raises NoReward where it names neither."""
    if spec.reward is None and not config.reward_function:
        raise NoReward("nothing scores what the policy writes: name a reward model or a reward_function")
    function = load_reward_function(config.reward_function) if config.reward_function else None
    model = None
    if spec.reward is not None:
        source = check_source(spec.reward, "reward model")
        model = load_reward_model(source, tokenizer).to(pick_device()).eval().requires_grad_(False)
    return OnlineRewards(tokenizer, config, model, function)
