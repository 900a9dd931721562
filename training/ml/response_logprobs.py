"""Log-probabilities of responses from a model that is being trained, with the output layer on their tokens alone.

A vocabulary is wide: the logits of a batch take more memory than the rest, and on small models most of the time. So the
output layer sees the response tokens only, in pieces whose logits are worked out a second time on the way back. The
model keeps its forward, so that whatever wraps it (adapters, data parallel, virtual tokens) works as ever.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from training.ml.models import backbone
from training.ml.readings import Reading

IGNORED = -100
PIECE = 2**25
"""Logits that are held at once; 128 MiB in float32."""
BENT = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")
"""Settings of models that do more to their logits than multiply by the output layer's weights."""


@dataclass
class ResponseLogprobs(ModelOutput):
    """What a scoring pass gives."""

    sums: Tensor | None = None
    """float32 [B]: log p of each sequence's labels, summed."""
    counts: Tensor | None = None
    """int64 [B]: how many labels that were."""
    tokens: Tensor | None = None
    """float32 [N]: log p of each label, row after row."""
    likeliest: Tensor | None = None
    """bool [N]: whether the model thinks no other token likelier; only where asked for."""


def let_score(model: PreTrainedModel | PeftModel) -> None:
    """Let `model(..., labels=labels, score_responses=True)` return ResponseLogprobs; other calls stay as they are.

    Labels are the input ids, IGNORED where a token is not to be scored. Each is foretold by the token before it, or by
    the one at `sources`, and counts for its row, or for the sequence in `sequences`; int64 [B, L] all of them.
    `tell_likeliest` asks for what takes another look at all logits.
    """
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    forward = inner.forward

    @functools.wraps(type(inner).forward)
    def scoring(
        self: Any,
        *args: Any,
        score_responses: bool = False,
        labels: Tensor | None = None,
        sources: Tensor | None = None,
        sequences: Tensor | None = None,
        tell_likeliest: bool = False,
        **kwargs: Any,
    ) -> Any:
        if not score_responses:
            return forward(*args, **kwargs) if labels is None else forward(*args, labels=labels, **kwargs)
        assert labels is not None, "scoring needs labels"
        rows, places = (labels != IGNORED).nonzero(as_tuple=True)
        before = places - 1 if sources is None else sources[rows, places]
        owners, count = (rows, len(labels)) if sequences is None else (sequences[rows, places], 2 * len(labels))
        targets = labels[rows, places]
        if any(getattr(self.config.get_text_config(), name, None) not in (None, 1, 1.0) for name in BENT):
            kept, at = before.unique(return_inverse=True)
            logits = forward(*args, logits_to_keep=kept, use_cache=False, **kwargs).logits[rows, at]
            found, likeliest = of_logits(logits, targets, tell_likeliest)
        else:
            hidden = backbone(self)(*args, use_cache=False, **kwargs).last_hidden_state
            found, likeliest = token_logprobs(
                hidden[rows, before], self.get_output_embeddings(), targets, tell_likeliest=tell_likeliest
            )
        sums = torch.zeros(count, dtype=torch.float32, device=found.device).index_add(0, owners, found)
        return ResponseLogprobs(
            sums=sums,
            counts=torch.bincount(owners, minlength=count),
            tokens=found,
            likeliest=likeliest if tell_likeliest else None,
        )

    inner.forward = types.MethodType(scoring, inner)


def of_logits(logits: Tensor, targets: Tensor, tell_likeliest: bool) -> tuple[Tensor, Tensor]:
    """Return log p(target), float32 [N], and whether it is the likeliest, bool [N] (none where nobody asks)."""
    logits = logits.float()
    likeliest = logits.detach().argmax(-1) == targets if tell_likeliest else targets.new_zeros(0, dtype=torch.bool)
    return -cross_entropy(logits, targets, reduction="none"), likeliest


def token_logprobs(
    hidden: Tensor, head: nn.Module, targets: Tensor, *, tell_likeliest: bool = False
) -> tuple[Tensor, Tensor]:
    """Return what `of_logits` would for each of N hidden states; hidden [N, width], targets int64 [N]."""

    def piece(states: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        return of_logits(head(states), wanted, tell_likeliest)

    vocabulary = next(head.parameters()).shape[0]
    size = max(1, PIECE // vocabulary)
    if len(targets) <= size:
        return piece(hidden, targets)
    pieces = zip(hidden.split(size), targets.split(size), strict=True)
    found = [checkpoint(piece, states, wanted, use_reentrant=False) for states, wanted in pieces]
    logprobs, likeliest = zip(*found, strict=True)
    return torch.cat(logprobs), torch.cat(likeliest)


def scoring_batch(readings: Sequence[Reading], pad_id: int) -> dict[str, Tensor]:
    """Return sequences padded on the right as {"input_ids", "attention_mask", "labels"}, int64 [B, L]."""
    width = max(len(reading.ids) for reading in readings)
    ids = torch.full((len(readings), width), pad_id, dtype=torch.long)
    attention = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, reading in enumerate(readings):
        tokens = torch.tensor(list(reading.ids))
        ids[row, : len(tokens)] = tokens
        attention[row, : len(tokens)] = 1
        for start, end in reading.learned:
            labels[row, start:end] = tokens[start:end]
    return {"input_ids": ids, "attention_mask": attention, "labels": labels}


@torch.no_grad()
def response_logprobs(
    model: PreTrainedModel | PeftModel, readings: Sequence[Reading], pad_id: int, batch_size: int
) -> list[float]:
    """Return log p(response | prompt) of each sequence from a model that `let_score` has seen.

    Sequences of like length go through together.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(readings)), key=lambda place: len(readings[place].ids))
    sums = [0.0] * len(readings)
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        batch = scoring_batch([readings[place] for place in places], pad_id)
        found = model(**{name: tensor.to(device) for name, tensor in batch.items()}, score_responses=True).sums
        for place, value in zip(places, found.tolist(), strict=True):
            sums[place] = value
    return sums
