"""Reading a snapshot's thumbs up and down as token ids, and giving each response another row's prompt."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedback.contract import EVALUATION, TRAIN
from training.ml.chat import prompt_ids, response_ids
from training.ml.readings import Reading, answered
from training.ml.snapshots import WEIGHT, open_snapshot, row_name
from training.rundir import RunSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

COLUMNS = ("prompt", "completion", "label", "judgment_id", "task_id")


@dataclass(frozen=True)
class ThumbTokens:
    """One response with its thumb; it ends with the end token."""

    prompt: list[int]
    response: list[int]
    is_up: bool
    name: str
    weight: float = 1.0

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.response)

    def readings(self) -> list[Reading]:
        return [answered(self.prompt, self.response, "thumb up" if self.is_up else "thumb down")]


def read_thumbs(spec: RunSpec, tokenizer: PreTrainedTokenizerBase) -> tuple[list[ThumbTokens], list[ThumbTokens]]:
    """Return (train, evaluation) of the run's verified snapshot; raises NothingToLearnFrom where it has no thumbs."""
    tables = open_snapshot(spec)
    tables.require(["unpaired"], spec.kind)
    train, evaluation = (
        [
            ThumbTokens(
                prompt=prompt_ids(tokenizer, row["prompt"]),
                response=response_ids(tokenizer, row["completion"][-1]["content"]),
                is_up=bool(row["label"]),
                name=row_name(row, split, number),
                weight=row.get(WEIGHT, 1.0),
            )
            for number, row in enumerate(tables.rows("unpaired", split, COLUMNS), start=1)
        ]
        for split in (TRAIN, EVALUATION)
    )
    return train, evaluation


def mismatched(rows: Sequence[ThumbTokens], seed: int) -> list[Reading]:
    """Return each row's prompt with a response to another prompt, every response once, the same for the same seed.

    Where all rows have one prompt there is no other, and a row gets its neighbour's response.
    """
    order = list(range(len(rows)))
    random.Random(f"{seed}:mismatched").shuffle(order)
    # In the order of their prompts, a shift by the longest run of one prompt meets another prompt everywhere.
    order.sort(key=lambda place: rows[place].prompt)
    counts: dict[tuple[int, ...], int] = {}
    for row in rows:
        counts[tuple(row.prompt)] = counts.get(tuple(row.prompt), 0) + 1
    shift = max(counts.values(), default=1)
    shift = shift if shift < len(rows) else 1
    partner = {place: order[(at + shift) % len(order)] for at, place in enumerate(order)}
    return [answered(row.prompt, rows[partner[place]].response) for place, row in enumerate(rows)]
