"""Models of who beats whom: Bradley-Terry with order and style effects, and Davidson's with ties.

P(i is preferred over j) = sigmoid(s_i - s_j + z b), where z are covariates of the comparison (who was shown first, how
much longer i is). Newton on the likelihood; errors by the sandwich whose scores are added up per cluster: the votes of
one annotator go together, and an interval that ignores it is too narrow. Sources: Bradley and Terry 1952; Davidson
1970; White 1980; LMArena's style control.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, log_expit
from scipy.stats import norm

from feedback.stats.intervals import LEVEL, Bools, Floats, Ints, dense, student

ITERATIONS = 50
SMALL_STEP = 1e-9
DENSE_CELLS = 20_000_000


@dataclass(frozen=True)
class Strengths:
    """Fitted strengths [players] in log-odds with mean 0 over the players that can be compared.

    `compared` says who is: the largest group of which everybody was preferred over everybody else by some chain of
    votes. Of others the likelihood has no maximum (never beaten, never preferred, never met), so they are nan, as is
    everybody where no such group has two members. `coefficients` are of the covariates; of `davidson`, the log of the
    tie parameter alone. `covariance` is of strengths and then coefficients. With fewer than two clusters, errors and
    the ends of intervals are nan. Where a covariate alone decides every vote there is no maximum either: `converged` is
    False, and all is nan.
    `votes` counts the rows that were used; `clusters` is 0 where there were none.
    """

    strength: Floats
    low: Floats
    high: Floats
    error: Floats
    covariance: Floats
    coefficients: Floats
    coefficient_low: Floats
    coefficient_high: Floats
    coefficient_error: Floats
    compared: Bools
    log_likelihood: float
    iterations: int
    converged: bool
    votes: int
    clusters: int

    def beats(self, one: int, other: int) -> float:
        """Return the probability that `one` is preferred over `other`, ties apart."""
        return float(expit(self.strength[one] - self.strength[other]))

    def leads(self, one: int, other: int) -> float:
        """Return how many standard errors `one` is ahead of `other`."""
        gap = self.strength[one] - self.strength[other]
        spread = self.covariance[one, one] + self.covariance[other, other] - 2 * self.covariance[one, other]
        return float(gap / np.sqrt(spread)) if spread > 0 else np.nan


def bradley_terry(
    i: ArrayLike,
    j: ArrayLike,
    wins: ArrayLike,
    *,
    players: int | None = None,
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    covariates: ArrayLike | None = None,
    level: float = LEVEL,
) -> Strengths:
    """Fit strengths to votes: arrays [votes] of two players and of how much the first was preferred (0, 0.5, 1).

    A tie is half a win of each (see `davidson` for ties in their own right). `weights` count a vote so often.
    `clusters` are any codes of who voted; without them every vote is taken as independent and the model as right.
    `covariates` [votes x C] are of the first player less the second: 1 where the first was shown first and -1 where
    second, `style_differences`, and so on.
    """
    first, second, count = both(i, j, players)
    y, w = np.asarray(wins, dtype=float), weights_of(weights, first.size)
    compared = comparable(first, second, y, w, count)
    kept = compared[first] & compared[second] & (first != second) & (w > 0)
    z = np.zeros((first.size, 0)) if covariates is None else np.asarray(covariates, dtype=float).reshape(first.size, -1)
    first, second, y, w, z = first[kept], second[kept], y[kept], w[kept], z[kept]
    free = np.append(compared, np.any(z != 0, axis=0))
    # Without covariates, votes on the same two players are one row with two counts.
    if z.shape[1]:
        rows = (first, second, y, w, z)
    else:
        one, other, mean, total, _ = tallied(first, second, y, w, count)
        rows = (one, other, mean, total, np.zeros((one.size, 0)))
    theta, steps, converged = np.zeros(count + z.shape[1]), 0, False
    while not converged and steps < ITERATIONS:
        gradient, information = bradley_terry_slopes(theta, *rows, count)
        theta, moved = climbed(theta, gradient, information, free)
        steps, converged = steps + 1, moved < SMALL_STEP
    bread = inverse(bradley_terry_slopes(theta, *rows, count)[1], free)
    advantage = theta[first] - theta[second] + z @ theta[count:]
    likelihood = float((w * (y * log_expit(advantage) + (1 - y) * log_expit(-advantage))).sum())
    rest = w * (y - expit(advantage))
    covariance, groups = clustered(bread, clusters, kept, first, second, rest, z * rest[:, None], count)
    return summary(theta, covariance, compared, free, likelihood, steps, converged, first.size, groups, level)


def bradley_terry_slopes(
    theta: Floats, first: Ints, second: Ints, y: Floats, w: Floats, z: Floats, count: int
) -> tuple[Floats, Floats]:
    """Return the gradient and the information (minus the Hessian) of the log-likelihood."""
    p = expit(theta[first] - theta[second] + (z @ theta[count:] if z.shape[1] else 0.0))
    rest, spread = w * (y - p), w * p * (1 - p)
    gradient = np.append(per_player(first, second, rest, count), z.T @ rest)
    information = np.zeros((theta.size, theta.size))
    information[:count, :count] = per_pair(first, second, spread, count)
    for c in range(z.shape[1]):
        information[count + c, :count] = information[:count, count + c] = per_player(
            first, second, spread * z[:, c], count
        )
    information[count:, count:] = (z * spread[:, None]).T @ z
    return gradient, information


def style_differences(first: ArrayLike, second: ArrayLike) -> Floats:
    """Return covariates from features [votes x F] of both responses (tokens, headers, list items, bold words).

    (a - b) / (a + b + 1), divided by its root mean square: a coefficient is log-odds per typical difference. Nothing is
    subtracted, so naming the responses the other way round turns only the sign. Source: LMArena's style control.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    relative = (a - b) / (a + b + 1)
    typical = np.sqrt((relative**2).mean(axis=0)) if relative.size else np.ones(relative.shape[1:])
    return relative / np.where(typical > 0, typical, 1)


