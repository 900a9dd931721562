"""The tensor functions of PPO against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from training.ml import rl

pytestmark = pytest.mark.torch

MASK = torch.tensor([[True, True, True], [True, True, False]])
JUNK = 1e9


def spoil(values: torch.Tensor, mask: torch.Tensor, junk: float = JUNK) -> torch.Tensor:
    return torch.where(mask, values, junk)


def test_masked_mean_reads_only_what_counts():
    values = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, JUNK]])
    assert rl.masked_mean(values, MASK) == 3.0
    assert rl.masked_sum(spoil(values, MASK, math.nan), MASK) == 15.0


def test_masked_mean_refuses_an_empty_mask():
    with pytest.raises(AssertionError, match="no token"):
        rl.masked_mean(torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.bool))


def test_masks_must_be_boolean_and_of_the_same_shape():
    with pytest.raises(AssertionError, match="bool"):
        rl.masked_sum(torch.ones(1, 2), torch.ones(1, 2))
    with pytest.raises(AssertionError, match="expected"):
        rl.masked_sum(torch.ones(1, 3), torch.ones(1, 2, dtype=torch.bool))


def test_whitened_values_have_mean_zero_and_variance_one():
    values = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, JUNK]])
    white = rl.whiten(values, MASK)
    # mean 3, unbiased variance 10 / 4
    expected = (torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]) - 3) / math.sqrt(2.5)
    torch.testing.assert_close(white[MASK], expected)
    assert white[1, 2] == 0


def test_a_single_token_is_only_shifted():
    assert rl.whiten(torch.tensor([[5.0, JUNK]]), torch.tensor([[True, False]])).tolist() == [[0.0, 0.0]]


def test_scaled_values_have_variance_one_and_keep_their_mean():
    values = torch.tensor([[1.0, 3.0, 5.0], [7.0, 9.0, JUNK]])
    scaled = rl.scale_to_unit_variance(values, MASK)
    assert scaled[MASK].mean() == pytest.approx(5.0)
    assert scaled[MASK].var(correction=0) == pytest.approx(1.0)
    assert scaled[1, 2] == 0.0
    one = torch.tensor([[True, False, False], [False, False, False]])
    assert rl.scale_to_unit_variance(values, one)[0, 0] == 1.0


@pytest.mark.parametrize(("kl", "factor"), [(6.0, 1.0), (6.6, 1.01), (60.0, 1.02), (5.4, 0.99), (0.0, 0.98)])
def test_the_kl_coefficient_grows_above_its_target_and_shrinks_below_by_at_most_a_fifth(kl: float, factor: float):
    assert rl.adapted_kl_coef(0.1, kl, target=6.0, rollouts=10, horizon=100) == pytest.approx(0.1 * factor)


def test_logprobs_are_those_of_the_chosen_tokens():
    logits = torch.tensor([[[0.0, math.log(3.0)], [math.log(9.0), 0.0]]])
    found = rl.logprobs_from_logits(logits, torch.tensor([[1, 1]]))
    torch.testing.assert_close(found, torch.tensor([[math.log(0.75), math.log(0.1)]]))


def test_entropy_of_a_fair_coin_is_ln_2():
    torch.testing.assert_close(rl.entropy_from_logits(torch.zeros(1, 1, 2)), torch.tensor([[math.log(2.0)]]))


def test_the_score_lands_on_the_last_token_and_kl_on_every_token():
    kl = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, JUNK]])
    rewards = rl.token_rewards(torch.tensor([10.0, 20.0]), kl, MASK, kl_coef=2.0)
    torch.testing.assert_close(rewards, torch.tensor([[-0.2, -0.4, 9.4], [-0.8, 19.0, 0.0]]))


def test_a_rollout_without_a_token_cannot_carry_a_score():
    mask = torch.tensor([[False, False]])
    with pytest.raises(AssertionError, match="without a response token"):
        rl.token_rewards(torch.tensor([1.0]), torch.zeros(1, 2), mask, 0.1)


def test_advantages_are_those_computed_by_hand():
    rewards = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, JUNK]])
    values = torch.tensor([[0.5, 1.0, 1.5], [0.5, 1.0, JUNK]])
    advantages, returns = rl.generalized_advantages(rewards, values, MASK, gamma=0.9, lam=0.5)
    # row 0: deltas 1 + .9*1 - .5 = 1.4; 2 + .9*1.5 - 1 = 2.35; 3 - 1.5 = 1.5; each added to .45 of the next
    # row 1: deltas 1.4; 2 - 1 = 1 (the episode is over)
    expected = torch.tensor([[1.4 + 0.45 * (2.35 + 0.45 * 1.5), 2.35 + 0.45 * 1.5, 1.5], [1.4 + 0.45, 1.0, 0.0]])
    torch.testing.assert_close(advantages, expected)
    torch.testing.assert_close(returns, torch.where(MASK, expected + torch.where(MASK, values, 0.0), 0.0))


def test_with_lambda_one_the_returns_are_the_discounted_rewards():
    rewards, values = torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[7.0, -3.0, 11.0]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    _, returns = rl.generalized_advantages(rewards, values, mask, gamma=0.5, lam=1.0)
    torch.testing.assert_close(returns, torch.tensor([[1 + 1 + 1.0, 2 + 2.0, 4.0]]))


def test_a_mask_with_a_hole_is_refused():
    mask = torch.tensor([[True, False, True]])
    with pytest.raises(AssertionError, match="right-padded"):
        rl.generalized_advantages(torch.zeros(1, 3), torch.zeros(1, 3), mask, 1.0, 1.0)


def test_policy_loss_is_clipped_on_the_side_that_gains():
    mask = torch.ones(1, 4, dtype=torch.bool)
    logprobs = torch.tensor([[2.0, 0.5, 2.0, 0.5]]).log()
    old = torch.zeros(1, 4)
    advantages = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    loss, ratio, clipped = rl.clipped_policy_loss(logprobs, old, advantages, mask, clip_range=0.2)
    torch.testing.assert_close(ratio, torch.tensor([[2.0, 0.5, 2.0, 0.5]]))
    torch.testing.assert_close(loss, torch.tensor([[-1.2, -0.5, 2.0, 0.8]]))
    assert clipped.tolist() == [[True, False, False, True]]


def test_value_loss_takes_the_worse_of_free_and_clipped():
    mask = torch.ones(1, 2, dtype=torch.bool)
    values, old, returns = torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 0.9]]), torch.tensor([[1.0, 2.0]])
    loss = rl.clipped_value_loss(values, old, returns, mask, clip_range=0.2)
    torch.testing.assert_close(loss, torch.tensor([[0.5 * 0.8**2, 0.5 * 1.0]]))


def test_approximate_kl_is_half_the_squared_log_ratio():
    found = rl.approx_kl(torch.tensor([[0.2, JUNK]]), torch.tensor([[0.0, 0.0]]), torch.tensor([[True, False]]))
    torch.testing.assert_close(found, torch.tensor([[0.02, 0.0]]))


@pytest.mark.parametrize("junk", [JUNK, -JUNK, math.inf, math.nan])
def test_whatever_fills_the_padding_changes_nothing(junk: float):
    generator = torch.Generator().manual_seed(3)
    draw = [torch.randn(2, 3, generator=generator) for _ in range(6)]
    scores = torch.tensor([1.0, -1.0])

    def everything(logprobs, old, reference, values, old_values, rewards):
        kl = rl.kl_per_token(logprobs, reference, MASK)
        advantages, returns = rl.generalized_advantages(rewards, values, MASK, 0.99, 0.95)
        loss, ratio, clipped = rl.clipped_policy_loss(logprobs, old, rl.whiten(advantages, MASK), MASK, 0.2)
        return [
            kl,
            rl.token_rewards(scores, kl, MASK, 0.05),
            advantages,
            returns,
            loss,
            ratio,
            clipped,
            rl.clipped_value_loss(values, old_values, returns, MASK, 0.2),
            rl.approx_kl(logprobs, old, MASK),
            rl.masked_mean(logprobs, MASK),
        ]

    clean = everything(*draw)
    dirty = everything(*(spoil(values, MASK, junk) for values in draw))
    for before, after in zip(clean, dirty, strict=True):
        assert torch.equal(before, after)


def test_no_gradient_flows_from_the_padding():
    logprobs = torch.tensor([[0.1, JUNK]], requires_grad=True)
    mask = torch.tensor([[True, False]])
    loss, *_ = rl.clipped_policy_loss(logprobs, torch.zeros(1, 2), torch.ones(1, 2), mask, 0.2)
    rl.masked_mean(loss, mask).backward()
    assert logprobs.grad is not None
    assert logprobs.grad[0, 1] == 0
    assert bool(torch.isfinite(logprobs.grad).all())


ENSEMBLE = torch.tensor([[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]])
"""Three members' scores of two responses: of the second they are of one mind."""


@pytest.mark.parametrize(
    ("how", "expected"),
    [("mean", [3.0, 5.0]), ("worst", [1.0, 5.0]), ("variance", [3.0 - 0.5 * 8 / 3, 5.0])],
)
def test_an_ensemble_says_what_is_worked_out_by_hand(how, expected):
    torch.testing.assert_close(rl.aggregate(ENSEMBLE, how, 0.5), torch.tensor(expected))


@pytest.mark.parametrize("how", ["mean", "worst", "variance"])
def test_one_member_alone_says_the_same_in_every_way(how):
    assert torch.equal(rl.aggregate(ENSEMBLE[:1], how, 7.0), ENSEMBLE[0])


def test_an_unknown_way_to_aggregate_is_refused():
    with pytest.raises(ValueError, match="not one of mean, worst, variance"):
        rl.aggregate(ENSEMBLE, "best", 0.0)
