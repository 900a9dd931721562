"""In which order a run takes its rows: by their weights, and those of like length together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler
from transformers import Trainer

POOL = 50
"""Batches among which rows are sorted by length; fewer where there are fewer rows, so that no order repeats itself."""
POOLS = 4
"""At least so many pools in each pass."""


class Draws(Sampler[int]):
    """A pass over the rows; the same one for the same seed and epoch, another one for the next epoch.

    Where weights differ, a pass draws as many rows as there are, each as likely as its weight says: in the long run the
    gradient is that of the weighted loss, and no trainer needs to know of weights. Where lengths are given, rows of
    like length share a batch, so that little is padded, and the batches come in a random order.
    """

    def __init__(
        self, count: int, *, seed: int, weights: Sequence[float] = (), lengths: Sequence[int] = (), batch: int = 1
    ) -> None:
        """`weights` and `lengths` are empty or one for each of `count` rows; `batch` rows are padded together."""
        assert len(weights) in (0, count), f"{len(weights)} weights for {count} rows"
        assert len(lengths) in (0, count), f"{len(lengths)} lengths for {count} rows"
        self.count, self.seed, self.batch, self.epoch = count, seed, batch, 0
        self.weights = torch.tensor(weights, dtype=torch.float64) if len(set(weights)) > 1 else None
        self.lengths = torch.tensor(lengths) if lengths and batch > 1 else None

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        if self.weights is not None:
            order = torch.multinomial(self.weights, self.count, replacement=True, generator=generator)
        else:
            order = torch.randperm(self.count, generator=generator)
        if self.lengths is not None:
            order = self.group(order, self.lengths, generator)
        yield from order.tolist()

    def group(self, order: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Sort `order` by length within each pool, then shuffle the batches; a last, smaller batch stays last."""
        pool = self.batch * max(1, min(POOL, self.count // (self.batch * POOLS)))
        order = torch.cat([part[lengths[part].argsort(stable=True)] for part in order.split(pool)])
        whole = self.count // self.batch * self.batch
        batches = order[:whole].view(-1, self.batch)
        shuffled = batches[torch.randperm(len(batches), generator=generator)].flatten()
        return torch.cat([shuffled, order[whole:]])


def draw_rows(
    trainer: Trainer,
    *,
    seed: int,
    count: int,
    weights: Sequence[float] = (),
    lengths: Sequence[int] = (),
    batch: int = 1,
) -> None:
    """Let the trainer take its rows as Draws says, in batches of `batch` over all processes together.

    Give `lengths` where the run's config says `group_by_length`.
    """
    trainer._get_train_sampler = lambda *_: Draws(count, seed=seed, weights=weights, lengths=lengths, batch=batch)
