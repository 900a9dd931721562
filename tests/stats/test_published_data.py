"""Real judgments whose figures other people's code has computed (`expected.json` beside each data set).

The made-with versions stand there. Where ours differs, the test says why and pins the difference.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from feedback.stats.agreement import Ratings, decisive_only, figures, fleiss_kappa, ties_as_a_category
from feedback.stats.dawid_skene import fit, majority_shares
from feedback.stats.intervals import share
from feedback.stats.pairs_of_people import pairwise_by_people
from feedback.stats.preference_models import bradley_terry
from feedback.stats.rankings import plackett_luce
from tests.conftest import SAMPLES

pytestmark = pytest.mark.samples

MT_BENCH, CROWD = "multi_annotator_pref", "crowd"


@cache
def expected(folder: str, name: str) -> Any:
    return json.loads((SAMPLES / folder / "expected.json").read_text())[name]


@cache
def rows(path: str) -> list[dict[str, Any]]:
    with gzip.open(SAMPLES / path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file)) if ".csv" in path else [json.loads(line) for line in file]


def coded(values: Iterator[Any] | list[Any]) -> tuple[np.ndarray, np.ndarray]:
    codes, index = np.unique(np.array(list(values)), return_inverse=True)
    return codes, index


# MT-Bench -----------------------------------------------------------------------------------------------


@cache
def mt_bench() -> tuple[Ratings, list[dict[str, Any]]]:
    """Return people's votes and GPT-4's as preferences of the model that comes first by name: -1, 0, 1."""
    votes = rows(f"{MT_BENCH}/mtbench_human_votes.csv.gz") + rows(f"{MT_BENCH}/mtbench_gpt4_votes.csv.gz")
    units, values = [], []
    for vote in votes:
        turned = vote["model_a"] > vote["model_b"]
        pair = sorted([vote["model_a"], vote["model_b"]])
        units.append("|".join([vote["question_id"], vote["turn"], *pair]))
        value = {"model_a": 1, "model_b": -1}.get(vote["winner"], 0)
        values.append(-value if turned else value)
    return Ratings(coded(units)[1], [vote["annotator_id"] for vote in votes], values), votes


def people_of_mt_bench() -> Ratings:
    ratings, _ = mt_bench()
    return ratings.only(ratings.rater_codes[ratings.rater] != "gpt4_pair")


def every_vote_of_mt_bench(turns: str) -> Ratings:
    """Return all votes on these turns, each as if by a person of its own: a judge's second vote counts, too."""
    ratings, votes = mt_bench()
    raters = [str(row) if vote["annotator_id"] != "gpt4_pair" else "gpt4_pair" for row, vote in enumerate(votes)]
    values = [value if vote["turn"] in turns else np.nan for value, vote in zip(ratings.values, votes, strict=True)]
    return Ratings(ratings.units, raters, values)


def with_gpt4(ratings: Ratings) -> tuple[int, float]:
    pairs = pairwise_by_people(ratings)
    beside = (pairs.first == "gpt4_pair") | (pairs.second == "gpt4_pair")
    units = int(pairs.units[beside].sum())
    return units, pairs.agreed[beside].sum() / units


def test_mt_bench_has_the_votes_that_it_should_have():
    ratings, want = people_of_mt_bench(), expected(MT_BENCH, "mtbench")
    assert len(ratings) == want["votes"] - 1  # one judge voted twice on one comparison: the first vote counts
    assert ratings.rater_codes.size == want["judges"]
    assert ratings.unit_codes.size == want["comparisons"]


def test_alpha_of_mt_benchs_people():
    found = figures(ties_as_a_category(people_of_mt_bench()))
    assert found["alpha_nominal"] == pytest.approx(expected(MT_BENCH, "mtbench")["alpha_nominal_3class"], abs=1e-12)


@pytest.mark.parametrize(("name", "rule"), [("S1", ties_as_a_category), ("S2", decisive_only)])
def test_how_often_two_people_agree_on_mt_bench(name, rule):
    pairs, agreed = expected(MT_BENCH, "mtbench")[f"human_human_pairs_{name}"]
    ratings = rule(people_of_mt_bench())
    assert figures(ratings)["percent_of_pairs"] == pytest.approx(agreed, abs=5e-5)
    assert pairwise_by_people(ratings).units.sum() == pairs


@pytest.mark.parametrize(
    ("name", "rule"), [("S1", ties_as_a_category), ("S2_nonties", decisive_only)]
)  # fmt: skip
def test_how_often_gpt4_agrees_with_people(name, rule):
    votes, agreed = expected(MT_BENCH, "mtbench")[f"gpt4_vs_each_human_vote_{name}"]
    found_votes, found = with_gpt4(rule(every_vote_of_mt_bench("12")))
    assert found_votes == votes
    assert found == pytest.approx(agreed, abs=5e-5)


