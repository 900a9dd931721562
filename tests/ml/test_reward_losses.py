"""What a reward model is trained on, against values worked out by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from training.ml.reward_losses import (
    off_centre,
    pair_losses,
    ranking_losses,
    rating_losses,
    tie_losses,
    tie_prevalence,
)

pytestmark = pytest.mark.torch


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_equal_rewards_cost_ln_2():
    assert float(pair_losses(numbers(0.0), numbers(0.0))) == pytest.approx(math.log(2))


def test_a_margin_asks_for_that_much_more():
    """-log sigmoid(3 - 1): a gap of 3 with margin 1 costs what a gap of 2 costs without."""
    assert float(pair_losses(numbers(3.0), numbers(1.0))) == pytest.approx(math.log(1 + math.exp(-2)))


@pytest.mark.parametrize("gap", [-2.0, 0.0, 0.5, 4.0])
def test_with_ties_the_three_outcomes_are_davidson_s_and_sum_to_one(gap):
    nu = 0.7
    better, worse = math.exp(gap / 2), math.exp(-gap / 2)
    wins = math.exp(-float(pair_losses(numbers(gap), numbers(0.0), nu)))
    loses = math.exp(-float(pair_losses(numbers(-gap), numbers(0.0), nu)))
    ties = math.exp(-float(tie_losses(numbers(gap), nu)))
    assert wins == pytest.approx(better / (better + worse + nu))
    assert ties == pytest.approx(nu / (better + worse + nu))
    assert wins + loses + ties == pytest.approx(1.0)


def test_a_tie_pulls_rewards_together_with_a_known_force():
    """d/dg log(e^(g/2) + e^(-g/2) + nu) = (e^(g/2) - e^(-g/2)) / 2 / (e^(g/2) + e^(-g/2) + nu); 0 at equal rewards."""
    gap = numbers(0.0, 1.0).requires_grad_()
    tie_losses(gap, 1.0).sum().backward()
    half = math.exp(0.5), math.exp(-0.5)
    assert gap.grad.tolist() == pytest.approx([0.0, (half[0] - half[1]) / 2 / (half[0] + half[1] + 1)])


def test_the_prevalence_of_ties_gives_back_their_share_among_equals():
    nu = tie_prevalence(ties=25, decided=75)
    assert math.exp(-float(tie_losses(numbers(0.0), nu))) == pytest.approx(0.25)
    assert tie_prevalence(0, 10) == 0.0


def test_a_ranking_of_two_is_a_pair():
    scores, ranks = numbers(0.3, -1.2), torch.tensor([1, 2])
    assert float(ranking_losses(scores, ranks, use_ties=True)) == pytest.approx(
        float(pair_losses(numbers(1.5), numbers(0.0)))
    )


def test_a_ranking_of_three_is_two_choices_of_the_best():
    """P = e^2 / (e^2 + e^1 + e^0) * e^1 / (e^1 + e^0), with scores 2, 1, 0 ranked 1, 2, 3."""
    likely = math.exp(2) / (math.exp(2) + math.e + 1) * math.e / (math.e + 1)
    found = float(ranking_losses(numbers(2.0, 1.0, 0.0), torch.tensor([1, 2, 3]), use_ties=True))
    assert found == pytest.approx(-math.log(likely) / 2)


def test_the_probabilities_of_all_orders_sum_to_one():
    scores = numbers(0.4, -0.3, 1.1, 0.0)
    total = 0.0
    for order in itertools.permutations([1, 2, 3, 4]):
        total += math.exp(-3 * float(ranking_losses(scores, torch.tensor(order), use_ties=True)))
    assert total == pytest.approx(1.0)


def test_equal_scores_make_every_order_as_likely():
    found = float(ranking_losses(torch.zeros(4, dtype=torch.float64), torch.tensor([3, 1, 4, 2]), use_ties=True))
    assert found == pytest.approx(math.log(24) / 3)


def test_tied_places_are_efron_s():
    """Scores a, b tied above c: a + b - log(e^a + e^b + e^c) - log((e^a + e^b) / 2 + e^c), two choices."""
    a, b, c = 0.5, -0.2, 0.1
    first = math.log(math.exp(a) + math.exp(b) + math.exp(c))
    second = math.log((math.exp(a) + math.exp(b)) / 2 + math.exp(c))
    found = float(ranking_losses(numbers(a, b, c), torch.tensor([1, 1, 2]), use_ties=True))
    assert found == pytest.approx((first + second - a - b) / 2)


def test_without_ties_the_tied_are_not_compared_with_each_other():
    """a and b each against c alone: two choices; the order of c's own place says nothing."""
    a, b, c = 0.5, -0.2, 0.1
    each = [math.log(1 + math.exp(c - a)), math.log(1 + math.exp(c - b))]
    found = float(ranking_losses(numbers(a, b, c), torch.tensor([1, 1, 2]), use_ties=False))
    assert found == pytest.approx(sum(each) / 2)


@pytest.mark.parametrize("use_ties", [True, False])
def test_what_is_not_there_changes_neither_loss_nor_gradient(use_ties):
    ranks = torch.tensor([1, 2, 2, 0, 0])
    short = numbers(0.5, -0.2, 0.1).requires_grad_()
    ranking_losses(short, ranks[:3], use_ties=use_ties).backward()
    long = numbers(0.5, -0.2, 0.1, 1e9, float("inf")).requires_grad_()
    loss = ranking_losses(long, ranks, use_ties=use_ties)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(ranking_losses(short.detach(), ranks[:3], use_ties=use_ties)))
    assert long.grad.tolist() == pytest.approx([*short.grad.tolist(), 0.0, 0.0])


def test_a_shift_of_all_scores_changes_no_ranking():
    ranks, scores = torch.tensor([2, 1, 3]), numbers(0.5, -0.2, 0.1)
    shifted = ranking_losses(scores + 100, ranks, use_ties=True)
    assert float(shifted) == pytest.approx(float(ranking_losses(scores, ranks, use_ties=True)))


def test_members_of_an_ensemble_are_each_for_themselves():
    ranks = torch.tensor([[1, 2, 3], [1, 1, 2]])
    scores = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(1))
    together = ranking_losses(scores, ranks.expand(4, 2, 3), use_ties=True)
    for member, row in itertools.product(range(4), range(2)):
        alone = ranking_losses(scores[member, row], ranks[row], use_ties=True)
        assert float(together[member, row]) == pytest.approx(float(alone))


def test_a_rating_is_the_expected_place_on_its_scale():
    """Cross-entropy of place 0.75 at sigmoid 0.5 is ln 2; it is least where the sigmoid is the place."""
    logit = numbers(0.0)
    assert float(rating_losses(logit, numbers(0.75))) == pytest.approx(math.log(2))
    best = torch.logit(numbers(0.75)).requires_grad_()
    rating_losses(best, numbers(0.75)).backward()
    assert best.grad.tolist() == pytest.approx([0.0], abs=1e-12)


def test_attributes_that_nobody_rated_count_nothing():
    logits = numbers(0.0, 1e6, -3.0).requires_grad_()
    loss = rating_losses(logits, numbers(1.0, math.nan, math.nan))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(math.log(2))
    assert logits.grad.tolist() == pytest.approx([-0.5, 0.0, 0.0])
    assert float(rating_losses(numbers(1.0), numbers(math.nan))) == 0.0


def test_centring_of_a_pair_is_the_square_of_its_sum():
    there = torch.tensor([True, True, False])
    assert float(off_centre(numbers(1.5, -0.5, 9.0), there)) == pytest.approx((1.5 - 0.5) ** 2)
