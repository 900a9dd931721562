from __future__ import annotations

import choix
import numpy as np
import pytest

from feedback.stats.preference_models import bradley_terry, davidson
from feedback.stats.rankings import RankingTooLong, plackett_luce
from tests.stats.published import pudding


def long_form(orders):
    """Return ranking, player, rank of rankings that name players from best to worst; a tuple is a tie."""
    rows = [
        (number, player, rank)
        for number, order in enumerate(orders)
        for rank, group in enumerate(order)
        for player in (group if isinstance(group, tuple) else (group,))
    ]
    return np.array(rows).T


def drawn(seed: int = 0, rankings: int = 1_500, players: int = 6, each: int = 4):
    """Draw rankings without ties; returns ranking, player, rank [rankings * each] and the strengths."""
    rng = np.random.default_rng(seed)
    strength = rng.normal(size=players)
    shown = rng.permuted(np.tile(np.arange(players), (rankings, 1)), axis=1)[:, :each]
    rank = (-(strength[shown] + rng.gumbel(size=shown.shape))).argsort(axis=1).argsort(axis=1)
    return np.repeat(np.arange(rankings), each), shown.ravel(), rank.ravel(), strength - strength.mean()


@pytest.mark.parametrize("seed", range(3))
def test_strengths_as_choix_has_them(seed):
    ranking, player, rank, _ = drawn(seed)
    orders = player.reshape(-1, 4)[np.arange(1_500)[:, None], rank.reshape(-1, 4).argsort(axis=1)]
    fitted = plackett_luce(ranking, player, rank)
    assert fitted.strength == pytest.approx(choix.opt_rankings(6, orders.tolist()), abs=1e-4)
    assert fitted.votes == 1_500
    assert fitted.coefficients.size == 0


def test_rankings_of_two_are_davidsons_comparisons():
    i, j, y = pudding()
    rows = np.repeat(np.arange(i.size), 2)
    ranks = np.column_stack([1 - y, y]).ravel()
    people = np.arange(i.size) % 20
    fitted = plackett_luce(rows, np.column_stack([i, j]).ravel(), ranks, clusters=np.repeat(people, 2))
    peer = davidson(i, j, y, clusters=people)
    assert fitted.strength == pytest.approx(peer.strength)
    assert fitted.coefficients == pytest.approx(peer.coefficients)
    assert fitted.covariance == pytest.approx(peer.covariance)
    assert fitted.log_likelihood == pytest.approx(peer.log_likelihood)


def test_rankings_of_two_without_ties_are_bradley_terrys():
    ranking, player, rank, _ = drawn(each=2)
    pairs, places = player.reshape(-1, 2), rank.reshape(-1, 2)
    fitted = plackett_luce(ranking, player, rank)
    peer = bradley_terry(pairs[:, 0], pairs[:, 1], places[:, 0] == 0)
    assert fitted.strength == pytest.approx(peer.strength)
    assert fitted.error == pytest.approx(peer.error)


def test_the_likelihood_of_one_ranking_with_a_tie_as_by_hand():
    orders = [(0, 1, 2), (2, (0, 1)), ((1, 2), 0), (1, 0, 2), (0, 2, 1)]
    fitted = plackett_luce(*long_form(orders))
    worth, tie = np.exp(fitted.strength), np.exp(fitted.coefficients[0])

    def pairs(*players):
        return tie * sum(
            np.sqrt(worth[a] * worth[b]) for n, a in enumerate(players) for b in players[n + 1 :]
        )  # fmt: skip

    everything = worth.sum() + pairs(0, 1, 2)

    def last_two(a, b):
        return worth[a] + worth[b] + pairs(a, b)

    by_hand = [
        worth[0] / everything * worth[1] / last_two(1, 2),
        worth[2] / everything * pairs(0, 1) / last_two(0, 1),
        pairs(1, 2) / everything,
        worth[1] / everything * worth[0] / last_two(0, 2),
        worth[0] / everything * worth[2] / last_two(2, 1),
    ]
    assert fitted.log_likelihood == pytest.approx(np.log(by_hand).sum())


def test_ranks_may_have_gaps_and_rows_any_order():
    ranking, player, rank, _ = drawn()
    order = np.random.default_rng(1).permutation(rank.size)
    once = plackett_luce(ranking, player, rank)
    again = plackett_luce(ranking[order] + 10, player[order], rank[order] * 7 + 1)
    assert again.strength == pytest.approx(once.strength)


def test_a_ranking_of_four_is_three_choices_and_not_six_votes():
    ranking, player, rank, _ = drawn(rankings=4_000)
    fitted = plackett_luce(ranking, player, rank)
    pairs = [(a, b) for a in range(4) for b in range(a + 1, 4)]
    shown, places = player.reshape(-1, 4), rank.reshape(-1, 4)
    votes = [np.concatenate([shown[:, side[k]] for side in pairs]) for k in (0, 1)]
    as_votes = bradley_terry(*votes, np.concatenate([places[:, a] < places[:, b] for a, b in pairs]))
    assert as_votes.error.mean() < 0.95 * fitted.error.mean()  # six votes pretend to know more


def test_clustered_intervals_hold_what_they_promise():
    held = []
    for seed in range(60):
        ranking, player, rank, strength = drawn(seed, rankings=300)
        fitted = plackett_luce(ranking, player, rank, clusters=ranking % 30)
        held.append((fitted.low <= strength) & (strength <= fitted.high))
    assert 0.90 <= np.mean(held) <= 0.98


def test_who_is_always_last_has_no_strength():
    fitted = plackett_luce(*long_form([(0, 1, 2, 3), (1, 0, 2, 3), (2, 0, 1, 3), (0, 2, 1, 3)]))
    assert fitted.compared.tolist() == [True, True, True, False]
    assert np.isnan(fitted.strength[3])


@pytest.mark.parametrize("orders", [[], [(0,)], [(0, 1), (0, 1)]])
def test_rankings_without_a_maximum_leave_everybody_unknown(orders):
    rows = long_form(orders) if orders else np.zeros((3, 0), dtype=int)
    fitted = plackett_luce(*rows, player_count=2)
    assert np.isnan(fitted.strength).all()
    assert fitted.votes == 0


def test_long_rankings_with_ties_are_refused_and_without_are_not():
    orders = [tuple(np.random.default_rng(seed).permutation(12)) for seed in range(60)]
    assert np.isfinite(plackett_luce(*long_form(orders)).strength).all()
    with pytest.raises(RankingTooLong, match="at most 10"):
        plackett_luce(*long_form([*orders, ((0, 1), *range(2, 12))]))