# Ties ---------------------------------------------------------------------------------------------------


def davidson(
    i: ArrayLike,
    j: ArrayLike,
    wins: ArrayLike,
    *,
    players: int | None = None,
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    level: float = LEVEL,
) -> Strengths:
    """Fit strengths and how common ties are; arguments as of `bradley_terry`, a tie is a `wins` of 0.5.

    With a = exp(strength), P(i) : P(tie) : P(j) = a_i : nu sqrt(a_i a_j) : a_j. `coefficients` is log nu alone: nan
    where there are no ties (strengths are Bradley-Terry's then) or nothing but ties. Source: Davidson 1970.
    """
    first, second, count = both(i, j, players)
    y, w = np.asarray(wins, dtype=float), weights_of(weights, first.size)
    compared = comparable(first, second, y, w, count)
    kept = compared[first] & compared[second] & (first != second) & (w > 0)
    first, second, y, w = first[kept], second[kept], y[kept], w[kept]
    tied = y == 0.5
    free = np.append(compared, tied.any() and not tied.all())
    # In half points, a tie counts as Bradley-Terry's tie does; the tie parameter's part comes beside it.
    rows = tallied(first, second, y, w, count)
    theta = np.zeros(count + 1)
    theta[count] = 0.0 if free[count] or tied.any() else -np.inf
    steps, converged = 0, False
    while not converged and steps < ITERATIONS:
        gradient, information = davidson_slopes(theta, *rows, count)
        theta, moved = climbed(theta, gradient, information, free)
        steps, converged = steps + 1, moved < SMALL_STEP
    bread = inverse(davidson_slopes(theta, *rows, count)[1], free)
    points, tie = davidson_probabilities(theta, first, second, count)
    won = points - tie / 2
    said = np.where(tied, tie, np.where(y > 0.5, won, 1 - won - tie))
    likelihood = float((w * np.log(said)).sum())
    rest, rest_tie = w * (y - points), w * (tied - tie)
    covariance, groups = clustered(bread, clusters, kept, first, second, rest, rest_tie[:, None], count)
    return summary(theta, covariance, compared, free, likelihood, steps, converged, first.size, groups, level)


