"""Draw a project's judgments as arrays: models of unequal strength, people of unequal skill, gold and repeats.

Nothing here knows a database; benchmarks/curation_rows.py writes what is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import combinations

import numpy as np

MODELS = 8
STRENGTHS = np.array([0.9, 0.6, 0.5, 0.2, 0.0, -0.4, -0.7, -1.1])
OVERLAPS, OVERLAP_SHARES = np.array([1, 2, 3, 5]), [0.6, 0.15, 0.2, 0.05]
GOLD_TASKS, GOLD_SHARE, REPEAT_SHARE, REVISED_SHARE = 40, 0.05, 0.03, 0.01
DAYS = 90
DAY = 86_400.0


@dataclass(frozen=True)
class People:
    """Of every annotator: how sharply they see quality, what draws them beside it, how fast they are, what they do."""

    skill: np.ndarray
    side: np.ndarray
    length: np.ndarray
    pace: np.ndarray
    activity: np.ndarray


@dataclass(frozen=True)
class Drawn:
    """Rows of judgments by time. `task` counts pairs; of a repeat, `repeats` is the row that it repeats, else -1."""

    task: np.ndarray
    person: np.ndarray
    slot: np.ndarray
    arm: np.ndarray
    repeats: np.ndarray
    swapped: np.ndarray
    preference: np.ndarray
    seconds: np.ndarray
    created: np.ndarray
    revised: np.ndarray


@dataclass(frozen=True)
class World:
    """Prompts with MODELS responses each, of `words` [prompts x MODELS] and `quality`; `tasks` [tasks x 3] are a prompt
    and two of its responses, `gold` the tasks whose answer is known, `truth` [tasks] how much better the second is."""

    model: np.ndarray
    words: np.ndarray
    quality: np.ndarray
    tasks: np.ndarray
    overlap: np.ndarray
    gold: np.ndarray
    truth: np.ndarray


def draw_people(count: int, rng: np.random.Generator) -> People:
    skill = rng.lognormal(0.4, 0.35, count)
    side = rng.normal(0.05, 0.15, count)
    careless = rng.random(count) < 0.03
    skill[careless], side[careless] = 0.0, 1.0
    activity = rng.lognormal(0.0, 0.9, count)
    pace = np.where(careless, 0.15, rng.lognormal(0.0, 0.35, count))
    return People(skill, side, rng.normal(0.3, 0.2, count), pace, activity / activity.sum())


def draw_world(judgments: int, rng: np.random.Generator) -> World:
    """Draw as many tasks as so many judgments need, and what they are about."""
    golds = max(GOLD_TASKS, judgments // 1000)
    # The most active run out of gold, and tasks that become gold are judged by nobody else.
    ordinary = round(1.005 * judgments * (1 - GOLD_SHARE - REPEAT_SHARE)) + 2 * golds
    overlap = rng.choice(OVERLAPS, size=ordinary, p=OVERLAP_SHARES)
    overlap = overlap[: int(np.searchsorted(np.cumsum(overlap), ordinary)) + 1]
    pairs = np.array(list(combinations(range(MODELS), 2)))
    prompts = -(-len(overlap) // len(pairs))
    model = rng.permuted(np.tile(np.arange(MODELS), (prompts, 1)), axis=1)
    words = np.clip(rng.lognormal(4.7, 0.6, (prompts, MODELS)), 5, 900).astype(int)
    quality = STRENGTHS[model] + rng.normal(0, 0.8, model.shape) + 0.2 * np.log(words / 110)
    tasks = np.column_stack([np.repeat(np.arange(prompts), len(pairs)), np.tile(pairs, (prompts, 1))])
    tasks = rng.permutation(tasks)[: len(overlap)]
    truth = quality[tasks[:, 0], tasks[:, 2]] - quality[tasks[:, 0], tasks[:, 1]]
    gold = rng.permutation(np.flatnonzero(np.abs(truth) > 1.5))[:golds]
    overlap[gold] = 0
    return World(model, words, quality, tasks, overlap, gold, truth)


def draw_judgments(world: World, people: People, judgments: int, end: datetime, rng: np.random.Generator) -> Drawn:
    """Draw who judged what, when, for how long and what they said."""
    count = people.skill.size
    task = np.repeat(np.arange(len(world.overlap)), world.overlap)
    slot = np.arange(task.size) - np.repeat(np.cumsum(world.overlap) - world.overlap, world.overlap)
    person = different_people(world.overlap, people.activity, rng)
    arm = np.where(rng.random(task.size) < 0.1, "random", "priority")
    gold_task, gold_person = gold_judgments(world.gold, round(judgments * GOLD_SHARE), people.activity, rng)
    repeated = rng.choice(task.size, size=min(round(judgments * REPEAT_SHARE), task.size), replace=False)
    day = rng.random(task.size) ** 0.8 * (DAYS - 8)
    created = np.concatenate(
        [day, rng.random(gold_task.size) * (DAYS - 8), day[repeated] + 1 + 5 * rng.random(repeated.size)]
    )
    swapped = rng.random(task.size + gold_task.size) < 0.5
    whole_task = np.concatenate([task, gold_task, task[repeated]])
    whole_person = np.concatenate([person, gold_person, person[repeated]])
    whole_swapped = np.concatenate([swapped, ~swapped[repeated]])
    none = np.full(gold_task.size, -1)
    order = np.argsort(created, kind="stable")
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    repeats = np.concatenate([np.full(task.size, -1), none, place[repeated]])
    preference = say(world, people, whole_task, whole_person, whole_swapped, rng)
    prompt, one, other = world.tasks[whole_task].T
    read = world.words[prompt, one] + world.words[prompt, other]
    seconds = np.round((4 + read / 4.2) * people.pace[whole_person] * rng.lognormal(0, 0.45, read.size), 1)
    assert count == people.pace.size
    return Drawn(
        task=whole_task[order],
        person=whole_person[order],
        slot=np.concatenate([slot, none, np.full(repeated.size, -1)])[order],
        arm=np.concatenate([arm, np.full(gold_task.size, "gold"), np.full(repeated.size, "repeat")])[order],
        repeats=repeats[order],
        swapped=whole_swapped[order],
        preference=preference[order],
        seconds=seconds[order],
        created=end.timestamp() - (DAYS - created[order]) * DAY,
        revised=rng.random(order.size) < REVISED_SHARE,
    )


def different_people(overlap: np.ndarray, activity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return one person per slot, the active ones more often, nobody twice on a task."""
    most = int(OVERLAPS.max())
    chosen = rng.choice(activity.size, size=(overlap.size, most), p=activity)
    while True:
        ordered = np.sort(chosen, axis=1)
        again = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
        if not again.size:
            break
        chosen[again] = rng.choice(activity.size, size=(again.size, most), p=activity)
    return chosen[np.arange(most) < overlap[:, None]]


def gold_judgments(
    gold: np.ndarray, wanted: int, activity: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return gold tasks and people: everybody's share of their work, each gold once."""
    each = np.minimum(np.ceil(wanted * activity), gold.size).astype(int)
    tasks = [rng.permutation(gold)[:many] for many in each]
    return np.concatenate(tasks), np.repeat(np.arange(activity.size), each)


def say(
    world: World, people: People, task: np.ndarray, person: np.ndarray, swapped: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return preferences from -3 to 3 in response order."""
    prompt, one, other = world.tasks[task].T
    gap = world.words[prompt, other] - world.words[prompt, one]
    longer = np.tanh(gap / np.sqrt((gap.astype(float) ** 2).mean()))
    drawn = (
        people.skill[person] * world.truth[task]
        + people.side[person] * np.where(swapped, 1, -1)
        + people.length[person] * longer
        + rng.logistic(size=task.size)
    )
    return (np.sign(drawn) * np.digitize(np.abs(drawn), [0.2, 1.0, 2.2])).astype(int)
