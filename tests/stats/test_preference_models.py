"""Bradley-Terry and Davidson: known answers, peers, identities, and votes that say nothing."""

from __future__ import annotations

import warnings

import choix
import evalica
import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit
from scipy.stats import norm

from feedback.stats.preference_models import bradley_terry, davidson, style_differences
from tests.stats.published import BASEBALL_AWAY, BASEBALL_HOME, STIGLER, matrix, pudding


@pytest.fixture(autouse=True)
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def votes_of(wins: np.ndarray):
    """Return winner, loser and how often, of a matrix of wins over the column."""
    winner, loser = np.nonzero(wins * (1 - np.eye(len(wins))))
    return winner, loser, np.ones(winner.size), wins[winner, loser]


def baseball():
    """Return home team, away team, 1 where the home team won, and how often."""
    home, away = matrix(BASEBALL_HOME), matrix(BASEBALL_AWAY)
    host, guest = np.nonzero(home + away)
    return (
        np.concatenate([host, host]),
        np.concatenate([guest, guest]),
        np.repeat([1.0, 0.0], host.size),
        np.concatenate([home[host, guest], away[host, guest]]),
    )


def drawn(seed: int = 0, votes: int = 3_000, players: int = 7, people: int = 40, ties: float = 0.15):
    rng = np.random.default_rng(seed)
    strength = rng.normal(size=players) * 0.8
    strength -= strength.mean()
    i = rng.integers(0, players, votes)
    j = (i + rng.integers(1, players, votes)) % players
    y = (rng.random(votes) < expit(strength[i] - strength[j])).astype(float)
    y[rng.random(votes) < ties] = 0.5
    return i, j, y, rng.integers(0, people, votes), strength


# Known answers ------------------------------------------------------------------------------------------


def test_agrestis_baseball():
    i, j, y, times = baseball()
    fitted = bradley_terry(i, j, y, weights=times)
    assert fitted.strength - fitted.strength[6] == pytest.approx(
        [1.581, 1.436, 1.294, 1.248, 1.108, 0.684, 0], abs=6e-4
    )
    assert fitted.converged
    assert fitted.strength.sum() == pytest.approx(0)


