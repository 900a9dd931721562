"""A reward model trained on labels of known noise behaves as the theory of Bradley-Terry says."""

from __future__ import annotations

import math

import pytest

from benchmarks.reward_noise import SETTINGS, rows
from feedback.contract import EVALUATION, TRAIN
from tests.ml.conftest import finished_run, write_tables

pytestmark = pytest.mark.torch

FLIPPED = 0.2


def test_a_fifth_of_wrong_labels_bounds_the_gap_and_not_the_order(tmp_path, tiny):
    held_out = rows(400, FLIPPED, seed=1)
    snapshot = write_tables(
        tmp_path / "snapshot", {"preference": {TRAIN: rows(1600, FLIPPED, seed=0), EVALUATION: held_out}}
    )
    fields = {"policy": tiny, "snapshot": snapshot[0], "snapshot_sha256": snapshot[1]}
    found = finished_run(tmp_path / "run", "reward", {**SETTINGS, "steps": 100}, **fields).outcome().evaluation
    wrong = sum(row["margin"] == 2.0 for row in held_out) / len(held_out)
    # The rule is learned whole: every true label is met, and every flipped one missed.
    assert found["accuracy"] == pytest.approx(1 - wrong, abs=0.01)
    assert found["mean_gap"] == pytest.approx(math.log((1 - FLIPPED) / FLIPPED), rel=0.35)
    entropy = -(FLIPPED * math.log(FLIPPED) + (1 - FLIPPED) * math.log(1 - FLIPPED))
    assert found["calibration"]["log_loss_before"] == pytest.approx(entropy, abs=0.06)
