"""In which order a run takes its rows."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def draws(count, epoch=0, **options):
    from training.ml.drawing import Draws

    sampler = Draws(count, seed=3, **options)
    sampler.set_epoch(epoch)
    assert len(sampler) == count
    return list(sampler)


def padding(order, lengths, batch):
    """Return how many tokens of padding the batches of `order` need."""
    batches = [[lengths[row] for row in order[start : start + batch]] for start in range(0, len(order), batch)]
    return sum(max(batch) * len(batch) - sum(batch) for batch in batches)


LENGTHS = [(37 * row) % 101 + 1 for row in range(203)]


def test_every_row_comes_once_in_a_pass_whether_grouped_or_not():
    assert sorted(draws(203)) == list(range(203))
    assert sorted(draws(203, lengths=LENGTHS, batch=4)) == list(range(203))


def test_the_same_seed_and_epoch_give_the_same_order_and_the_next_epoch_another():
    grouped = {"lengths": LENGTHS, "batch": 4}
    assert draws(203, **grouped) == draws(203, **grouped)
    assert draws(203, **grouped) != draws(203, epoch=1, **grouped)
    first, second = (
        {frozenset(order[start : start + 4]) for start in range(0, 200, 4)}
        for order in (draws(203, **grouped), draws(203, epoch=1, **grouped))
    )
    assert len(first & second) < 10, "the same rows meet in every pass"


def test_rows_of_like_length_share_a_batch():
    assert padding(draws(203, lengths=LENGTHS, batch=4), LENGTHS, 4) < padding(draws(203), LENGTHS, 4) / 3


def test_the_batches_are_not_in_order_of_length_and_a_smaller_one_is_last():
    order = draws(203, lengths=LENGTHS, batch=4)
    firsts = [LENGTHS[row] for row in order[:200:4]]
    assert firsts != sorted(firsts)
    rises = sum(later > earlier for earlier, later in pairwise(firsts))
    assert 10 < rises < 40


def test_rows_are_drawn_as_often_as_their_weights_say():
    counted = Counter(row for epoch in range(300) for row in draws(4, epoch, weights=[0.0, 1.0, 2.0, 5.0]))
    assert counted[0] == 0
    # 1,200 draws: three standard deviations are 0.03 for a share of 1/8 and 0.04 for 5/8.
    assert counted[1] / 1200 == pytest.approx(1 / 8, abs=0.03)
    assert counted[3] / 1200 == pytest.approx(5 / 8, abs=0.045)


def test_weighted_rows_are_grouped_too():
    weights = [1.0 + row % 3 for row in range(203)]
    order = draws(203, weights=weights, lengths=LENGTHS, batch=4)
    assert len(order) == 203
    assert padding(order, LENGTHS, 4) < padding(draws(203, weights=weights), LENGTHS, 4) / 3


def test_weights_that_are_all_alike_change_nothing():
    assert draws(50, weights=[2.0] * 50) == draws(50)


def test_a_weight_for_some_of_the_rows_is_a_defect():
    with pytest.raises(AssertionError, match="2 weights for 3 rows"):
        draws(3, weights=[1.0, 2.0])
