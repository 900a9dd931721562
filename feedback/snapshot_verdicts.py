"""Decide rows from votes: which go in, with which preference, how sure, of what weight.

Under `latest` every vote is a row. Under the other rules the comparisons of one task are one row; of other kinds of
task, whose answers do not add up, every judgment stays a row. What a curator adjudicated outranks the votes. Held-out
people's votes are a row of their own: they say nothing in the others' rows, and nobody says anything in theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedback.contract import ROW_SPLITS
from feedback.quality.columns import NO_PREFERENCE, Bools, Floats, Ints, as_raw, places_in
from feedback.selection import ADJUDICATED, DAWID_SKENE, LATEST, MAJORITY, Selection
from feedback.snapshot_votes import REASONS, Votes

RULES = (LATEST, MAJORITY, DAWID_SKENE, ADJUDICATED)
TIE, NOTHING_WINS, UNSETTLED = 1, -1, -100
CAP = 10.0
"""No row weighs more than so many times the mean: a rare draw must not be the whole of a batch."""
SAME = 1e-9


@dataclass
class Rows:
    """What goes in: rows of votes, by task. All columns of [rows] unless said."""

    votes: Ints
    """[votes that go in], index into Votes, row after row."""
    start: Ints
    """[rows + 1], where each row's begin in `votes`."""
    task: Ints
    preference: NDArray[np.int8]
    """Sign: which response is better, 0 for a tie; NO_PREFERENCE of other kinds than a comparison."""
    margin: Floats
    """Of a comparison, the strength: the mean over those who agree."""
    posterior: Floats
    """Probability of what the row says, by its rule; nan where the rule gives none."""
    rule: NDArray[np.int8]
    """Index into RULES."""
    split: NDArray[np.int8]
    """Index into ROW_SPLITS."""
    weight: Floats

    def __len__(self) -> int:
        return len(self.task)


def decide(votes: Votes, selection: Selection) -> Rows:
    """Return the rows that the votes give; says in `votes.reason` why a vote has no part in any."""
    inside = np.flatnonzero(votes.reason == 0)
    rows = single(votes, inside) if selection.verdict == LATEST else by_rule(votes, inside, selection)
    rows.weight = weights(votes, rows, selection)
    return rows


def single(votes: Votes, inside: Ints) -> Rows:
    """Make every vote a row."""
    preference = votes.preference[inside]
    return Rows(
        votes=inside.astype(np.int32),
        start=np.arange(len(inside) + 1, dtype=np.int32),
        task=votes.task[inside],
        preference=preference,
        margin=np.where(preference == NO_PREFERENCE, 0, np.abs(preference.astype(np.int16))).astype(float),
        posterior=np.full(len(inside), np.nan),
        rule=np.zeros(len(inside), dtype=np.int8),
        split=votes.split()[inside],
        weight=np.ones(len(inside)),
    )


def by_rule(votes: Votes, inside: Ints, selection: Selection) -> Rows:
    """Make what belongs together a row, and leave out what decides nothing."""
    settled = settled_preferences(votes)
    is_settled = (settled != UNSETTLED)[votes.task[inside]] & ~votes.apart[inside]
    together = votes.is_comparison()[inside] | is_settled
    # A unit is a task's votes of the same sort of people, or one vote of a kind that does not add up.
    key = (votes.task[inside].astype(np.int64) * 2 + votes.apart[inside]) * 2 + ~together
    new = np.ones(len(inside), dtype=bool)
    new[1:] = (key[1:] != key[:-1]) | ~together[1:]
    order = np.arange(len(inside))
    if (key[1:] < key[:-1]).any():
        order = np.argsort(key, kind="stable")
        key, together, is_settled = key[order], together[order], is_settled[order]
        inside = inside[order]
        new[1:] = (key[1:] != key[:-1]) | ~together[1:]
    unit = np.cumsum(new) - 1
    first = np.flatnonzero(new)
    start = np.append(first, len(inside))
    preference = votes.preference[inside]
    counted = together & ~is_settled & (preference != NO_PREFERENCE)
    winner, posterior, margin = tally(votes, inside, unit, len(first), preference, counted, selection.verdict)
    total = np.bincount(unit[counted], minlength=len(first))
    task = votes.task[inside[first]]
    voted, decided = counted[first], is_settled[first]

    answer = settled[task]
    rule = np.where(decided, RULES.index(ADJUDICATED), np.where(voted, RULES.index(selection.verdict), 0))
    stays_out = np.zeros(len(first), dtype=np.uint8)

    def leave_out(which: Bools, reason: str) -> None:
        stays_out[which & (stays_out == 0)] = REASONS.index(reason)

    if selection.verdict == ADJUDICATED:
        leave_out(~decided, "not_adjudicated")
    leave_out(voted & (total < selection.min_votes), "few_votes")
    leave_out(voted & ((winner == NOTHING_WINS) | (posterior < selection.min_posterior)), "undecided")
    is_tie = np.where(decided, answer == 0, voted & (winner == TIE))
    if not selection.keep_ties:
        leave_out(is_tie, "tie")
    leave_out(voted & ~is_tie & (margin < selection.min_strength), "weak")
    is_pair = decided & (answer != NO_PREFERENCE)
    leave_out(is_pair & ~is_tie & (np.abs(answer) < selection.min_strength), "weak")

    votes.reason[inside] = stays_out[unit]
    sign = np.where(voted, winner - 1, NO_PREFERENCE)
    sign = np.where(decided, answer, sign)
    kept = stays_out == 0
    counts = np.diff(start)[kept]
    return Rows(
        votes=inside[kept[unit]].astype(np.int32),
        start=np.append(0, np.cumsum(counts)).astype(np.int32),
        task=task[kept],
        preference=sign[kept].astype(np.int8),
        margin=np.where(is_pair, np.abs(answer), np.where(voted, margin, 0.0))[kept].astype(float),
        posterior=np.where(decided, 1.0, np.where(voted, posterior, np.nan))[kept],
        rule=rule[kept].astype(np.int8),
        split=votes.split()[inside[first]][kept],
        weight=np.ones(int(kept.sum())),
    )