def davidson_probabilities(theta: Floats, first: Ints, second: Ints, count: int) -> tuple[Floats, Floats]:
    """Return for every row the expected points of the first player (a tie is one half) and P(tie)."""
    half = (theta[first] - theta[second]) / 2
    away = np.exp(-2 * np.abs(half))
    tie = np.exp(theta[count] - np.abs(half))
    total = 1 + away + tie
    won = np.where(half >= 0, 1.0, away) / total
    return won + tie / total / 2, tie / total


def davidson_slopes(
    theta: Floats, first: Ints, second: Ints, y: Floats, w: Floats, ties: Floats, count: int
) -> tuple[Floats, Floats]:
    """Return gradient and information from rows of mean points `y`, votes `w` and ties among them."""
    points, tie = davidson_probabilities(theta, first, second, count)
    won = points - tie / 2
    gradient = np.append(per_player(first, second, w * (y - points), count), (ties - w * tie).sum())
    information = np.zeros((count + 1, count + 1))
    # Variance of the points, covariance of points and tie, variance of the tie.
    information[:count, :count] = per_pair(first, second, w * (won + tie / 4 - points**2), count)
    information[count, :count] = information[:count, count] = per_player(first, second, w * tie * (0.5 - points), count)
    information[count, count] = (w * tie * (1 - tie)).sum()
    return gradient, information


# What both share ----------------------------------------------------------------------------------------


def both(i: ArrayLike, j: ArrayLike, players: int | None) -> tuple[Ints, Ints, int]:
    first, many = dense(i, players)
    second, more = dense(j, players)
    return first, second, max(many, more)


def weights_of(weights: ArrayLike | None, votes: int) -> Floats:
    return np.ones(votes) if weights is None else np.asarray(weights, dtype=float)


