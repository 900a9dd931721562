"""Strengths from rankings: Plackett and Luce's model, with ties.

A ranking is choices one after the other: of all, then of those left, and so on. A choice of several at once is a tie,
and the model says how common ties of two, of three, ... are, as Davidson does for pairs: a set of d players is chosen
in proportion to exp(tie_d + mean strength of its players). So a tie says that players are close, and nothing of an
order. A ranking of K players counts as its K - 1 choices, not as K (K - 1) / 2 votes. Sources: Plackett 1975; Turner,
van Etten, Firth and Kosmidis 2020 (PlackettLuce), without its prior.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from feedback.stats.intervals import LEVEL, Bools, Floats, Ints, dense
from feedback.stats.preference_models import SMALL_STEP, Strengths, climbed, comparable, inverse, sandwich, summary

ITERATIONS = 50
CELLS_AT_ONCE = 4_000_000
PLAYERS_LIMIT = 10


class RankingTooLong(ValueError):
    """With ties, a ranking is compared with every set of its players; of more than ten these are too many."""


@dataclass(frozen=True)
class Choices:
    """Choices among the same number of players: who was left [rows x m], who was chosen [rows x m], whose ranking."""

    left: Ints
    chosen: Bools
    ranking: Ints


def plackett_luce(
    rankings: ArrayLike,
    players: ArrayLike,
    ranks: ArrayLike,
    *,
    player_count: int | None = None,
    clusters: ArrayLike | None = None,
    level: float = LEVEL,
) -> Strengths:
    """Fit strengths to rankings in long form: one row per ranking (any code), player (index) and rank (1 is best).

    Equal ranks are ties; only the order of ranks counts. `clusters`, per row, say who ranked; without them every
    ranking is independent. `coefficients` are the logs of how common ties of 2, 3, ... players are, up to the largest
    tie seen; nan for a size that was never seen. In `votes`, a ranking is one.
    """
    player, count = dense(players, player_count)
    _, first_row, ranking = np.unique(np.asarray(rankings), return_index=True, return_inverse=True)
    ranking = ranking.reshape(-1)
    choices = choices_of(ranking, player, np.asarray(ranks, dtype=float))
    winner, loser, worth = beaten(choices)
    compared = comparable(winner, loser, worth, np.ones(winner.size), count)
    choices = [kept for each in choices if (kept := among(each, compared)) is not None]
    ties = [np.bincount(each.chosen.sum(axis=1), minlength=PLAYERS_LIMIT + 1) for each in choices]
    seen = np.sum(ties, axis=0) if ties else np.zeros(PLAYERS_LIMIT + 1, dtype=np.int64)
    largest = int(np.flatnonzero(seen).max()) if seen.any() else 1
    if largest > 1 and max(each.left.shape[1] for each in choices) > PLAYERS_LIMIT:
        raise RankingTooLong(f"Rankings with ties can be of at most {PLAYERS_LIMIT} responses.")
    free = np.append(compared, (seen[2 : largest + 1] > 0) & (seen[2 : largest + 1] < seen.sum()))
    theta = np.zeros(count + largest - 1)
    theta[count:] = np.where(seen[2 : largest + 1] > 0, 0.0, -np.inf)
    steps, converged = 0, False
    while not converged and steps < ITERATIONS:
        _, gradient, information = slopes(theta, choices, count)
        theta, moved = climbed(theta, gradient, information, free)
        steps, converged = steps + 1, moved < SMALL_STEP
    likelihood, _, information = slopes(theta, choices, count)
    bread = inverse(information, free)
    covariance, groups = bread, 0
    if clusters is not None:
        _, cluster = np.unique(np.asarray(clusters)[first_row], return_inverse=True)
        cluster = cluster.reshape(-1)
        groups = int(cluster.max()) + 1 if cluster.size else 0
        covariance = sandwich(bread, scores(theta, choices, cluster, groups, count), groups)
    used = int(np.unique(np.concatenate([each.ranking for each in choices])).size) if choices else 0
    return summary(theta, covariance, compared, free, likelihood, steps, converged, used, groups, level)


def choices_of(ranking: Ints, player: Ints, rank: Floats) -> list[Choices]:
    """Return the choices, gathered by how many players were left; the last one left is no choice."""
    order = np.lexsort((player, rank, ranking))
    ranking, player, rank = ranking[order], player[order], rank[order]
    same = (np.diff(ranking, prepend=-1) == 0) & (np.diff(rank, prepend=np.nan) == 0)
    starts = np.flatnonzero(~same)  # where a group of equals begins; everybody from there to the end is left
    sizes = np.diff(np.append(starts, ranking.size))
    ends = np.cumsum(np.bincount(ranking)) if ranking.size else np.zeros(0, dtype=np.int64)
    many = ends[ranking[starts]] - starts
    found = []
    for m in np.unique(many[many > 1]):
        of_m = starts[many == m]
        left = player[of_m[:, None] + np.arange(m)]
        chosen = np.arange(m) < sizes[many == m][:, None]
        found.append(Choices(left, chosen, ranking[of_m]))
    return found


def beaten(choices: list[Choices]) -> tuple[Ints, Ints, Floats]:
    """Return pairs of a chosen player and another that was left, with 1, or 0.5 where both were chosen."""
    first: list[Ints] = []
    second: list[Ints] = []
    worth: list[Floats] = []
    for each in choices:
        for a in range(each.left.shape[1]):
            for b in range(each.left.shape[1]):
                met = each.chosen[:, a] & (a != b) & ((a < b) | ~each.chosen[:, b])
                first.append(each.left[met, a])
                second.append(each.left[met, b])
                worth.append(np.where(each.chosen[met, b], 0.5, 1.0))
    if not first:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
    return np.concatenate(first), np.concatenate(second), np.concatenate(worth)


def among(choices: Choices, compared: Bools) -> Choices | None:
    """Return the choices between players that can all be compared."""
    kept = compared[choices.left].all(axis=1)
    return Choices(choices.left[kept], choices.chosen[kept], choices.ranking[kept]) if kept.any() else None


def slopes(theta: Floats, choices: list[Choices], count: int) -> tuple[float, Floats, Floats]:
    """Return log-likelihood, gradient and information over all choices."""
    likelihood, gradient, information = 0.0, np.zeros(theta.size), np.zeros((theta.size, theta.size))
    for left, chosen, _ in batches(choices, theta.size - count):
        shares, ties, alternatives = sets_of(left.shape[1], theta.size - count)
        p, log_p = probabilities(theta, left, shares, ties, count)
        took = chosen / chosen.sum(axis=1, keepdims=True)
        size = chosen.sum(axis=1)
        # What is chosen stands first in a row, so `size` says which set it is.
        bits = (1 << size) - 1 if ties.shape[1] else size - 1
        likelihood += float(log_p[np.arange(len(left)), alternatives[bits]].sum())
        expected, expected_tie = p @ shares, p @ ties
        gradient[:count] += np.bincount(left.ravel(), (took - expected).ravel(), minlength=count)
        gradient[count:] += (np.equal.outer(size, np.arange(2, 2 + ties.shape[1])) - expected_tie).sum(axis=0)
        m = left.shape[1]
        second = (p @ (shares[:, :, None] * shares[:, None, :]).reshape(-1, m * m)).reshape(-1, m, m)
        spread = second - expected[:, :, None] * expected[:, None, :]
        cells = left[:, :, None] * count + left[:, None, :]
        information[:count, :count] += np.bincount(cells.ravel(), spread.ravel(), count * count).reshape(count, count)
        for d in range(ties.shape[1]):
            beside = p @ (shares * ties[:, d : d + 1]) - expected * expected_tie[:, d : d + 1]
            information[count + d, :count] += np.bincount(left.ravel(), beside.ravel(), minlength=count)
        information[count:, count:] += np.diag(expected_tie.sum(axis=0)) - expected_tie.T @ expected_tie
    information[:count, count:] = information[count:, :count].T
    return likelihood, gradient, information


def scores(theta: Floats, choices: list[Choices], cluster: Ints, groups: int, count: int) -> Floats:
    """Return the gradient of every cluster of rankings: [clusters x parameters]."""
    found = np.zeros((groups, theta.size))
    for left, chosen, ranking in batches(choices, theta.size - count):
        shares, ties, _ = sets_of(left.shape[1], theta.size - count)
        p, _ = probabilities(theta, left, shares, ties, count)
        rest = chosen / chosen.sum(axis=1, keepdims=True) - p @ shares
        group = cluster[ranking]
        cells = group[:, None] * count + left
        found[:, :count] += np.bincount(cells.ravel(), rest.ravel(), groups * count).reshape(groups, count)
        rest_tie = np.equal.outer(chosen.sum(axis=1), np.arange(2, 2 + ties.shape[1])) - p @ ties
        for d in range(ties.shape[1]):
            found[:, count + d] += np.bincount(group, rest_tie[:, d], minlength=groups)
    return found


def batches(choices: list[Choices], tie_sizes: int) -> Iterator[tuple[Ints, Bools, Ints]]:
    """Cut choices into parts that fit the memory, as views."""
    for each in choices:
        m = each.left.shape[1]
        step = max(1, CELLS_AT_ONCE // max(m * m, len(sets_of(m, tie_sizes)[0])))
        for at in range(0, len(each.left), step):
            yield each.left[at : at + step], each.chosen[at : at + step], each.ranking[at : at + step]


@cache
def sets_of(m: int, tie_sizes: int) -> tuple[Floats, Floats, Ints]:
    """Return the sets of at most 1 + `tie_sizes` of m players, in three arrays.

    Their shares [sets x m], 1 / size for a member; their size as [sets x tie sizes]; the row of a set by its bits, or
    by its only member where there are no ties.
    """
    if not tie_sizes:
        return np.eye(m), np.zeros((m, 0)), np.arange(m)
    bits = np.arange(1, 1 << m)
    members = (bits[:, None] >> np.arange(m)) & 1
    size = members.sum(axis=1)
    small = size <= 1 + tie_sizes
    rows = np.zeros(1 << m, dtype=np.int64)
    rows[bits[small]] = np.arange(small.sum())
    return (
        (members / size[:, None])[small],
        np.equal.outer(size[small], np.arange(2, 2 + tie_sizes)).astype(float),
        rows,
    )


def probabilities(theta: Floats, left: Ints, shares: Floats, ties: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the probability of every set in every choice [rows x sets], and its logarithm."""
    of_ties = np.where(ties > 0, theta[count:], 0.0).sum(axis=1)
    worth = theta[left] @ shares.T + of_ties
    worth -= worth.max(axis=1, keepdims=True)
    total = np.log(np.exp(worth).sum(axis=1, keepdims=True))
    return np.exp(worth - total), worth - total
