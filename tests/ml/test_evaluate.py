"""Accuracy on held-out labels."""

from __future__ import annotations

import pytest

from tests.ml.conftest import finished_run, in_this_process, make_run_directory
from training.ml.evaluate import accuracy
from training.ml.intervals import wilson_interval

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
