"""Prompt tuning's virtual tokens (arXiv:2104.08691) in front of everything that a model reads.

The library's own way to use them drops position ids, so that a padded prompt would be read otherwise than the same
prompt alone. Here the backbone itself puts them first: whoever calls the model, for logits, hidden states or text, need
not know of them, and padding changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

SAID = "virtual_tokens"
"""Attribute of a model that reads virtual tokens first: how many."""


def virtual_tokens(model: nn.Module) -> int:
    """Return how many virtual tokens `model` reads first without being told; 0 for most."""
    return getattr(model, SAID, 0)


def read_first(model: PreTrainedModel, tokens: Tensor) -> contextlib.ExitStack:
    """Let `model` read `tokens`, [V, hidden], before each sequence; closing what is returned ends that."""
    trunk = getattr(model, model.base_model_prefix)
    tokens = tokens.to(device=next(trunk.parameters()).device, dtype=model.dtype)
    before = trunk.register_forward_pre_hook(Before(tokens), with_kwargs=True)
    after = trunk.register_forward_hook(drop_virtual(len(tokens)), with_kwargs=True)
    setattr(model, SAID, len(tokens))
    undo = contextlib.ExitStack()
    undo.callback(before.remove)
    undo.callback(after.remove)
    undo.callback(delattr, model, SAID)
    return undo


@contextlib.contextmanager
def reading_first(model: PreTrainedModel, tokens: Tensor) -> Iterator[PreTrainedModel]:
    with read_first(model, tokens):
        yield model


def cache_of(arguments: dict[str, Any]) -> Any:
    found = arguments.get("cache")
    return arguments.get("past_key_values") if found is None else found


class Before:
    """Puts the virtual tokens' embeddings in front, once per sequence, and counts positions from the first of them."""

    def __init__(self, tokens: Tensor) -> None:
        self.tokens = tokens

    def __call__(
        self, trunk: Any, args: tuple[Any, ...], arguments: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        assert not args, "a backbone with virtual tokens is called by keyword"
        arguments = dict(arguments)
        cache = cache_of(arguments)
        seen = cache.get_seq_length() if cache is not None else 0
        ids, embeddings = arguments.pop("input_ids", None), arguments.get("inputs_embeds")
        if embeddings is None:
            embeddings = trunk.get_input_embeddings()(ids)
        batch, length = embeddings.shape[:2]
        mask, count = arguments.get("attention_mask"), len(self.tokens)
        if mask is None:
            mask = embeddings.new_ones((batch, max(seen - count, 0) + length), dtype=torch.long)
        assert mask.dim() == 2, "virtual tokens need a mask over tokens, [B, L]"
        mask = torch.cat([mask.new_ones((batch, count)), mask], dim=1)
        if not seen:
            first = self.tokens.to(embeddings.dtype).expand(batch, -1, -1)
            embeddings = torch.cat([first, embeddings], dim=1)
        arguments["inputs_embeds"], arguments["attention_mask"] = embeddings, mask
        positions = (mask.long().cumsum(-1) - 1).clamp(min=0)
        arguments["position_ids"] = positions[:, -embeddings.shape[1] :]
        arguments.pop("cache_position", None)
        return args, arguments


def drop_virtual(count: int) -> Any:
    """Return a hook that takes the virtual tokens' hidden states out, so that outputs fit the inputs again."""

    def after(trunk: Any, args: Any, arguments: dict[str, Any], output: Any) -> Any:
        given = arguments["inputs_embeds"].shape[1]
        cache = cache_of(arguments)
        first_pass = cache is None or cache.get_seq_length() == given
        if first_pass:
            output["last_hidden_state"] = output.last_hidden_state[:, count:]
        return output

    return after