@pytest.mark.parametrize("turn", ["1", "2"])
def test_how_often_gpt4_agrees_with_people_by_turn(turn):
    here = every_vote_of_mt_bench(turn)
    for name, rule in (("S1", ties_as_a_category), ("S2", decisive_only)):
        count, agreed = expected(MT_BENCH, "mtbench")[f"turn{turn}"][name]
        found_count, found = with_gpt4(rule(here))
        assert found_count == count
        assert found == pytest.approx(agreed, abs=5e-5)


@pytest.mark.parametrize("ties", ["half", "dropped"])
def test_strengths_of_mt_benchs_models(ties):
    votes = rows(f"{MT_BENCH}/mtbench_human_votes.csv.gz")
    models, i = coded(vote["model_a"] for vote in votes)
    j = np.searchsorted(models, [vote["model_b"] for vote in votes])
    y = np.array([{"model_a": 1.0, "model_b": 0.0}.get(vote["winner"], 0.5) for vote in votes])
    kept = np.ones(y.size, dtype=bool) if ties == "half" else y != 0.5
    people = np.array([vote["annotator_id"] for vote in votes])
    fitted = bradley_terry(i[kept], j[kept], y[kept], clusters=people[kept])
    want = expected(MT_BENCH, "mtbench")[f"bt_human_votes_ties_{ties}"]
    assert dict(zip(models, fitted.strength, strict=True)) == pytest.approx(want, abs=2e-4)
    assert fitted.clusters == 65


def test_the_longer_answer_wins_more_often_on_mt_bench():
    answers = {
        (answer["question_id"], answer["model"]): answer["turns"]
        for answer in rows(f"{MT_BENCH}/mtbench_answers.jsonl.gz")
    }
    longer, decisive = 0.0, 0
    for vote in rows(f"{MT_BENCH}/mtbench_human_votes.csv.gz"):
        a, b = (
            len(answers[int(vote["question_id"]), vote[side]][int(vote["turn"]) - 1]) for side in ("model_a", "model_b")
        )
        if vote["winner"] == "tie":
            continue
        decisive += 1
        longer += 0.5 if a == b else (a > b) == (vote["winner"] == "model_a")  # 16 votes are on answers of one length
    votes, wins = expected(MT_BENCH, "mtbench")["longer_answer_wins_nontie_votes"]
    assert decisive == votes
    assert share(longer, decisive).value == pytest.approx(wins, abs=5e-4)


# UKPConvArg1 --------------------------------------------------------------------------------------------


@cache
def ukp() -> tuple[Ratings, np.ndarray]:
    """Return votes as classes 0 = a1, 1 = a2, 2 = equal, and the gold of every pair (-1: none)."""
    votes = rows(f"{MT_BENCH}/ukp_votes.csv.gz")
    pairs, unit = coded(vote["pair_id"] for vote in votes)
    classes = {"a1": 0, "a2": 1, "equal": 2}
    gold = {pair["pair_id"]: classes.get(pair["gold_mace"], -1) for pair in rows(f"{MT_BENCH}/ukp_pairs.jsonl.gz")}
    _, person = coded(vote["annotator_id"] for vote in votes)
    ratings = Ratings(unit, person, [classes[vote["value"]] for vote in votes])
    return ratings, np.array([gold[pair] for pair in pairs])


def right(verdicts: np.ndarray, gold: np.ndarray) -> float:
    return float((verdicts == gold)[gold >= 0].mean())


def test_agreement_on_ukp():
    ratings, gold = ukp()
    want = expected(MT_BENCH, "ukp_dev")
    assert (len(ratings), ratings.unit_codes.size, ratings.rater_codes.size, int((gold >= 0).sum())) == (
        want["votes"], want["pairs"], want["annotators"], want["pairs_with_gold"],
    )  # fmt: skip
    assert figures(ratings)["alpha_nominal"] == pytest.approx(want["alpha_nominal_3class"], abs=1e-12)
    shares = majority_shares(ratings.unit, ratings.code, 3)
    assert (shares.max(axis=1) == 1).mean() == pytest.approx(want["unanimous_share"], abs=5e-5)


def test_the_majority_on_ukp():
    """Of 2,342 pairs two answers got equally many votes. crowd-kit draws one; we pin what drawing gives on average."""
    ratings, gold = ukp()
    shares = majority_shares(ratings.unit, ratings.code, 3)
    top = np.isclose(shares, shares.max(axis=1, keepdims=True))
    assert (top.sum(axis=1) > 1).sum() == 2_342
    known = gold >= 0
    drawn = (top[np.arange(gold.size), gold] / top.sum(axis=1))[known].mean()
    assert drawn == pytest.approx(expected(MT_BENCH, "ukp_dev")["majority_vote_vs_mace_gold"], abs=2e-3)


