"""Best-of-n: of several drafts of a response, the one that a reward model likes best."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from feedback.contract import Message
from training.ml.chat import prompt_ids, response_ids
from training.ml.models import load_tokenizer
from training.ml.reward_models import check_reward_source, load_scorer
from training.rundir import ModelSource

READ_TOGETHER = 16
"""Drafts in one forward pass of the reward model."""


class Judge:
    """A reward model that reads text with its own tokenizer and chat template, whoever wrote it."""

    def __init__(self, source: ModelSource | None) -> None:
        self.tokenizer = load_tokenizer(check_reward_source(source))
        self.scorer = load_scorer(source, self.tokenizer)

    def scores(self, chats: Sequence[Sequence[Message]], texts: Sequence[str]) -> Tensor:
        """Return the score of each text as a response to its chat, a mean over members; float32 [B] on the CPU."""
        sequences = [
            [*prompt_ids(self.tokenizer, chat), *response_ids(self.tokenizer, text)]
            for chat, text in zip(chats, texts, strict=True)
        ]
        return self.scorer.scores(sequences, READ_TOGETHER).mean(0)


def best_drafts(scores: Tensor) -> list[int]:
    """Return which draft of each response scores highest, the first of equals; `scores` is [drafts, B]."""
    assert scores.dim() == 2, f"scores must be [drafts, B], not {tuple(scores.shape)}"
    return torch.argmax(scores, dim=0).tolist()
