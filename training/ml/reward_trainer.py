"""One training step of a reward model: pairs, ties, rankings and ratings of a batch through one forward pass."""

from __future__ import annotations

import functools
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PreTrainedModel, Trainer
from transformers.modeling_outputs import SequenceClassifierOutput

from training.ml import reward_losses
from training.ml.models import backbone
from training.ml.reward_rows import RewardRow
from training.ml.shared_prompts import TRIED_TOKENS, agrees, pays, shared_rows

Batch = dict[str, Tensor]
SUMS = ("tokens", "right", "gap", "pairs", "reward", "responses")
"""What is added up between two lines of metrics."""


class RewardRows(Dataset[RewardRow]):
    def __init__(self, rows: Sequence[RewardRow]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> RewardRow:
        return self.rows[place]


# What the model is given ------------------------------------------------------------------------------


def let_score_ends(model: PreTrainedModel | PeftModel) -> None:
    """Let `model(..., ends=ends)` return as logits what its head says of these tokens alone, [S, rows of the head].

    `ends` are S times (row, column) of the input ids. Whatever wraps the model works as ever.
    """
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    forward = inner.forward

    @functools.wraps(type(inner).forward)
    def scoring(self: Any, *args: Any, ends: Tensor | None = None, labels: Tensor | None = None, **kwargs: Any) -> Any:
        if ends is None:
            return forward(*args, labels=labels, **kwargs)
        hidden = backbone(self)(*args, use_cache=False, **kwargs).last_hidden_state
        return SequenceClassifierOutput(logits=self.score(hidden[ends[:, 0], ends[:, 1]]))

    inner.forward = types.MethodType(scoring, inner)


def read_apart(rows: Sequence[RewardRow], pad_id: int) -> Batch:
    """Return a sequence for each response, padded on the right: input_ids and attention_mask [S, L], ends [S, 2]."""
    sequences = [sequence for row in rows for sequence in row.sequences]
    ids = torch.full((len(sequences), max(map(len, sequences))), pad_id)
    attention = torch.zeros_like(ids)
    for number, sequence in enumerate(sequences):
        ids[number, : len(sequence)] = torch.tensor(sequence)
        attention[number, : len(sequence)] = 1
    ends = torch.tensor([[number, len(sequence) - 1] for number, sequence in enumerate(sequences)])
    return {"input_ids": ids, "attention_mask": attention, "ends": ends}


def read_together(rows: Sequence[RewardRow], pad_id: int) -> Batch:
    """Return a sequence for each row, its responses after its prompt; the ends are in the order of `read_apart`."""
    shared = shared_rows([(row.prompt, row.responses) for row in rows], pad_id)
    ends = torch.tensor([[number, end - 1] for number, spans in enumerate(shared.spans) for _, end in spans])
    return {
        "input_ids": shared.ids,
        "attention_mask": shared.sees,
        "position_ids": shared.positions,
        "ends": ends,
    }


READ = ("input_ids", "attention_mask", "position_ids", "ends")
"""What of a batch the model is given."""


def can_share_prompts(model: PreTrainedModel | PeftModel, rows: Sequence[RewardRow], pad_id: int) -> bool:
    """Tell whether `model`, which `let_score_ends` has seen, scores the responses to one prompt together as apart."""
    row = next((row for row in rows if len(row.responses) > 1 and row.prompt), None)
    if row is None:
        return False
    short = RewardRow(
        row.name,
        row.prompt[-TRIED_TOKENS:],
        [response[:TRIED_TOKENS] for response in row.responses],
        row.ranks,
    )
    return agrees(
        model, lambda batch: model(**batch).logits, read_apart([short], pad_id), read_together([short], pad_id)
    )


@dataclass(frozen=True)
class Collate:
    """Makes one batch of R rows with S responses."""

    pad_id: int
    attributes: tuple[str, ...]
    use_margin: bool
    hidden: int
    """Width of a model that can read all responses to a prompt in one sequence; 0 for one that cannot."""

    def __call__(self, rows: Sequence[RewardRow]) -> Batch:
        """Return what READ names; tokens []; ranks and place [R, K]; margin [R]; rated [R, attributes].

        `tokens` are those of all sequences, each with its prompt. `place` says which of the S is a row's k-th response,
        where its rank is above 0. `rated` is NaN for none.
        """
        most = max(2, *(len(row.ranks) for row in rows))
        sizes = [(len(row.prompt), [len(response) for response in row.responses]) for row in rows]
        read = read_together if self.hidden and pays(sizes, self.hidden) else read_apart
        ranks = torch.zeros(len(rows), most, dtype=torch.long)
        place = torch.zeros_like(ranks)
        start = 0
        for number, row in enumerate(rows):
            count = len(row.ranks)
            ranks[number, :count] = torch.tensor(row.ranks)
            place[number, :count] = torch.arange(start, start + count)
            start += count
        return {
            **read(rows, self.pad_id),
            "tokens": torch.tensor(sum(len(sequence) for row in rows for sequence in row.sequences)),
            "ranks": ranks,
            "place": place,
            "margin": torch.tensor([row.margin if self.use_margin else 0.0 for row in rows]),
            "rated": torch.tensor([[row.ratings.get(one, torch.nan) for one in self.attributes] for row in rows]),
        }


# What it costs ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Objective:
    """What the scores of a batch cost."""

    heads: int
    """The reward and the attributes."""
    nu: float
    """How likely ties are (reward_losses.tie_prevalence)."""
    use_ties: bool
    centring: float

    def __call__(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss, a mean over members and rows, and SUMS; `logits` [S, members * heads] come from the head."""
        logits = logits.float().view(len(logits), -1, self.heads)
        ranks, place = batch["ranks"], batch["place"]
        there = ranks > 0
        count = there.sum(-1)
        rewards = logits[:, :, 0][place].movedim(-1, 0)  # [members, R, K]
        gap = rewards[..., 0] - rewards[..., 1]
        is_pair, is_tied = count == 2, ranks[:, 0] == ranks[:, 1]
        losses = torch.where(is_pair & ~is_tied, reward_losses.pair_losses(gap, batch["margin"], self.nu), 0.0)
        if self.nu:
            losses = torch.where(is_pair & is_tied, reward_losses.tie_losses(gap, self.nu), losses)
        if bool((count > 2).any()):
            ranked = reward_losses.ranking_losses(rewards, ranks.expand_as(rewards), use_ties=self.use_ties)
            losses = torch.where(count > 2, ranked, losses)
        if self.centring:
            away = reward_losses.off_centre(rewards, there.expand_as(rewards))
            losses = losses + torch.where(count > 1, self.centring * away, 0.0)
        if self.heads > 1:
            ratings = logits[:, :, 1:][place[:, 0]].movedim(1, 0)  # [members, R, attributes]
            losses = losses + reward_losses.rating_losses(ratings, batch["rated"].expand_as(ratings))
        return losses.mean(), self.sums(batch, rewards.detach().mean(0), is_pair & ~is_tied)

    @staticmethod
    def sums(batch: Batch, rewards: Tensor, decided: Tensor) -> Tensor:
        gap = (rewards[:, 0] - rewards[:, 1])[decided]
        right = (gap > 0).double() + 0.5 * (gap == 0)
        there = rewards[(batch["ranks"] > 0) & (batch["ranks"] > 0).sum(-1, keepdim=True).gt(1)]
        found = (batch["tokens"], right.sum(), gap.sum(), decided.sum(), there.sum(), there.numel())
        return torch.stack([torch.as_tensor(one, dtype=torch.float64, device=rewards.device) for one in found])


class RewardTrainer(Trainer):
    """transformers' Trainer with our objective; `accuracy` and `margin` are over the step's decided pairs."""

    def __init__(self, *, objective: Objective, **options: Any) -> None:
        super().__init__(**options)
        self.objective = objective
        self.model_accepts_loss_kwargs = False  # our loss is a mean: it is divided where passes are accumulated
        self.can_return_loss = True
        self.label_names: list[str] = []
        self.sums: dict[bool, Tensor | None] = {True: None, False: None}
        """By whether the model is being trained."""
        self.trained_tokens = 0.0

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        logits = model(**{name: inputs[name] for name in READ if name in inputs}).logits
        loss, sums = self.objective(logits, inputs)
        before = self.sums[model.training]
        self.sums[model.training] = sums if before is None else before + sums
        return (loss, {}) if return_outputs else loss

    def prediction_step(
        self, model: nn.Module, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> Any:
        with torch.no_grad(), self.compute_loss_context_manager():
            loss = self.compute_loss(model, self._prepare_inputs(inputs))
        return loss.detach(), None, None

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        is_look = any(name.startswith("eval_") for name in logs)
        sums = self.sums[not is_look]
        if sums is not None:
            self.sums[not is_look] = None
            total = dict(zip(SUMS, self.accelerator.reduce(sums, "sum").tolist(), strict=True))
            prefix = "eval_" if is_look else ""
            if total["pairs"]:
                logs[f"{prefix}accuracy"] = total["right"] / total["pairs"]
                logs[f"{prefix}margin"] = total["gap"] / total["pairs"]
            if total["responses"]:
                logs[f"{prefix}mean_reward"] = total["reward"] / total["responses"]
            if not is_look:
                self.trained_tokens += total["tokens"]
                logs["num_tokens"] = self.trained_tokens
        super().log(logs, start_time)
