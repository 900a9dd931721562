"""How good a snapshot's comparisons are: agreement, gold, what draws people beside the answer, how tasks were chosen.

Counted over the judgments that the selection considered and people made, so ties have their part in agreement and gold
has one at all, though neither is among the rows. Every figure has its n and its interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from feedback.contract import PREFERENCE_LIMIT
from feedback.models import Arm, Gold, ImportedPerson, Project, User
from feedback.quality.columns import NO_PREFERENCE, as_raw, places_in
from feedback.schemas import TaskKind
from feedback.snapshot_reading import Found
from feedback.snapshot_verdicts import Rows
from feedback.snapshot_votes import REASONS, Votes
from feedback.stats.intervals import share

DRAWS = 400
FEWEST_TASKS = 30
"""Tasks of several judgments below which a part of them has no agreement of its own."""
COUNTED_TOO = ("tie", "weak", "few_votes", "undecided", "not_adjudicated", "split")
"""Judgments that no row is made of and that say how well people agree all the same."""


def figures_of(*, project: Project, votes: Votes, rows: Rows, found: Found) -> dict[str, Any]:
    """Return the figures of the comparisons; {} where there is none."""
    is_pair = votes.is_comparison() & (votes.preference != NO_PREFERENCE)
    counted = is_pair & np.isin(votes.reason, [0, *(REASONS.index(reason) for reason in COUNTED_TOO)])
    if not counted.any():
        return {}
    decisive = counted & (votes.preference != 0)
    first_won = (votes.preference < 0) == (votes.swapped == 0)
    placed = decisive & (votes.swapped >= 0)
    arms = votes.of_shared(lambda one: one.arm == Arm.PRIORITY and one.propensity < 1, bool)
    members = np.unique(rows.votes)
    return {
        "agreement": agreement_of(votes, counted & ~np.isin(votes.person, no_single_people(project))),
        "gold": gold_of(project, votes, is_pair),
        "first_shown": shared(int(first_won[placed].sum()), int(placed.sum())),
        "longer": shared(found.longer, found.longer + found.shorter),
        "ties": shared(int((counted & (votes.preference == 0)).sum()), int(counted.sum())),
        "actively_chosen": shared(int(arms[members].sum()), len(members)),
        "random": shared(int(votes.of_shared(lambda one: one.arm == Arm.RANDOM, bool)[members].sum()), len(members)),
    }


def shared(part: int, whole: int) -> dict[str, Any] | None:
    """Return a share with Wilson's interval and its n; None of nothing."""
    return None if not whole else {"n": whole, **rounded(*share(part, whole))}


def rounded(value: float, low: float, high: float) -> dict[str, float | None]:
    """Return figures as JSON holds them, the same on every machine."""
    return {
        name: None if math.isnan(one) else round(one, 4)
        for name, one in (("value", value), ("low", low), ("high", high))
    }


def no_single_people(project: Project) -> list[int]:
    """Return the keys of those whose agreement says nothing of people: simulated ones, and who stands for a dataset."""
    simulated = User.objects.exclude(simulation_rule="").values_list("pk", flat=True)
    voices = ImportedPerson.objects.filter(project=project, stands_for_many=True).values_list("user", flat=True)
    return [*simulated, *voices]


def agreement_of(votes: Votes, counted: np.ndarray) -> dict[str, Any] | None:
    """Return agreement on who is preferred (a tie is a third answer) over tasks that two or more people judged."""
    at = np.flatnonzero(counted)
    _, first = np.unique(votes.task[at].astype(np.int64) * 2**31 + votes.person[at], return_index=True)
    at = at[first]
    several = np.bincount(votes.task[at], minlength=len(votes.tasks)) > 1
    at = at[several[votes.task[at]]]
    if not len(at):
        return None
    from feedback.stats.agreement import Ratings, bootstrap

    sign = np.sign(votes.preference[at].astype(np.int16))
    ratings = Ratings(votes.task[at], votes.person[at], sign, (-1, 0, 1))
    found = bootstrap(ratings, draws=DRAWS)  # over tasks: drawing whole prompts would cost 150 MB at a million
    return {
        "tasks": int(several.sum()),
        "judgments": len(at),
        **{name: rounded(*found[name]) for name in ("percent", "alpha_nominal", "ac1")},
        "parts": agreement_by_part(votes, at, sign),
    }


def agreement_by_part(votes: Votes, at: np.ndarray, sign: np.ndarray) -> dict[str, list[dict[str, Any]]]:
    """Return how often another person gave the answer that a judgment gave, by its strength, language and arm.

    `at` are the judgments of tasks that several people judged, `sign` their answers. A task counts once in each part,
    with the mean over its judgments there; parts of few tasks are left out.
    """
    task = votes.task[at].astype(np.int64)
    alike = np.bincount(task * 3 + sign + 1, minlength=3 * len(votes.tasks))[task * 3 + sign + 1] - 1
    shares = alike / (np.bincount(task)[task] - 1)
    languages, language = np.unique([words[0] for words in votes.prompt_words], return_inverse=True)
    arms, arm = np.unique([one.arm for one in votes.shared], return_inverse=True)
    strengths = ["", *(str(one) for one in range(1, PREFERENCE_LIMIT + 1))]
    known: dict[str, tuple[Sequence[str], np.ndarray]] = {
        "strength": (strengths, np.abs(votes.preference[at].astype(np.int16))),
        "language": (languages.tolist(), language[votes.task_prompt[task]]),
        "arm": (arms.tolist(), arm[votes.circumstances[at]]),
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for name, (parts, part_of) in known.items():
        found[name] = []
        for number, part in enumerate(parts):
            own = part_of == number
            counts = np.bincount(task[own])
            n = int((counts > 0).sum())
            if part and n >= FEWEST_TASKS:
                mean = (np.bincount(task[own], weights=shares[own])[counts > 0] / counts[counts > 0]).mean()
                found[name].append({"part": part, "tasks": n, **rounded(*share(float(mean) * n, n))})
    return found


def gold_of(project: Project, votes: Votes, is_pair: np.ndarray) -> dict[str, Any] | None:
    """Return how often people were right on gold comparisons; a tie is right only where the gold is one."""
    asked = is_pair & (votes.reason == REASONS.index("gold"))
    if not asked.any():
        return None
    known = Gold.objects.filter(queue__project=project, queue__kind=TaskKind.COMPARISON).values_list("task", "answer")
    answers = dict(known)
    at = places_in(as_raw(task.hex for task in answers), votes.tasks)
    right = np.array([np.sign(answer["preference"]) for answer in answers.values()] or [0], dtype=np.int8)[at]
    mask = asked & (at >= 0)[votes.task]
    return shared(int((np.sign(votes.preference) == right[votes.task])[mask].sum()), int(mask.sum()))
