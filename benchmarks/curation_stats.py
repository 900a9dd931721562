"""The statistics alone, on arrays of 1,000,000 drawn judgments; part of `make bench-curation`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

import numpy as np

from benchmarks.curation_draw import MODELS, Drawn, World, draw_judgments, draw_people, draw_world
from benchmarks.measured import measured

BENCHMARK = "curation_stats"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curation_stats", description=__doc__)
    parser.add_argument("--judgments", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=400)
    asked = parser.parse_args()
    rng = np.random.default_rng(4)
    world = draw_world(asked.judgments, rng)
    drawn = draw_judgments(world, draw_people(asked.people, rng), asked.judgments, datetime.now(UTC), rng)
    measure_agreement(world, drawn)
    measure_strengths(world, drawn)
    measure_people(world, drawn)
    measure_rankings(asked.judgments // 4, asked.people, rng)


def measure_agreement(world: World, drawn: Drawn) -> None:
    from feedback.stats.agreement import Ratings, bootstrap, decisive_only, ties_as_a_category
    from feedback.stats.pairs_of_people import pairwise_by_people

    ordinary = drawn.slot >= 0
    task, person, said = drawn.task[ordinary], drawn.person[ordinary], drawn.preference[ordinary]
    prompt, count = world.tasks[task, 0], {"judgments": int(ordinary.sum())}
    with measured(BENCHMARK, "ratings", **count):
        ratings = Ratings(task, person, said)
    for rule, narrowed in (("scale", lambda: ratings), ("ties", lambda: ties_as_a_category(ratings)),
                           ("decisive", lambda: decisive_only(ratings))):  # fmt: skip
        with measured(BENCHMARK, "agreement", rule=rule, draws=1000, clusters="prompts", goal_s=20, **count) as found:
            every = bootstrap(narrowed(), draws=1000, clusters=prompt)
            for name in ("percent", "alpha_nominal", "alpha_ordinal", "ac1"):
                found[name] = [round(float(end), 4) for end in every[name]]
    with measured(BENCHMARK, "agreement_by_unit", draws=1000, **count):
        bootstrap(ratings, draws=1000)
    with measured(BENCHMARK, "pairs_of_people", **count) as found:
        found["pairs"] = len(pairwise_by_people(ratings).units)


def measure_strengths(world: World, drawn: Drawn) -> None:
    from feedback.stats.fragility import fewest_people, fewest_votes
    from feedback.stats.preference_models import bradley_terry, davidson, style_differences

    prompt, one, other = world.tasks[drawn.task].T
    i, j = world.model[prompt, other], world.model[prompt, one]
    y = (np.sign(drawn.preference) + 1) / 2
    count: dict[str, Any] = {"judgments": y.size, "models": MODELS}
    with measured(BENCHMARK, "bradley_terry", clusters="people", goal_s=3, **count) as found:
        fitted = bradley_terry(i, j, y, clusters=drawn.person)
        found["strengths"] = np.round(fitted.strength, 3).tolist()
    with measured(BENCHMARK, "davidson", clusters="people", **count):
        davidson(i, j, y, clusters=drawn.person)
    words = world.words[prompt, other], world.words[prompt, one]
    with measured(BENCHMARK, "bradley_terry_controlled", clusters="people", covariates=4, **count) as found:
        rng = np.random.default_rng(0)
        style = [rng.poisson(each[:, None] / 60, (each.size, 3)) for each in words]
        z = style_differences(*(np.column_stack(both) for both in zip(words, style, strict=True)))
        found["length"] = round(float(bradley_terry(i, j, y, clusters=drawn.person, covariates=z).coefficients[0]), 3)
    with measured(BENCHMARK, "fragility_votes", **count) as found:
        flip = fewest_votes(i, j, y)
        found["dropped"] = flip and flip.dropped
    with measured(BENCHMARK, "fragility_people", **count) as found:
        flip = fewest_people(i, j, y, drawn.person)
        found["dropped"] = flip and flip.dropped
    many = np.random.default_rng(1).integers(0, 100, (2, y.size))
    with measured(BENCHMARK, "bradley_terry", clusters="people", goal_s=3, judgments=y.size, models=100):
        bradley_terry(many[0], many[1], y, clusters=drawn.person)


def measure_people(world: World, drawn: Drawn) -> None:
    from feedback.stats.dawid_skene import fit
    from feedback.stats.evidence import drift_cusum, e_benjamini_hochberg, gold_e_process
    from feedback.stats.pace import pace
    from feedback.stats.slopes import length_difference, slopes_by_person

    ordinary = drawn.slot >= 0
    task, person = drawn.task[ordinary], drawn.person[ordinary]
    said = np.sign(drawn.preference[ordinary]) + 1
    count = {"judgments": int(ordinary.sum()), "people": int(drawn.person.max()) + 1}
    with measured(BENCHMARK, "dawid_skene", classes=3, **count) as found:
        fitted = fit(task, person, said, 3)
        found |= {"steps": fitted.iterations, "accuracy_median": round(float(np.nanmedian(fitted.accuracy)), 3)}
    gold = drawn.arm == "gold"
    right = np.sign(drawn.preference[gold]) == np.sign(world.truth[drawn.task[gold]])
    with measured(BENCHMARK, "gold_evidence", golds=int(gold.sum())) as found:
        found["named"] = int(e_benjamini_hochberg(gold_e_process(drawn.person[gold], right).latest).sum())
        drift_cusum(drawn.person[gold], right)
    prompt, one, other = world.tasks[drawn.task].T
    a, b = world.words[prompt, one], world.words[prompt, other]
    first_is_second = drawn.swapped
    preferred_first = np.where(first_is_second, np.sign(drawn.preference) + 1, 1 - np.sign(drawn.preference)) / 2
    with measured(BENCHMARK, "slopes", covariates=2, judgments=drawn.task.size, people=count["people"]) as found:
        gap = np.where(first_is_second, length_difference(b, a), length_difference(a, b))
        z = np.column_stack([gap, np.random.default_rng(2).normal(size=gap.size)])
        slopes = slopes_by_person(drawn.person, preferred_first, z)
        found["mean"] = np.round(slopes.mean, 3).tolist()
    with measured(BENCHMARK, "pace", judgments=drawn.task.size, people=count["people"]):
        pace(drawn.person, drawn.seconds, a + b)


def measure_rankings(rankings: int, people: int, rng: np.random.Generator) -> None:
    from feedback.stats.rankings import plackett_luce

    shown = rng.permuted(np.tile(np.arange(MODELS), (rankings, 1)), axis=1)[:, :4]
    seen = np.linspace(1, -1, MODELS)[shown] + rng.gumbel(size=shown.shape)
    judge = np.repeat(rng.integers(0, people, rankings), 4)
    for ties, ranks in ((False, (-seen).argsort(axis=1).argsort(axis=1)), (True, np.round(-seen / 0.5))):
        with measured(BENCHMARK, "plackett_luce", rankings=rankings, responses=4, ties=ties, clusters="people"):
            plackett_luce(np.repeat(np.arange(rankings), 4), shown.ravel(), ranks.ravel(), clusters=judge)


if __name__ == "__main__":
    main()
