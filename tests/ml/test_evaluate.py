"""Accuracy on held-out labels."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from tests.ml.conftest import easy_preferences, finished_run, in_this_process, make_run_directory  # noqa: E402
from training.ml.evaluate import accuracy, ceiling_of, parted, right_of  # noqa: E402
from training.ml.intervals import wilson_interval  # noqa: E402
from training.ml.preferences import tokenize  # noqa: E402

pytestmark = pytest.mark.torch


def test_wilson_interval_matches_known_values():
    # Newcombe (1998), table I: 81 of 263 and 15 of 148, 95 %
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_ties_count_half():
    assert accuracy([1.0, -1.0, 0.0, 0.0], ["a", "b", "c", "d"])["accuracy"] == 0.5
    assert accuracy([1.0, 0.0], ["a", "b"])["accuracy"] == 0.75


def test_the_pairs_of_one_ranking_count_as_one_label():
    ranked = accuracy([1.0, 1.0, -1.0, 2.0], ["ranking", "ranking", "ranking", "comparison"])
    assert (ranked["accuracy"], ranked["n"]) == (pytest.approx((2 / 3 + 1) / 2), 2)
    assert (ranked["low"], ranked["high"]) == wilson_interval(2 / 3 + 1, 2)


def test_two_people_who_agree_in_68_of_100_cases_are_right_in_80():
    assert right_of(0.68) == pytest.approx(0.8)
    assert right_of(0.4) == 0.5  # less than chance says nothing
    percent = {"value": 0.68, "low": 0.5, "high": 1.0}
    limit = ceiling_of({"tasks": 40, "percent": percent})
    assert limit == {"agreement": 0.68, "accuracy": pytest.approx(0.8), "low": 0.5, "high": 1.0, "n": 40}
    assert ceiling_of({}) is None


def test_each_part_has_its_accuracy_and_the_ceiling_that_is_known_of_it(tokenizer):
    rows = tokenize(easy_preferences(4), tokenizer, "evaluation")
    found = parted(torch.tensor([1.0, -1.0, 2.0, 3.0]), rows, ["1", "1", "3", ""], {"3": 0.68, "2": 0.9})
    assert [(one["part"], one["accuracy"], one["n"], one.get("ceiling")) for one in found] == [
        ("1", 0.5, 2, None),
        ("3", 1.0, 1, pytest.approx(0.8)),
    ]
    assert parted(torch.tensor([1.0]), rows[:1], ["3"], {}) == []  # all are of one part


def test_no_label_means_no_accuracy():
    assert accuracy([], []) == {"accuracy": None, "n": 0, "low": None, "high": None}


def test_evaluating_a_reward_model_repeats_its_run_s_figures(tmp_path, reward_model, reward_run, snapshot):
    run = finished_run(
        tmp_path / "evaluate", "evaluate", {}, reward=reward_model, snapshot=snapshot[0], snapshot_sha256=snapshot[1]
    )
    assert run.outcome().evaluation == reward_run.outcome().evaluation
    assert run.outcome().model_sha256 == ""


def test_evaluating_a_policy_repeats_its_dpo_run_s_accuracy(tmp_path, dpo_model, dpo_run, snapshot):
    run = finished_run(
        tmp_path / "evaluate", "evaluate", {}, policy=dpo_model, snapshot=snapshot[0], snapshot_sha256=snapshot[1]
    )
    expected = dpo_run.outcome().evaluation
    assert run.outcome().evaluation == {name: expected[name] for name in ("accuracy", "n", "low", "high")}


def test_a_base_model_has_nothing_to_be_evaluated_against(tmp_path, tiny, snapshot):
    run = make_run_directory(
        tmp_path / "base", "evaluate", {}, policy=tiny, snapshot=snapshot[0], snapshot_sha256=snapshot[1]
    )
    assert in_this_process(run) == 1
    assert "nothing to evaluate it against" in run.error()
