"""Prompts and responses as padded tensors, and what a model says about them.

In a Rollouts batch, prompts end and responses begin at one column: prompts are padded on the left, responses on the
right, so that the last `T + 1` columns of logits are all that is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from training.ml.rl import logprobs_from_logits, masked_sum


@dataclass(frozen=True)
class Rollouts:
    """B prompts of up to P tokens, each with a response of up to T."""

    ids: Tensor
    """int64 [B, P + T]."""
    attention_mask: Tensor
    """int64 [B, P + T]: 1 on real tokens."""
    response_mask: Tensor
    """bool [B, T]: True on response tokens, the end token included."""

    @property
    def response_ids(self) -> Tensor:
        return self.ids[:, -self.response_mask.shape[1] :]

    @property
    def position_ids(self) -> Tensor:
        return (self.attention_mask.cumsum(-1) - 1).clamp(min=0)

    def __getitem__(self, rows: Tensor) -> Rollouts:
        """Return these rows, as wide as they themselves need: columns that would be padding in all of them are cut."""
        attention, mask = self.attention_mask[rows], self.response_mask[rows]
        start = int(attention.any(0).long().argmax())
        length = int(mask.sum(1).max())
        end = attention.shape[1] - (mask.shape[1] - length)
        return Rollouts(self.ids[rows, start:end], attention[:, start:end], mask[:, :length])

    def __len__(self) -> int:
        return len(self.ids)


def lay_out(
    prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], pad_id: int, device: torch.device
) -> Rollouts:
    """Pad prompts on the left and responses on the right; no response may be empty."""
    assert len(prompts) == len(responses), f"{len(prompts)} prompts for {len(responses)} responses"
    assert all(responses), "a response has no token"
    widest_prompt, widest_response = max(map(len, prompts)), max(map(len, responses))
    ids = torch.full((len(prompts), widest_prompt + widest_response), pad_id, dtype=torch.long)
    attention = torch.zeros_like(ids)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        start, end = widest_prompt - len(prompt), widest_prompt + len(response)
        ids[row, start:end] = torch.tensor([*prompt, *response])
        attention[row, start:end] = 1
    return Rollouts(ids.to(device), attention.to(device), attention[:, widest_prompt:].bool().to(device))


def response_logits(model: PreTrainedModel, rollouts: Rollouts) -> Tensor:
    """Return the logits that predict each response token, [B, T, V]."""
    length = rollouts.response_mask.shape[1]
    logits = model(
        input_ids=rollouts.ids,
        attention_mask=rollouts.attention_mask,
        position_ids=rollouts.position_ids,
        logits_to_keep=length + 1,
        use_cache=False,
    ).logits
    return logits[:, :-1]


def response_logits_and_states(model: PreTrainedModel, rollouts: Rollouts) -> tuple[Tensor, Tensor]:
    """Return what `response_logits` and `response_states` would, in one pass."""
    length = rollouts.response_mask.shape[1]
    read = model(
        input_ids=rollouts.ids,
        attention_mask=rollouts.attention_mask,
        position_ids=rollouts.position_ids,
        logits_to_keep=length + 1,
        output_hidden_states=True,
        use_cache=False,
    )
    return read.logits[:, :-1], read.hidden_states[-1][:, -length - 1 : -1]


def response_states(trunk: nn.Module, rollouts: Rollouts) -> Tensor:
    """Return the hidden state from which each response token was chosen, [B, T, hidden]."""
    length = rollouts.response_mask.shape[1]
    hidden = trunk(
        input_ids=rollouts.ids,
        attention_mask=rollouts.attention_mask,
        position_ids=rollouts.position_ids,
        use_cache=False,
    ).last_hidden_state
    return hidden[:, -length - 1 : -1]


def hidden_states(trunk: nn.Module, sequences: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Return the hidden state on every token, [B, L, hidden]; sequences are padded on the right."""
    device = next(trunk.parameters()).device
    width = max(map(len, sequences))
    ids = torch.tensor([[*s, *[pad_id] * (width - len(s))] for s in sequences], device=device)
    lengths = torch.tensor([len(s) for s in sequences], device=device)
    attention = (torch.arange(width, device=device) < lengths[:, None]).long()
    return trunk(input_ids=ids, attention_mask=attention, use_cache=False).last_hidden_state


def last_of(hidden: Tensor, sequences: Sequence[Sequence[int]]) -> Tensor:
    """Return of `hidden`, [B, L, hidden], the state on the last token of each sequence, [B, hidden]."""
    ends = torch.tensor([len(s) - 1 for s in sequences], device=hidden.device)
    return hidden[torch.arange(len(sequences), device=hidden.device), ends]


def last_states(trunk: nn.Module, sequences: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Return the hidden state on the last token of each sequence, [B, hidden]; padded on the right."""
    return last_of(hidden_states(trunk, sequences, pad_id), sequences)


@torch.no_grad()
def sequence_scores(
    trunk: nn.Module, head: nn.Module, sequences: Sequence[Sequence[int]], pad_id: int, batch_size: int
) -> list[float]:
    """Return the score that `head` reads on the last token of each sequence."""
    scores: list[float] = []
    for start in range(0, len(sequences), batch_size):
        scores += head(last_states(trunk, sequences[start : start + batch_size], pad_id)).squeeze(-1).float().tolist()
    return scores


@torch.no_grad()
def sequence_logprobs(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    pad_id: int,
    batch_size: int,
) -> list[float]:
    """Return log p(response | prompt), summed over the response's tokens, for each pair."""
    device = next(model.parameters()).device
    sums: list[float] = []
    for start in range(0, len(prompts), batch_size):
        end = start + batch_size
        rollouts = lay_out(prompts[start:end], responses[start:end], pad_id, device)
        logprobs = logprobs_from_logits(response_logits(model, rollouts), rollouts.response_ids)
        for row in range(len(rollouts)):
            one = slice(row, row + 1)
            sums.append(float(masked_sum(logprobs[one], rollouts.response_mask[one])))
    return sums
