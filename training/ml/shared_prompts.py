"""Both responses of a pair after one prompt, in one sequence: the prompt is read once (arXiv:2410.20305).

A row is prompt, chosen, rejected. The rejected response has the positions that it would have without the chosen one,
and does not see it; so every number is that of two sequences, for two thirds of the work or less where prompts are
long. That needs a model whose attention takes any mask; one short pair tells whether a model does.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from training.ml.estimates import undisturbed
from training.ml.readings import Reading, answered
from training.ml.response_logprobs import IGNORED, scoring_batch

TRIED_TOKENS = 16
"""Of the prompt and of each response, in the trial."""


def shared_batch(pairs: Sequence[tuple[Reading, Reading]], pad_id: int) -> dict[str, Tensor]:
    """Return B rows of prompt, chosen, rejected for a scoring pass, whose sums are those of B chosen, then B rejected.

    Both readings of a pair have one prompt and then one learned part. int64 [B, L] but for the attention mask, bool
    [B, 1, L, L], True where a token (row) sees another (column); padding sees itself.
    """
    sizes = [(len(chosen.prompt), chosen.learned_tokens, rejected.learned_tokens) for chosen, rejected in pairs]
    width = max(map(sum, sizes))
    ids = torch.full((len(pairs), width), pad_id, dtype=torch.long)
    labels = torch.full_like(ids, IGNORED)
    positions, sources, sequences = torch.zeros_like(ids), torch.zeros_like(ids), torch.zeros_like(ids)
    before = torch.ones((width, width), dtype=torch.bool).tril()
    sees = torch.eye(width, dtype=torch.bool).repeat(len(pairs), 1, 1)
    for row, ((chosen, rejected), (prompt, better, worse)) in enumerate(zip(pairs, sizes, strict=True)):
        middle, end = prompt + better, prompt + better + worse
        tokens = torch.tensor([*chosen.ids, *rejected.ids[prompt:]])
        ids[row, :end] = tokens
        labels[row, prompt:end] = tokens[prompt:]
        positions[row, :middle] = torch.arange(middle)
        positions[row, middle:end] = torch.arange(prompt, prompt + worse)
        sources[row, 1:] = torch.arange(width - 1)
        sources[row, middle] = prompt - 1  # the prompt's last token foretells the first of either response
        sequences[row, :] = row
        sequences[row, middle:end] = len(pairs) + row
        sees[row, :end, :end] = before[:end, :end]
        sees[row, middle:end, prompt:middle] = False
    return {
        "input_ids": ids,
        "attention_mask": sees[:, None],
        "position_ids": positions,
        "labels": labels,
        "sources": sources,
        "sequences": sequences,
    }


def can_share(model: PreTrainedModel | PeftModel, pair: tuple[Reading, Reading], pad_id: int) -> bool:
    """Tell whether `model`, which `let_score` has seen, gives a pair in one row what it gives two sequences."""
    if isinstance(model, PeftModel):
        if model.active_peft_config.is_prompt_learning:
            return False
        inner = model.get_base_model()
    else:
        inner = model
    config = inner.config.get_text_config()
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    if config._attn_implementation != "sdpa" or set(kinds) != {"full_attention"} or not pair[0].prompt:
        return False
    short = [shortened(reading) for reading in pair]
    device = next(model.parameters()).device
    with undisturbed(model), torch.no_grad():
        apart, together = (
            model(**{name: tensor.to(device) for name, tensor in batch.items()}, score_responses=True).sums
            for batch in (scoring_batch(short, pad_id), shared_batch([(short[0], short[1])], pad_id))
        )
    return bool(torch.allclose(apart, together, rtol=1e-3, atol=1e-3))


def shortened(reading: Reading) -> Reading:
    prompt = reading.prompt
    return answered(prompt[-TRIED_TOKENS:], reading.ids[len(prompt) : len(prompt) + TRIED_TOKENS])


@torch.no_grad()
def pair_logprobs(
    model: PreTrainedModel | PeftModel, pairs: Sequence[tuple[Reading, Reading]], pad_id: int, batch_size: int
) -> list[float]:
    """Return log p of chosen and rejected in turn, 2 for each pair; pairs of like length go through together."""
    device = next(model.parameters()).device
    order = sorted(range(len(pairs)), key=lambda place: sum(len(reading.ids) for reading in pairs[place]))
    found = [0.0] * (2 * len(pairs))
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        batch = shared_batch([pairs[place] for place in places], pad_id)
        sums = model(**{name: tensor.to(device) for name, tensor in batch.items()}, score_responses=True).sums
        chosen, rejected = sums.chunk(2)
        for place, better, worse in zip(places, chosen.tolist(), rejected.tolist(), strict=True):
            found[2 * place], found[2 * place + 1] = better, worse
    return found