def tally(
    votes: Votes, inside: Ints, unit: Ints, units: int, preference: NDArray[np.int8], counted: Bools, rule: str
) -> tuple[Ints, Floats, Floats]:
    """Return for every unit what wins (0 the first, 1 a tie, 2 the second, NOTHING_WINS), how surely, how strongly.

    Majority: more than half of the votes; sure is their share. Dawid-Skene: the likeliest, if no other is as likely.
    """
    label = np.sign(preference.astype(np.int16)) + 1
    if rule == DAWID_SKENE and counted.any():
        from feedback.stats.dawid_skene import fit

        _, person = np.unique(votes.person[inside[counted]], return_inverse=True)
        shares = fit(unit[counted], person, label[counted], 3, task_count=units).posterior
        top = np.sort(shares, axis=1)
        clear = top[:, 2] - top[:, 1] > SAME
    else:
        counts = np.bincount(unit[counted] * 3 + label[counted], minlength=units * 3).reshape(units, 3)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        clear = shares.max(axis=1) > 0.5 + SAME
    winner = np.where(clear, shares.argmax(axis=1), NOTHING_WINS)
    agrees = counted & (label == winner[unit])
    voices = np.bincount(unit[agrees], minlength=units)
    strength = np.bincount(unit[agrees], weights=np.abs(preference[agrees].astype(np.int16)), minlength=units)
    return winner, shares.max(axis=1), strength / np.maximum(voices, 1)


def settled_preferences(votes: Votes) -> Ints:
    """Return for every task what a curator settled on: a preference, NO_PREFERENCE for an answer of another kind, and
    UNSETTLED for nothing."""
    found = np.full(len(votes.tasks), UNSETTLED, dtype=np.int64)
    if votes.adjudicated:
        known = as_raw(one.hex() for one in votes.adjudicated)
        at = places_in(votes.tasks, known)
        for place, answer in zip(at.tolist(), votes.adjudicated.values(), strict=True):
            if place >= 0:
                said = answer.get("preference")
                found[place] = NO_PREFERENCE if said is None else said
    return found


# Weights --------------------------------------------------------------------------------------------------


def weights(votes: Votes, rows: Rows, selection: Selection) -> Floats:
    """Return what every row weighs.

    posterior: the probability of what the row says, by the rule that decided it, or by Dawid-Skene where every vote is
    a row. reliability: the mean accuracy (Dawid-Skene, judged by the others' votes) of those who said it, and
    propensity: one over the probability with which the task's responses were drawn; both divided by their mean over the
    split, at most CAP. Rows of other kinds than comparisons weigh 1.
    """
    weight = np.ones(len(rows))
    if selection.weights == "none" or not len(rows):
        return weight
    row_of = np.repeat(np.arange(len(rows)), np.diff(rows.start))
    pairs = rows.preference != NO_PREFERENCE
    first = rows.votes[rows.start[:-1]]
    if selection.weights == "propensity":
        weight = 1 / votes.of_shared(lambda one: one.propensity, float)[first]
        return balanced(weight, rows.split)
    if selection.weights == "posterior" and selection.verdict != LATEST:
        return np.where(np.isnan(rows.posterior), 1.0, rows.posterior)
    label = np.sign(votes.preference[rows.votes].astype(np.int16)) + 1
    counted = pairs[row_of]
    if not counted.any():
        return weight
    fitted = fit_rows(votes, rows, counted, label)
    said = np.sign(rows.preference.astype(np.int16)) + 1
    if selection.weights == "posterior":
        share: Any = fitted.posterior[rows.task, np.clip(said, 0, 2)]
        rows.posterior = np.where(pairs, share, np.nan)
        return np.where(pairs, share, 1.0)
    _, person = np.unique(votes.person[rows.votes], return_inverse=True)
    agrees = counted & (label == said[row_of])
    voices = np.bincount(row_of[agrees], minlength=len(rows))
    accuracy = np.bincount(row_of[agrees], weights=fitted.accuracy[person[agrees]], minlength=len(rows))
    weight = np.where(pairs & (voices > 0), accuracy / np.maximum(voices, 1), np.nan)
    return balanced(np.where(np.isnan(weight), np.nanmean(weight) if voices.any() else 1.0, weight), rows.split, pairs)


def fit_rows(votes: Votes, rows: Rows, counted: Bools, label: Ints) -> Any:
    from feedback.stats.dawid_skene import fit

    _, person = np.unique(votes.person[rows.votes], return_inverse=True)
    return fit(
        votes.task[rows.votes[counted]], person[counted], label[counted], 3, task_count=len(votes.tasks),
        annotator_count=int(person.max()) + 1,
    )  # fmt: skip


def balanced(weight: Floats, split: NDArray[np.int8], which: Bools | None = None) -> Floats:
    """Return weights divided by their mean over the split, at most CAP; 1 for rows that are not `which`."""
    result = np.ones(len(weight))
    for number in range(len(ROW_SPLITS)):
        own = split == number if which is None else (split == number) & which
        if own.any():
            result[own] = np.minimum(weight[own] / weight[own].mean(), CAP)
    return result
