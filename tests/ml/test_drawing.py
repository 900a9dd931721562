"""The order in which a run takes its rows."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from training.configs import DPOConfig
from training.ml.drawing import Draw, rows_to_come

pytestmark = pytest.mark.torch

LENGTHS = random.Random(3).choices(range(10, 500), k=203)


def drawn(weights: list[float] | None = None, epoch: int = 0, **overrides) -> list[int]:
    options = {"batch_size": 4, "seed": 17, "group_by_length": True, **overrides}
    sampler = Draw(LENGTHS, weights or [1.0] * len(LENGTHS), **options)
    sampler.set_epoch(epoch)
    return list(sampler)


def padding(order: list[int], batch: int = 4) -> int:
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    return sum(max(LENGTHS[row] for row in one) - LENGTHS[row] for one in batches for row in one)


@pytest.mark.parametrize("is_grouped", [True, False])
def test_every_row_comes_once_and_each_pass_has_its_own_order(is_grouped):
    first, second = drawn(group_by_length=is_grouped), drawn(group_by_length=is_grouped, epoch=1)
    assert sorted(first) == sorted(second) == list(range(203))
    assert first != second
    assert first == drawn(group_by_length=is_grouped)


def test_rows_of_like_length_share_a_batch():
    assert padding(drawn()) < 0.2 * padding(drawn(group_by_length=False))


def test_a_batch_does_not_always_hold_the_same_rows():
    first, second = drawn(), drawn(epoch=1)
    batches = [{frozenset(order[start : start + 4]) for start in range(0, 200, 4)} for order in (first, second)]
    assert len(batches[0] & batches[1]) < 5


def test_a_heavier_row_comes_more_often():
    weights = [1.0] * len(LENGTHS)
    weights[7] = 20.0
    counts = Counter(row for epoch in range(50) for row in drawn(weights, epoch))
    assert counts[7] / 50 == pytest.approx(20 / 222 * 203, rel=0.15)
    assert len(drawn(weights)) == 203


def test_a_row_without_weight_never_comes():
    weights = [1.0] * len(LENGTHS)
    weights[7] = 0.0
    assert all(7 not in drawn(weights, epoch) for epoch in range(10))


def test_the_rows_to_come_are_those_that_a_short_run_takes():
    sampler = Draw(LENGTHS, [1.0] * 203, batch_size=4, seed=17, group_by_length=True)
    config = DPOConfig(steps=5, batch_size=4, gradient_accumulation=2)
    assert rows_to_come(sampler, config) == sorted(drawn()[:40])
    assert rows_to_come(sampler, DPOConfig(steps=60)) == list(range(203))


def test_each_batch_has_its_share_of_both_sides_though_one_side_is_shorter():
    sides = [length > 200 for length in LENGTHS[:200]]
    share = sum(sides) / 200
    sampler = Draw(LENGTHS[:200], [1.0] * 200, batch_size=8, seed=17, group_by_length=True, sides=sides)
    order = list(sampler)
    assert sorted(order) == list(range(200))
    for start in range(0, 200, 8):
        assert abs(sum(sides[row] for row in order[start : start + 8]) - 8 * share) <= 1.5
    alone = list(Draw(LENGTHS[:200], [1.0] * 200, batch_size=8, seed=17, group_by_length=True))
    assert {0, 8} <= {sum(sides[row] for row in alone[start : start + 8]) for start in range(0, 200, 8)}
