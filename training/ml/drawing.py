"""In which order a run takes its rows: random, by weight, and those of like length in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import Trainer

from training.configs import TrainingConfig

BATCHES_SORTED_TOGETHER = 50


class Draw(Sampler[int]):
    """Draws as many rows as there are; the same ones in the same order for the same seed and epoch.

    Where weights differ, each row is as likely as its weight says, drawn with replacement: in the long run the gradient
    is that of the weighted loss, and no trainer needs to know of weights. Otherwise every row comes once.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        weights: Sequence[float],
        *,
        batch_size: int,
        seed: int,
        group_by_length: bool,
        sides: Sequence[bool] | None = None,
    ) -> None:
        """`sides` part the rows in two, of which each batch of rows of like length has its share."""
        assert len(lengths) == len(weights), f"{len(lengths)} lengths for {len(weights)} weights"
        self.sides = torch.tensor(sides) if sides is not None else None
        self.lengths = torch.tensor(lengths)
        self.weights = torch.tensor(weights, dtype=torch.float64)
        self.batch_size = batch_size
        self.group_by_length = group_by_length
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        if len(self.weights.unique()) > 1:
            order = torch.multinomial(self.weights, len(self), replacement=True, generator=generator)
        else:
            order = torch.randperm(len(self), generator=generator)
        yield from (self.grouped(order, generator) if self.group_by_length else order).tolist()

    def grouped(self, order: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return `order` with rows of like length in one batch, and the batches in random order.

        Only rows that came near each other in the random order are sorted together, so that batches differ from pass
        to pass. A last batch that is not full stays the last, since a trainer cuts the order anew.
        """
        together = max(self.batch_size, min(self.batch_size * BATCHES_SORTED_TOGETHER, len(order) // 2))
        together -= together % self.batch_size
        full, rest = [], []
        for part in order.split(together):
            batches = part[self.by_length(part)].split(self.batch_size)
            full += [batch for batch in batches if len(batch) == self.batch_size]
            rest += [batch for batch in batches if len(batch) < self.batch_size]
        shuffled = [full[place] for place in torch.randperm(len(full), generator=generator).tolist()]
        return torch.cat([*shuffled, *rest])

    def by_length(self, part: torch.Tensor) -> torch.Tensor:
        """Return an order of the rows `part`, the shortest first, in which both sides come evenly."""
        lengths = self.lengths[part]
        if self.sides is None:
            return lengths.argsort(stable=True)
        place = torch.zeros(len(part), dtype=torch.float64)
        for side in (False, True):
            own = (self.sides[part] == side).nonzero().squeeze(-1)
            place[own[lengths[own].argsort(stable=True)]] = (torch.arange(len(own)) + 0.5).double() / max(1, len(own))
        return place.argsort(stable=True)


def draw(
    trainer: Trainer,
    lengths: Sequence[int],
    weights: Sequence[float],
    config: TrainingConfig,
    sides: Sequence[bool] | None = None,
) -> Draw:
    """Let the trainer take its rows in the order that the config asks for, and return that order."""
    sampler = Draw(
        lengths,
        weights,
        batch_size=config.batch_size,
        seed=config.seed,
        group_by_length=config.group_by_length,
        sides=sides,
    )
    replaced: Any = trainer
    replaced._get_train_sampler = lambda *_: sampler
    return sampler


def rows_to_come(sampler: Draw, config: TrainingConfig) -> list[int]:
    """Return the rows that the run takes, each once, in their own order; all of them when it passes over them all."""
    taken = config.steps * config.batch_size * config.gradient_accumulation
    if taken >= len(sampler):
        return list(range(len(sampler)))
    return sorted(set(islice(iter(sampler), taken)))