def comparable(first: Ints, second: Ints, y: Floats, w: Floats, count: int) -> Bools:
    """Return who is in the largest group in which preferences lead from everybody to everybody; nobody if it is one.

    That the likelihood has a maximum needs just this (Ford 1957). A tie is a preference both ways.
    """
    won, lost = (y > 0) & (w > 0), (y < 1) & (w > 0)
    edges = np.unique(np.concatenate([first[won] * count + second[won], second[lost] * count + first[lost]]))
    graph = csr_array((np.ones(edges.size), (edges // max(count, 1), edges % max(count, 1))), shape=(count, count))
    if not count:
        return np.zeros(0, dtype=bool)
    _, group = connected_components(graph, directed=True, connection="strong")
    sizes = np.bincount(group)
    return (group == sizes.argmax()) & (sizes.max() > 1)


def tallied(first: Ints, second: Ints, y: Floats, w: Floats, count: int) -> tuple[Ints, Ints, Floats, Floats, Floats]:
    """Return one row per two players: the two, the mean of y, the sum of w, and the sum of w of ties."""
    turned = first > second
    key = np.where(turned, second * count + first, first * count + second)
    pairs, row = np.unique(key, return_inverse=True)
    row = row.reshape(-1)
    total = np.bincount(row, w, minlength=pairs.size).astype(float)
    mean = np.bincount(row, w * np.where(turned, 1 - y, y), minlength=pairs.size) / total
    ties = np.bincount(row, w * (y == 0.5), minlength=pairs.size).astype(float)
    return pairs // max(count, 1), pairs % max(count, 1), mean, total, ties


def per_player(first: Ints, second: Ints, values: Floats, count: int) -> Floats:
    """Add `values` up for the first player and take them from the second."""
    return np.asarray(np.bincount(first, values, count) - np.bincount(second, values, count), dtype=float)


def per_pair(first: Ints, second: Ints, values: Floats, count: int) -> Floats:
    """Return the sum of values (e_i - e_j)(e_i - e_j)' [count x count]."""
    crossed = np.bincount(first * count + second, values, minlength=count * count).reshape(count, count)
    crossed = crossed + crossed.T
    return np.diag(crossed.sum(axis=1)) - crossed


def climbed(theta: Floats, gradient: Floats, information: Floats, free: Bools) -> tuple[Floats, float]:
    """Return one Newton step on, of at most 2 in any parameter, and how far it went."""
    step = inverse(information, free) @ np.where(free, gradient, 0.0)
    longest = float(np.abs(step).max()) if step.size else 0.0
    return theta + step * min(1.0, 2.0 / max(longest, 1e-300)), longest


def inverse(information: Floats, free: Bools) -> Floats:
    """Return the pseudo-inverse over the free parameters, 0 elsewhere: strengths sum to 0."""
    found = np.zeros_like(information)
    if free.any():
        found[np.ix_(free, free)] = np.linalg.pinv(information[np.ix_(free, free)], rcond=1e-11, hermitian=True)
    return found


def clustered(
    bread: Floats,
    clusters: ArrayLike | None,
    kept: Bools,
    first: Ints,
    second: Ints,
    rest: Floats,
    rest_others: Floats,
    count: int,
) -> tuple[Floats, int]:
    """Return the covariance, and how many clusters made it: 0 and the model's own covariance without clusters.

    The sandwich with the factor g / (g - 1), because g clusters' scores sum to 0.
    """
    if clusters is None:
        return bread, 0
    _, group = np.unique(np.asarray(clusters)[kept], return_inverse=True)
    group = group.reshape(-1)
    groups = int(group.max()) + 1 if group.size else 0
    if groups < 2:
        return np.full_like(bread, np.nan), groups
    columns = [np.bincount(group, each, minlength=groups) for each in rest_others.T]
    others = np.stack(columns, axis=1) if columns else np.zeros((groups, 0))
    if groups * count <= DENSE_CELLS:
        size = groups * count
        cells = np.bincount(group * count + first, rest, size) - np.bincount(group * count + second, rest, size)
        return sandwich(bread, np.concatenate([cells.reshape(groups, count), others], axis=1), groups), groups
    places = (np.concatenate([group, group]), np.concatenate([first, second]))
    sparse = csr_array((np.concatenate([rest, -rest]), places), shape=(groups, count))
    meat = np.zeros_like(bread)
    meat[:count, :count] = (sparse.T @ sparse).toarray()
    meat[:count, count:] = sparse.T @ others
    meat[count:, :count] = meat[:count, count:].T
    meat[count:, count:] = others.T @ others
    return groups / (groups - 1) * bread @ meat @ bread, groups


def sandwich(bread: Floats, scores: Floats, groups: int) -> Floats:
    """Return the covariance from every cluster's gradient [clusters x parameters]; nan with fewer than two."""
    if groups < 2:
        return np.full_like(bread, np.nan)
    half = scores @ bread
    return np.asarray(groups / (groups - 1) * half.T @ half)


def summary(
    theta: Floats, covariance: Floats, compared: Bools, free: Bools, likelihood: float, steps: int, converged: bool,
    votes: int, groups: int, level: float,
) -> Strengths:  # fmt: skip
    """Name what was fitted, with nan for what the votes do not say."""
    count = compared.size
    free = free & converged
    known = np.where(free, theta, np.nan)
    covariance = np.where(np.outer(free, free), covariance, np.nan)
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    half = error * (student(groups, level) if groups else float(norm.ppf(0.5 + level / 2)))
    low, high = known - half, known + half
    return Strengths(
        known[:count], low[:count], high[:count], error[:count], covariance,
        known[count:], low[count:], high[count:], error[count:],
        compared, likelihood, steps, converged, votes, groups,
    )  # fmt: skip
