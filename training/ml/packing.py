"""Several rows in one sequence, each read by itself.

Positions start anew with each row, and attention keeps what it reads apart by them; models that do not do that are
found out before the first step.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import TypeVar

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from training.ml import CannotRun
from training.ml.responses import ResponseTokens

R = TypeVar("R", bound=ResponseTokens)

TRIAL_TOKENS = 32
TOLERANCE = 1e-3
"""Of logits; what other sums of the same numbers may differ by, far below what another row's words would do."""


class MixesRows(CannotRun):
    """The model reads what stands before a row in its sequence."""


def pack(rows: Sequence[R], room: int) -> list[tuple[R, ...]]:
    """Return the rows in sequences of at most `room` tokens: the longest first, each where it fits most tightly."""
    packs: list[list[R]] = []
    spaces: list[tuple[int, int]] = []  # (tokens left, place in packs), sorted
    for row in sorted(rows, key=lambda row: len(row.ids), reverse=True):
        length = len(row.ids)
        assert length <= room, f"a row has {length} tokens and a sequence {room}"
        fit = bisect_left(spaces, (length, -1))
        if fit == len(spaces):
            left, place = room, len(packs)
            packs.append([])
        else:
            left, place = spaces.pop(fit)
        packs[place].append(row)
        insort(spaces, (left - length, place))
    return [tuple(one) for one in packs]


@torch.no_grad()
def refuse_mixing(model: PreTrainedModel | PeftModel, rows: Sequence[ResponseTokens]) -> None:
    """Raise MixesRows unless `model` reads the second of two packed rows as it reads it alone."""
    if len(rows) < 2:
        return
    first, second = (list(row.ids[:TRIAL_TOKENS]) for row in rows[:2])
    device = next(model.parameters()).device
    ids = torch.tensor([[*first, *second]], device=device)
    positions = torch.tensor([[*range(len(first)), *range(len(second))]], device=device)
    was_training = model.training
    model.eval()
    packed = model(input_ids=ids, position_ids=positions, use_cache=False).logits[0, len(first) :]
    alone = model(input_ids=ids[:, len(first) :], use_cache=False).logits[0]
    model.train(was_training)
    gap = float((packed - alone).abs().max())
    if gap > TOLERANCE * max(1.0, float(alone.abs().max())):
        raise MixesRows(
            f"packing: {model.config.model_type} models mix the rows of one sequence (a logit is off by {gap:.3g}); "
            "switch packing off"
        )
