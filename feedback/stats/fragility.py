"""How few votes would flip first place: if it is a handful among thousands, first place is not known.

Each vote's influence on the gap between the leader and a rival is known to first order (the approximate maximum
influence perturbation of Broderick, Giordano and Meager 2020; on arenas Huang et al. 2025, arXiv:2508.11847). The most
influential are left out until a refit puts the rival first, so the count is verified: so many suffice. Fewer could.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from feedback.stats.intervals import Floats, Ints, dense
from feedback.stats.preference_models import Strengths, bradley_terry

ROUNDS = 40


@dataclass(frozen=True)
class Flip:
    """Leaving out `dropped` votes (or people) of `of` puts `rival` before `leader`, as a refit has shown.

    `first`, `second`, `wins`, `times`: which votes, as rows of two players, what was said, and how many of them to
    leave out; of people, `people` are their codes.
    """

    leader: int
    rival: int
    dropped: int
    of: int
    first: Ints
    second: Ints
    wins: Floats
    times: Ints
    people: Ints

    @property
    def share(self) -> float:
        return self.dropped / self.of


def fewest_votes(
    i: ArrayLike, j: ArrayLike, wins: ArrayLike, *, players: int | None = None, rivals: int = 5
) -> Flip | None:
    """Return the smallest flip of first place found among the nearest rivals; None where nothing flips it.

    Arguments as of `bradley_terry`: one row is one vote. None also where there is no first place (nobody can be
    compared).
    """
    first, second, y, kind, count = kinds_of_votes(i, j, wins, players)
    times = np.bincount(kind, minlength=first.size)
    fitted = bradley_terry(first, second, y, weights=times, players=count)
    found = [flip for rival in nearest(fitted, rivals) if (flip := flip_of(rival, fitted, first, second, y, times))]
    return min(found, key=lambda flip: flip.dropped, default=None)


def fewest_people(
    i: ArrayLike, j: ArrayLike, wins: ArrayLike, people: ArrayLike, *, players: int | None = None, rivals: int = 3
) -> Flip | None:
    """Return the fewest people found whose votes, all left out, flip first place; None where nothing flips it."""
    first, second, y, kind, count = kinds_of_votes(i, j, wins, players)
    codes, person = np.unique(np.asarray(people), return_inverse=True)
    person = person.reshape(-1)
    fitted = bradley_terry(first, second, y, weights=np.bincount(kind, minlength=first.size), players=count)
    found = []
    for rival in nearest(fitted, rivals):
        leader = int(np.nanargmax(fitted.strength))
        influence = influences(fitted, leader, rival, first, second, y)
        order = np.argsort(-np.bincount(person, influence[kind], minlength=codes.size), kind="stable")
        place = np.empty(codes.size, dtype=np.int64)
        place[order] = np.arange(codes.size)

        def flips(k: int, place: Ints = place, leader: int = leader, rival: int = rival) -> bool:
            left = np.bincount(kind[place[person] >= k], minlength=first.size)
            return gap(bradley_terry(first, second, y, weights=left, players=count), leader, rival) < 0

        if k := smallest(flips, codes.size):
            none = np.zeros(0, dtype=np.int64)
            found.append(Flip(leader, rival, k, codes.size, none, none, none.astype(float), none, codes[order[:k]]))
    return min(found, key=lambda flip: flip.dropped, default=None)


def kinds_of_votes(
    i: ArrayLike, j: ArrayLike, wins: ArrayLike, players: int | None
) -> tuple[Ints, Ints, Floats, Ints, int]:
    """Return what was said of which two, one row each, and every vote's row."""
    first, count = dense(i, players)
    second, more = dense(j, players)
    count, y = max(count, more), np.asarray(wins, dtype=float)
    turned = first > second
    low, high = np.where(turned, second, first), np.where(turned, first, second)
    outcome = np.rint(2 * np.where(turned, 1 - y, y)).astype(np.int64)
    keys, kind = np.unique((low * count + high) * 3 + outcome, return_inverse=True)
    return keys // 3 // max(count, 1), keys // 3 % max(count, 1), keys % 3 / 2, kind.reshape(-1), count


def nearest(fitted: Strengths, rivals: int) -> list[int]:
    """Return those behind the leader by the fewest standard errors."""
    if not fitted.compared.any():
        return []
    leader = int(np.nanargmax(fitted.strength))
    others = [int(each) for each in np.flatnonzero(fitted.compared) if each != leader]
    return sorted(others, key=lambda each: fitted.leads(leader, each))[:rivals]


def influences(fitted: Strengths, leader: int, rival: int, first: Ints, second: Ints, y: Floats) -> Floats:
    """Return by how much leaving out one such vote closes the leader's gap, to first order [rows]."""
    strength = np.nan_to_num(fitted.strength)
    covariance = np.nan_to_num(fitted.covariance)
    pull = covariance[leader] - covariance[rival]
    both = fitted.compared[first] & fitted.compared[second]
    rest = y - expit(strength[first] - strength[second])
    return np.where(both, rest * (pull[first] - pull[second]), 0.0)


def flip_of(rival: int, fitted: Strengths, first: Ints, second: Ints, y: Floats, times: Ints) -> Flip | None:
    leader, count = int(np.nanargmax(fitted.strength)), fitted.strength.size
    taken: list[Ints] = []  # in the order in which they were left out
    left, now = times.copy(), fitted
    for _ in range(ROUNDS):
        lead = gap(now, leader, rival)
        if not lead >= 0:
            break
        influence = influences(now, leader, rival, first, second, y)
        useful = np.argsort(-influence, kind="stable")
        useful = useful[(influence[useful] > 0) & (left[useful] > 0)]
        if not useful.size:
            return None
        # As many as would just do if influence stayed as it is; never more than a tenth of what is left at once.
        closed = np.cumsum(influence[useful] * left[useful])
        at = int(np.searchsorted(closed, lead * 1.0001))
        picked = useful[: at + 1]
        amounts = left[picked].copy()
        if at < useful.size:
            before = closed[at - 1] if at else 0.0
            amounts[-1] = min(amounts[-1], int(np.ceil((lead * 1.0001 - before) / influence[picked[-1]])) or 1)
        batch = np.repeat(picked, amounts)[: max(1, int(left.sum()) // 10)]
        taken.append(batch)
        left = left - np.bincount(batch, minlength=left.size)
        now = bradley_terry(first, second, y, weights=left, players=count)
    if not gap(now, leader, rival) < 0:
        return None
    order = np.concatenate(taken)

    def flips(k: int) -> bool:
        kept = times - np.bincount(order[:k], minlength=times.size)
        return gap(bradley_terry(first, second, y, weights=kept, players=count), leader, rival) < 0

    k = smallest(flips, order.size) or order.size
    rows, dropped = np.unique(order[:k], return_counts=True)
    none = np.zeros(0, dtype=np.int64)
    return Flip(leader, rival, k, int(times.sum()), first[rows], second[rows], y[rows], dropped, none)


def gap(fitted: Strengths, leader: int, rival: int) -> float:
    """Return by how much the leader leads; nan (neither more nor less than 0) where they cannot be compared."""
    return float(fitted.strength[leader] - fitted.strength[rival])


def smallest(flips: Callable[[int], bool], most: int) -> int:
    """Return the smallest k up to `most` for which `flips(k)`, found by doubling and halving; 0 for none.

    A larger k flips too, as a rule; where it does not, what is returned flips all the same.
    """
    high = 1
    while not flips(high):
        if high == most:
            return 0
        high = min(2 * high, most)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if flips(middle) else (middle, high)
    return high