def test_baseball_with_the_advantage_of_playing_at_home():
    i, j, y, times = baseball()
    fitted = bradley_terry(i, j, y, weights=times, covariates=np.ones(i.size))
    assert fitted.coefficients == pytest.approx([0.3023], abs=5e-5)
    assert fitted.coefficient_error == pytest.approx([0.1309], abs=5e-5)
    assert fitted.strength - fitted.strength[6] == pytest.approx(
        [1.6196, 1.4754, 1.3271, 1.2813, 1.1438, 0.7047, 0], abs=5e-5
    )
    won, lost = times[: i.size // 2], times[i.size // 2 :]
    with np.errstate(divide="ignore", invalid="ignore"):
        saturated = sum(np.nansum(part * np.log(part / (won + lost))) for part in (won, lost))
    assert 2 * (saturated - fitted.log_likelihood) == pytest.approx(38.643, abs=5e-4)


def test_stiglers_journals():
    citing, cited, y, times = votes_of(matrix(STIGLER).T)
    fitted = bradley_terry(citing, cited, 1 - y, weights=times)
    assert fitted.strength - fitted.strength[0] == pytest.approx([0, -2.9491, -0.4796, 0.2690], abs=6e-5)
    spread = np.diag(fitted.covariance) + fitted.covariance[0, 0] - 2 * fitted.covariance[0]
    assert np.sqrt(spread[1:]) == pytest.approx([0.1025, 0.0606, 0.0708], abs=6e-5)


def test_wikipedias_four_players():
    wins = np.array([[0, 2, 0, 1], [3, 0, 5, 0], [0, 3, 0, 1], [4, 0, 3, 0]])
    i, j, y, times = votes_of(wins)
    worth = np.exp(bradley_terry(i, j, y, weights=times).strength)
    assert worth == pytest.approx([0.640, 1.043, 0.660, 2.270], abs=6e-4)


def test_davidsons_puddings():
    fitted = davidson(*pudding())
    worth = np.exp(fitted.strength) / np.exp(fitted.strength).sum()
    assert worth == pytest.approx([0.1388034, 0.1730015, 0.1617474, 0.165373, 0.1586854, 0.2023893], abs=5e-7)
    assert np.exp(fitted.coefficients) == pytest.approx([0.746823], abs=5e-7)
    assert fitted.coefficient_error == pytest.approx([0.0825], abs=5e-5)


# Peers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_strengths_as_evalica_and_choix_have_them(seed):
    i, j, y, _, _ = drawn(seed)
    winners = np.select([y == 1, y == 0], [evalica.Winner.X, evalica.Winner.Y], evalica.Winner.Draw)
    peer = evalica.bradley_terry(i.tolist(), j.tolist(), winners.tolist(), tolerance=1e-12, limit=5_000).scores
    ours = bradley_terry(i, j, y).strength
    logs = np.log(peer.loc[np.arange(7)].to_numpy())
    assert ours == pytest.approx(logs - logs.mean(), abs=1e-5)
    won = [(a, b) if points == 1 else (b, a) for a, b, points in zip(i, j, y, strict=True) if points != 0.5]
    decisive = y != 0.5
    ours = bradley_terry(i[decisive], j[decisive], y[decisive]).strength
    assert ours == pytest.approx(choix.opt_pairwise(7, won), abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_davidson_as_evalicas_newman_has_it(seed):
    i, j, y, _, _ = drawn(seed)
    winners = np.select([y == 1, y == 0], [evalica.Winner.X, evalica.Winner.Y], evalica.Winner.Draw)
    peer = evalica.newman(i.tolist(), j.tolist(), winners.tolist(), tolerance=1e-13, limit=10_000)
    ours = davidson(i, j, y)
    logs = np.log(peer.scores.loc[np.arange(7)].to_numpy())
    assert ours.strength == pytest.approx(logs - logs.mean(), abs=1e-4)
    assert np.exp(ours.coefficients[0]) / 2 == pytest.approx(peer.v, abs=1e-4)


def test_slopes_errors_and_clusters_as_statsmodels_logit_has_them():
    i, j, y, people, _ = drawn(ties=0)
    rng = np.random.default_rng(9)
    z = rng.normal(size=(y.size, 2))
    design = np.zeros((y.size, 7))
    design[np.arange(y.size), i] += 1
    design[np.arange(y.size), j] -= 1
    design = np.concatenate([design[:, 1:], z], axis=1)  # the first player is 0
    model = sm.Logit(y, design)
    plain = model.fit(disp=False, tol=1e-12)
    ours = bradley_terry(i, j, y, covariates=z)
    assert ours.coefficients == pytest.approx(plain.params[6:], abs=1e-8)
    assert ours.coefficient_error == pytest.approx(plain.bse[6:], rel=1e-6)
    assert ours.strength[1:] - ours.strength[0] == pytest.approx(plain.params[:6], abs=1e-8)
    assert ours.log_likelihood == pytest.approx(plain.llf)
    clustered = model.fit(
        disp=False, tol=1e-12, cov_type="cluster", cov_kwds={"groups": people, "use_correction": False}
    )  # fmt: skip
    ours = bradley_terry(i, j, y, covariates=z, clusters=people)
    assert ours.coefficient_error == pytest.approx(clustered.bse[6:] * np.sqrt(40 / 39), rel=1e-6)


# Identities ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [bradley_terry, davidson])
def test_the_order_of_votes_and_who_is_named_first_change_nothing(model):
    i, j, y, people, _ = drawn()
    rng = np.random.default_rng(1)
    order, turned = rng.permutation(y.size), rng.random(y.size) < 0.5
    a, b, points = np.where(turned, j, i), np.where(turned, i, j), np.where(turned, 1 - y, y)
    once = model(i, j, y, clusters=people)
    again = model(a[order], b[order], points[order], clusters=people[order])
    assert again.strength == pytest.approx(once.strength)
    assert again.covariance == pytest.approx(once.covariance)
    assert again.coefficients == pytest.approx(once.coefficients)


@pytest.mark.parametrize("model", [bradley_terry, davidson])
def test_numbering_players_otherwise_turns_strengths_alike(model):
    i, j, y, _, _ = drawn()
    turned = np.random.default_rng(2).permutation(7)
    assert model(turned[i], turned[j], y).strength[turned] == pytest.approx(model(i, j, y).strength)


@pytest.mark.parametrize("model", [bradley_terry, davidson])
def test_votes_twice_are_votes_of_weight_two_and_halve_the_variance(model):
    i, j, y, people, _ = drawn()
    once, weighted = model(i, j, y), model(i, j, y, weights=np.full(y.size, 2.0))
    twice = model(np.tile(i, 2), np.tile(j, 2), np.tile(y, 2))
    assert twice.strength == pytest.approx(once.strength)
    assert twice.covariance == pytest.approx(weighted.covariance)
    assert twice.covariance * 2 == pytest.approx(once.covariance, rel=1e-6)
    # Whoever votes the same twice is no second witness: clustered, nothing narrows.
    clustered = model(np.tile(i, 2), np.tile(j, 2), np.tile(y, 2), clusters=np.tile(people, 2))
    assert clustered.error == pytest.approx(model(i, j, y, clusters=people).error)


def test_davidson_without_ties_is_bradley_terry():
    i, j, y, people, _ = drawn(ties=0)
    with_ties, without = davidson(i, j, y, clusters=people), bradley_terry(i, j, y, clusters=people)
    assert with_ties.strength == pytest.approx(without.strength)
    assert with_ties.low == pytest.approx(without.low)
    assert np.isnan(with_ties.coefficients).all()


def test_clustered_intervals_hold_what_they_promise_where_votes_of_a_person_go_together():
    rng, naive, clustered = np.random.default_rng(4), [], []
    strength = np.array([0.5, 0.0, -0.5])
    # What is estimated is of the whole population, so a little nearer to 0 than one person's.
    pairs = np.array([[0, 1], [0, 2], [1, 2]])
    many = strength + rng.normal(0, 0.8, (100_000, 3))
    often = expit(many[:, pairs[:, 0]] - many[:, pairs[:, 1]]).mean(axis=0)
    truth = bradley_terry(pairs[:, 0], pairs[:, 1], often).strength
    for _ in range(150):
        people = np.repeat(np.arange(40), 30)
        taste = rng.normal(0, 0.8, (40, 3))
        i = rng.integers(0, 3, people.size)
        j = (i + rng.integers(1, 3, people.size)) % 3
        own = strength + taste[people]
        y = (rng.random(people.size) < expit(own[np.arange(i.size), i] - own[np.arange(i.size), j])).astype(float)
        for found, model in ((naive, {}), (clustered, {"clusters": people})):
            fitted = bradley_terry(i, j, y, **model)
            found.append((fitted.low <= truth) & (truth <= fitted.high))
    assert np.mean(naive) < 0.85
    assert 0.90 <= np.mean(clustered) <= 0.98


def test_a_response_that_is_only_longer_is_not_stronger_once_length_is_controlled():
    rng = np.random.default_rng(5)
    i, j, _, people, _ = drawn(votes=20_000, players=4)
    words = np.where(np.array([i, j]) == 3, 200, 100) * rng.lognormal(0, 0.3, (2, i.size))
    z = style_differences(words[0][:, None], words[1][:, None])
    y = (rng.random(i.size) < expit(0.6 * z[:, 0])).astype(float)
    raw = bradley_terry(i, j, y, clusters=people)
    controlled = bradley_terry(i, j, y, covariates=z, clusters=people)
    assert raw.low[3] > 0.3
    assert controlled.low[3] < 0 < controlled.high[3]
    assert controlled.coefficient_low[0] < 0.6 < controlled.coefficient_high[0]


def test_style_differences_only_turn_their_sign_with_the_order():
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, 50, (2, 30, 3))
    assert style_differences(b, a) == pytest.approx(-style_differences(a, b))
    assert (style_differences(a, b) ** 2).mean(axis=0) == pytest.approx(np.ones(3))
    assert style_differences(a, a).tolist() == np.zeros((30, 3)).tolist()


def test_how_sure_the_lead_is():
    i, j, y, people, _ = drawn()
    fitted = bradley_terry(i, j, y, clusters=people)
    first, last = int(fitted.strength.argmax()), int(fitted.strength.argmin())
    assert fitted.leads(first, last) == pytest.approx(-fitted.leads(last, first))
    assert fitted.beats(first, last) == pytest.approx(1 - fitted.beats(last, first))
    both = bradley_terry([0] * 30, [1] * 30, [1] * 20 + [0] * 10)
    assert both.beats(0, 1) == pytest.approx(2 / 3)
    assert both.leads(0, 1) == pytest.approx(np.log(2) / np.sqrt(1 / 20 + 1 / 10))
    width = both.high[0] - both.low[0]
    assert width == pytest.approx(norm.ppf(0.975) * np.sqrt(1 / 20 + 1 / 10), rel=1e-6)


# What votes do not say ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [bradley_terry, davidson])
def test_who_never_lost_or_never_met_anybody_has_no_strength(model):
    fitted = model([0, 0, 1, 1, 2], [1, 1, 0, 2, 3], [1, 1, 1, 1, 1], players=6)
    assert fitted.compared.tolist() == [True, True, False, False, False, False]
    assert fitted.strength[:2] == pytest.approx([np.log(2) / 2, -np.log(2) / 2])
    assert np.isnan(fitted.strength[2:]).all()
    assert np.isnan(fitted.low[2:]).all()
    assert fitted.votes == 3


@pytest.mark.parametrize("model", [bradley_terry, davidson])
@pytest.mark.parametrize("votes", [([], [], []), ([0, 0], [1, 1], [1, 1]), ([2], [2], [1])])
def test_votes_without_a_maximum_leave_everybody_unknown(model, votes):
    fitted = model(*votes, players=3, clusters=votes[0])
    assert not fitted.compared.any()
    assert np.isnan(fitted.strength).all()
    assert fitted.votes == 0


@pytest.mark.parametrize("model", [bradley_terry, davidson])
def test_one_person_alone_has_strengths_and_no_interval(model):
    i, j, y, _, _ = drawn()
    fitted = model(i, j, y, clusters=np.zeros(i.size))
    assert np.isfinite(fitted.strength).all()
    assert np.isnan([fitted.low, fitted.high, fitted.error]).all()


def test_nothing_but_ties_says_that_all_are_alike():
    fitted = davidson([0, 1, 2], [1, 2, 0], [0.5, 0.5, 0.5])
    assert fitted.strength == pytest.approx(np.zeros(3))
    assert np.isnan(fitted.coefficients).all()


def test_a_covariate_that_is_always_zero_has_no_coefficient():
    i, j, y, _, _ = drawn()
    fitted = bradley_terry(i, j, y, covariates=np.zeros(i.size))
    assert np.isnan(fitted.coefficients).all()
    assert fitted.strength == pytest.approx(bradley_terry(i, j, y).strength)


def test_a_covariate_that_alone_decides_every_vote_leaves_all_unknown():
    i, j, _, people, _ = drawn()
    z = np.random.default_rng(3).normal(size=i.size)
    fitted = bradley_terry(i, j, (z > 0).astype(float), covariates=z, clusters=people)
    assert not fitted.converged
    assert np.isnan([*fitted.strength, *fitted.coefficients, *fitted.low, *fitted.coefficient_high]).all()


def test_a_covariate_twice_shares_its_effect():
    i, j, y, _, _ = drawn()
    z = np.random.default_rng(3).normal(size=i.size)
    once = bradley_terry(i, j, y, covariates=z)
    twice = bradley_terry(i, j, y, covariates=np.column_stack([z, z]))
    assert twice.strength == pytest.approx(once.strength)
    assert twice.coefficients == pytest.approx(np.repeat(once.coefficients / 2, 2))


def test_a_player_beyond_those_that_there_are_is_refused():
    with pytest.raises(ValueError, match="There are 2 of them"):
        bradley_terry([0], [2], [1], players=2)
