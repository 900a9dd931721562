"""All responses to a prompt in one sequence after it: the prompt is read once (arXiv:2410.20305).

A row is the prompt, then its responses. Each has the positions that it would have alone, and sees the prompt and
itself; so every number is that of sequences of their own, for two thirds of the work or less where prompts are long.
Where they are short and responses very long, attention over all of them costs more than it spares, and each batch is
read as is cheaper. It needs a model whose attention takes any mask; a short trial tells whether a model does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from training.ml.estimates import undisturbed
from training.ml.readings import Reading, answered
from training.ml.response_logprobs import IGNORED, scoring_batch

TRIED_TOKENS = 16
"""Of the prompt and of each response, in the trial."""


@dataclass(frozen=True)
class SharedRows:
    """B prompts, each with its responses after it, padded on the right to L."""

    ids: Tensor
    """int64 [B, L]."""
    sees: Tensor
    """bool [B, 1, L, L]: True where a token (row) sees another (column); padding sees itself."""
    positions: Tensor
    """int64 [B, L]."""
    spans: list[list[tuple[int, int]]]
    """By row, where each response lies, half-open."""


def shared_rows(rows: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]], pad_id: int) -> SharedRows:
    """Lay out (prompt, responses)."""
    width = max(len(prompt) + sum(map(len, responses)) for prompt, responses in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    positions = torch.zeros_like(ids)
    before = torch.ones((width, width), dtype=torch.bool).tril()
    sees = torch.eye(width, dtype=torch.bool).repeat(len(rows), 1, 1)
    spans: list[list[tuple[int, int]]] = []
    for row, (prompt, responses) in enumerate(rows):
        first = end = len(prompt)
        of_row = []
        for response in responses:
            start, end = end, end + len(response)
            positions[row, start:end] = torch.arange(first, first + len(response))
            of_row.append((start, end))
        ids[row, :end] = torch.tensor([*prompt, *(token for response in responses for token in response)])
        positions[row, :first] = torch.arange(first)
        sees[row, :end, :end] = before[:end, :end]
        for start, stop in of_row:
            sees[row, start:stop, first:start] = False
        spans.append(of_row)
    return SharedRows(ids, sees[:, None], positions, spans)


def pays(rows: Sequence[tuple[int, Sequence[int]]], hidden: int) -> bool:
    """Tell whether a batch of (tokens of the prompt, tokens of each response) is less work together than apart.

    `hidden` is the model's width. In a sequence of L, a token takes some 24 hidden^2 operations in a layer, and 4 L
    hidden more in its attention, padding included.
    """

    def work(lengths: Sequence[int]) -> float:
        width = max(lengths)
        return len(lengths) * width * (1 + width / (6 * hidden))

    together = [prompt + sum(responses) for prompt, responses in rows]
    return work(together) < work([prompt + one for prompt, responses in rows for one in responses])


def pair_batch(pairs: Sequence[tuple[Reading, Reading]], pad_id: int, hidden: int) -> dict[str, Tensor]:
    """Return a scoring batch of B chosen, then B rejected: as `shared_batch` has them, where that is less work.

    `hidden` is the width of a model that can share, 0 for one that cannot.
    """
    sizes = [(len(chosen.prompt), [chosen.learned_tokens, rejected.learned_tokens]) for chosen, rejected in pairs]
    if hidden and pays(sizes, hidden):
        return shared_batch(pairs, pad_id)
    return scoring_batch([*(chosen for chosen, _ in pairs), *(rejected for _, rejected in pairs)], pad_id)


def width_of(model: PreTrainedModel | PeftModel) -> int:
    """Return the hidden size of `model`."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    return int(inner.config.get_text_config().hidden_size)


def shared_batch(pairs: Sequence[tuple[Reading, Reading]], pad_id: int) -> dict[str, Tensor]:
    """Return B rows of prompt, chosen, rejected for a scoring pass, whose sums are those of B chosen, then B rejected.

    Both readings of a pair have one prompt and then one learned part. int64 [B, L] but for the attention mask, which is
    that of SharedRows.
    """
    prompts = [len(chosen.prompt) for chosen, _ in pairs]
    rows = shared_rows(
        [
            (chosen.prompt, (chosen.ids[prompt:], rejected.ids[prompt:]))
            for (chosen, rejected), prompt in zip(pairs, prompts, strict=True)
        ],
        pad_id,
    )
    labels = torch.full_like(rows.ids, IGNORED)
    sources, sequences = torch.zeros_like(rows.ids), torch.zeros_like(rows.ids)
    sources[:, 1:] = torch.arange(rows.ids.shape[1] - 1)
    for row, (prompt, spans) in enumerate(zip(prompts, rows.spans, strict=True)):
        for number, (start, end) in enumerate(spans):
            labels[row, start:end] = rows.ids[row, start:end]
            sequences[row, start:end] = number * len(pairs) + row
            sources[row, start] = prompt - 1  # the prompt's last token foretells the first of either response
    return {
        "input_ids": rows.ids,
        "attention_mask": rows.sees,
        "position_ids": rows.positions,
        "labels": labels,
        "sources": sources,
        "sequences": sequences,
    }


def can_share(model: PreTrainedModel | PeftModel, pair: tuple[Reading, Reading], pad_id: int) -> bool:
    """Tell whether `model`, which `let_score` has seen, gives a pair in one row what it gives two sequences."""
    short = [shortened(reading) for reading in pair]

    def read(batch: dict[str, Tensor]) -> Tensor:
        return model(**batch, score_responses=True).sums

    return bool(pair[0].prompt) and agrees(
        model, read, scoring_batch(short, pad_id), shared_batch([(short[0], short[1])], pad_id)
    )


def agrees(
    model: PreTrainedModel | PeftModel,
    read: Callable[[dict[str, Tensor]], Tensor],
    apart: dict[str, Tensor],
    together: dict[str, Tensor],
) -> bool:
    """Tell whether `model` takes any mask, and `read` gives the same numbers of both batches."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    config = inner.config.get_text_config()
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    if isinstance(model, PeftModel) and model.active_peft_config.is_prompt_learning:
        return False
    if config._attn_implementation != "sdpa" or set(kinds) != {"full_attention"}:
        return False
    device = next(model.parameters()).device
    with undisturbed(model), torch.no_grad():
        one, other = (
            read({name: tensor.to(device) for name, tensor in batch.items()}).float() for batch in (apart, together)
        )
    return bool(torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(one.abs().max().clamp(max=1.0))))


def shortened(reading: Reading) -> Reading:
    prompt = reading.prompt
    return answered(prompt[-TRIED_TOKENS:], reading.ids[len(prompt) : len(prompt) + TRIED_TOKENS])


@torch.no_grad()
def pair_logprobs(
    model: PreTrainedModel | PeftModel, pairs: Sequence[tuple[Reading, Reading]], pad_id: int, batch_size: int
) -> list[float]:
    """Return log p of chosen and rejected in turn, 2 for each pair; pairs of like length go through together.

    The model can share.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(pairs)), key=lambda place: sum(len(reading.ids) for reading in pairs[place]))
    found = [0.0] * (2 * len(pairs))
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        batch = pair_batch([pairs[place] for place in places], pad_id, width_of(model))
        sums = model(**{name: tensor.to(device) for name, tensor in batch.items()}, score_responses=True).sums
        chosen, rejected = sums.chunk(2)
        for place, better, worse in zip(places, chosen.tolist(), rejected.tolist(), strict=True):
            found[2 * place], found[2 * place + 1] = better, worse
    return found