def test_dawid_skene_on_ukp_stopped_where_crowd_kit_stops():
    """crowd-kit adds the log of the class prior once per *label* to its loss, so it sees no gain after six steps.

    At the maximum of the likelihood 0.866 is right: the matrices of 3,793 people with 18 labels each are fitted to
    noise. Drawing them to everybody's pooled matrix, as we do, gives more than either.
    """
    ratings, gold = ukp()
    labels = (ratings.unit, ratings.rater, ratings.code, 3)
    want = expected(MT_BENCH, "ukp_dev")["dawid_skene_vs_mace_gold"]
    stopped = fit(*labels, prior=0, tolerance=0, iterations=6)
    assert right(stopped.verdicts, gold) == pytest.approx(want, abs=5e-5)
    maximum = fit(*labels, prior=0, tolerance=0)
    assert maximum.log_likelihood > stopped.log_likelihood
    assert right(maximum.verdicts, gold) == pytest.approx(0.866, abs=2e-3)
    assert right(fit(*labels).verdicts, gold) > want + 0.01


def test_strengths_of_ukps_arguments_order_them_as_published():
    """The published ranks are PageRank's; the expected figure's ties count half as ours do."""
    published = {one["arg_id"]: one["rank_score"] for one in rows(f"{MT_BENCH}/ukp_arguments.jsonl.gz")}
    pairs = {pair["pair_id"]: pair for pair in rows(f"{MT_BENCH}/ukp_pairs.jsonl.gz")}
    topics: dict[str, list[tuple[str, str, float]]] = {}
    for vote in rows(f"{MT_BENCH}/ukp_votes.csv.gz"):
        pair = pairs[vote["pair_id"]]
        points = {"a1": 1.0, "a2": 0.0, "equal": 0.5}[vote["value"]]
        topics.setdefault(pair["topic"], []).append((pair["a1"], pair["a2"], points))
    found = []
    for votes in topics.values():
        names, both = coded([one for one, _, _ in votes] + [other for _, other, _ in votes])
        strength = bradley_terry(both[: len(votes)], both[len(votes) :], [points for *_, points in votes]).strength
        known = np.isfinite(strength)
        found.append(-spearmanr(strength[known], [published[name] for name in names[known]]).statistic)
    count, mean, lowest = expected(MT_BENCH, "ukp_dev")["bt_vs_published_rank_mean_spearman_over_topics"]
    assert len(found) == count
    assert np.mean(found) == pytest.approx(mean, abs=2e-3)
    assert min(found) == pytest.approx(lowest, abs=5e-3)


def test_the_longer_argument_wins_more_often_on_ukp():
    texts = {one["arg_id"]: one["text"] for one in rows(f"{MT_BENCH}/ukp_arguments.jsonl.gz")}
    decided = [pair for pair in rows(f"{MT_BENCH}/ukp_pairs.jsonl.gz") if pair["gold_mace"] in ("a1", "a2")]
    gaps = [(len(texts[pair["a1"]]) - len(texts[pair["a2"]]), pair["gold_mace"] == "a1") for pair in decided]
    longer = [(gap > 0) == first for gap, first in gaps]  # of one length, 17 pairs: the expected figure counts a2
    count, wins = expected(MT_BENCH, "ukp_dev")["longer_argument_wins_vs_gold"]
    assert len(longer) == count
    assert np.mean(longer) == pytest.approx(wins, abs=5e-5)


# Crowds with gold ---------------------------------------------------------------------------------------


@cache
def crowd(name: str) -> tuple[Ratings, np.ndarray]:
    labels = rows(f"{CROWD}/{name}_labels.csv.gz")
    truth = {row["item_id"]: row["gold"] for row in rows(f"{CROWD}/{name}_gold.csv.gz")}
    items, unit = coded(row["item_id"] for row in labels)
    classes, value = coded(row["label"] for row in labels)
    ratings = Ratings(unit, [row["annotator_id"] for row in labels], value)
    return ratings, np.searchsorted(classes, [truth[item] for item in items])


def test_agreement_on_noisy_binary_labels():
    ratings, _ = crowd("binary_highnoise")
    want = expected(CROWD, "binary_highnoise")
    assert (len(ratings), ratings.unit_codes.size, ratings.rater_codes.size) == (
        want["labels"], want["items"], want["annotators"],
    )  # fmt: skip
    assert figures(ratings)["alpha_nominal"] == pytest.approx(want["krippendorff_alpha_nominal"], abs=1e-12)
    assert fleiss_kappa(ratings) == pytest.approx(want["fleiss_kappa_items_with_5_distinct"][1], abs=1e-12)


