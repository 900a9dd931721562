"""What a response is worth to a policy that learns from its own: by a reward model, a function, or the sum of both.

A response that was cut off is closed with the end token before it is scored, as in the reward model's training data,
and pays for it; so does a long one where the run says so. A reward model on another base reads the text with its own
tokenizer and chat template.
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
from training.ml.chat import prompt_ids, response_ids, template_digest
from training.ml.models import load_tokenizer
from training.ml.readings import Reading
from training.ml.reward_functions import RewardFunction, load_reward_function
from training.ml.reward_models import Scorer, check_reward_source, load_scorer
from training.ml.sampling import NoPrompts, read_prompts, readable
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
        scorer: Scorer | None,
        function: RewardFunction | None,
        reader: PreTrainedTokenizerBase | None = None,
    ) -> None:
        """`reader` is the reward model's tokenizer where that is another than the policy's."""
        self.tokenizer = tokenizer
        self.config = config
        self.scorer = scorer
        self.function = function
        self.reader = reader

    def __call__(self, prompts: Sequence[OnlinePrompt], responses: Sequence[Sequence[int]]) -> Rewarded:
        """Return what each response (its token ids, the end token included where it was written) is worth."""
        end_id, config = self.tokenizer.eos_token_id, self.config
        texts = [readable(self.tokenizer, tokens) for tokens in responses]
        finished = torch.tensor([tokens[-1] == end_id for tokens in responses])
        scores = torch.zeros(len(responses))
        if self.scorer is not None:
            sequences = [self.as_read(*one) for one in zip(prompts, responses, texts, strict=True)]
            members = self.scorer.scores(sequences, len(sequences))
            scores += rl.aggregate(members, config.reward_aggregation, config.variance_penalty)
        if self.function is not None:
            scores += torch.tensor(self.function([prompt.messages for prompt in prompts], texts))
        lengths = torch.tensor([len(tokens) for tokens in responses])
        penalties = config.missing_eos_penalty * (~finished).float() + config.length_penalty * lengths / 100
        return Rewarded(texts, scores, scores - penalties, finished)

    def as_read(self, prompt: OnlinePrompt, response: Sequence[int], text: str) -> list[int]:
        """Return the token ids that the reward model reads, closed with its end token."""
        if self.reader is not None:
            return [*prompt_ids(self.reader, prompt.messages), *response_ids(self.reader, text)]
        end_id = self.tokenizer.eos_token_id
        return [*prompt.ids, *response, *([] if response[-1] == end_id else [end_id])]


def load_rewards(spec: RunSpec, config: OnlineConfig, tokenizer: PreTrainedTokenizerBase) -> OnlineRewards:
    """Load the run's reward model and reward function; raises NoReward where it names neither."""
    if spec.reward is None and not config.reward_function:
        raise NoReward("nothing scores what the policy writes: name a reward model or a reward_function")
    function = load_reward_function(config.reward_function) if config.reward_function else None
    scorer, reader = None, None
    if spec.reward is not None:
        own = load_tokenizer(check_reward_source(spec.reward))
        reader = None if reads_alike(own, tokenizer) else own
        scorer = load_scorer(spec.reward, own)
    return OnlineRewards(tokenizer, config, scorer, function, reader)


def reads_alike(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    """Tell whether two tokenizers make the same ids of a chat."""
    return template_digest(one) == template_digest(other) and one.get_vocab() == other.get_vocab()