def test_agreement_on_ordered_ratings_where_seven_people_rated_twice():
    ratings, _ = crowd("ordinal4")
    want = expected(CROWD, "ordinal4")
    assert len(ratings) == want["distinct_item_annotator"]
    for metric in ("nominal", "ordinal", "interval"):
        assert figures(ratings)[f"alpha_{metric}"] == pytest.approx(want[f"alpha_{metric}"], abs=1e-12)


@pytest.mark.parametrize(
    ("name", "classes", "steps", "tasks_apart"), [("binary_highnoise", 2, 3, 0), ("ordinal4", 4, 2, 1)]
)
def test_verdicts_against_gold(name, classes, steps, tasks_apart):
    """crowd-kit stops after three and two steps (see UKP above), and floors matrices at 1e-10 (one task).

    The majority's ties are ten of ordinal4's 333 tasks, and none of the other's.
    """
    ratings, gold = crowd(name)
    want = expected(CROWD, name)["accuracy_vs_gold"]
    labels = (ratings.unit, ratings.rater, ratings.code, classes)
    majority = majority_shares(ratings.unit, ratings.code, classes).argmax(axis=1)
    assert (majority == gold).mean() == pytest.approx(want["majority_vote"], abs=5e-5)
    stopped = fit(*labels, prior=0, tolerance=0, iterations=steps)
    assert (stopped.verdicts == gold).mean() == pytest.approx(
        want["dawid_skene_100it"], abs=5e-5 + tasks_apart / gold.size
    )
    # Ours, drawn to the pooled matrix: within two standard errors of either on 333 and 1,000 tasks.
    spread = 2 * np.sqrt(0.25 / gold.size)
    assert (fit(*labels).verdicts == gold).mean() == pytest.approx(want["dawid_skene_100it"], abs=spread)


# WMT13 rankings -----------------------------------------------------------------------------------------


@cache
def wmt() -> tuple[np.ndarray, ...]:
    """Return ranking, system, rank and judge per row, and the systems' names."""
    judged = rows(f"{CROWD}/wmt13_fren_rankings.csv.gz")
    names, system = coded(row["system"] for row in judged)
    _, ranking = coded(row["ranking_id"] for row in judged)
    _, judge = coded(row["annotator_id"] for row in judged)
    return ranking, system, np.array([int(row["rank"]) for row in judged]), judge, names


def pairs_of_wmt() -> tuple[np.ndarray, ...]:
    ranking, system, rank, judge, _ = wmt()
    order = np.argsort(ranking, kind="stable")
    systems, ranks, judges = (each[order].reshape(-1, 5) for each in (system, rank, judge))
    both = [(a, b) for a in range(5) for b in range(a + 1, 5)]
    points = [(ranks[:, a] < ranks[:, b]) + 0.5 * (ranks[:, a] == ranks[:, b]) for a, b in both]
    return (
        np.concatenate([systems[:, a] for a, _ in both]),
        np.concatenate([systems[:, b] for _, b in both]),
        np.concatenate(points),
        np.tile(judges[:, 0], len(both)),
    )


def test_strengths_of_wmts_systems_from_pairs():
    i, j, y, judge = pairs_of_wmt()
    want = expected(CROWD, "wmt13_fren")
    assert (y.size, int((y == 0.5).sum())) == (want["pairs"], want["ties"])
    fitted = bradley_terry(i, j, y, clusters=judge)
    assert dict(zip(wmt()[4], fitted.strength, strict=True)) == pytest.approx(want["bt_ilsr_ties_half"], abs=6e-5)
    assert fitted.clusters == want["annotators"]


def test_expected_wins_of_wmts_systems():
    i, j, y, _ = pairs_of_wmt()
    points = np.bincount(i, y, minlength=13) + np.bincount(j, 1 - y, minlength=13)
    wins = points / (np.bincount(i, minlength=13) + np.bincount(j, minlength=13))
    want = expected(CROWD, "wmt13_fren")["expected_wins_ties_half"]
    assert dict(zip(wmt()[4], wins, strict=True)) == pytest.approx(want, abs=5e-5)


def test_rankings_of_wmt_order_its_systems_nearly_as_their_pairs_do():
    ranking, system, rank, judge, _ = wmt()
    fitted = plackett_luce(ranking, system, rank, clusters=judge)
    want = expected(CROWD, "wmt13_fren")
    assert (fitted.votes, fitted.clusters) == (want["rankings"], want["annotators"])
    assert fitted.coefficients.size == 3  # ties of two, three and four systems
    as_pairs = bradley_terry(*pairs_of_wmt()[:3])
    assert spearmanr(fitted.strength, as_pairs.strength).statistic > 0.97
    # Half a win per tie draws strengths together, so the rankings' own are a little farther apart.
    assert np.polyfit(as_pairs.strength, fitted.strength, 1)[0] == pytest.approx(1.15, abs=0.1)
