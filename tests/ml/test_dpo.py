"""DPO through TRL."""

from __future__ import annotations

import json
import math

import pytest

from tests.ml.conftest import finished_run
from training.configs import NOISY_LOSSES, DPOConfig
from training.ml.chat import template_digest
from training.ml.preference_losses import WITHOUT_REFERENCE
from training.rundir import directory_digest

pytestmark = pytest.mark.torch


def test_the_first_loss_is_ln_2(dpo_run):
    first = dpo_run.metrics()[0]
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert [first[f"rewards_{of}"] for of in ("margin", "chosen", "rejected")] == pytest.approx([0.0] * 3, abs=1e-5)


def test_every_step_has_a_row_with_the_promised_names(dpo_run):
    rows = dpo_run.metrics()
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    names = {
        *("step", "time", "seconds", "tokens_per_second", "memory_mb", "loss", "learning_rate", "grad_norm"),
        *("logps_chosen", "logps_rejected", "rewards_accuracy", "rewards_margin", "rewards_chosen", "rewards_rejected"),
    }
    assert all(set(row) == names for row in rows)
    assert dpo_run.progress() == {"phase": "done", "done": 6, "total": 6}


def test_the_outcome_describes_the_model(dpo_run, tiny, tokenizer):
    outcome = dpo_run.outcome()
    assert (outcome.status, outcome.step) == ("succeeded", 6)
    assert outcome.model_sha256 == directory_digest(dpo_run.model_path)
    assert outcome.template_digest == template_digest(tokenizer)
    assert outcome.evaluation["loss_first"] == dpo_run.metrics()[0]["loss"]
    assert outcome.evaluation["n"] == 12
    assert outcome.evaluation["accuracy"] == 1.0
    assert outcome.evaluation["rewards_margin"] > 0
    assert outcome.evaluation["held_out_loss"] < math.log(2)
    assert outcome.evaluation["chosen_shift"] > outcome.evaluation["rejected_shift"]
    assert json.loads((dpo_run.model_path / "checkpoint.json").read_text()) == {
        "kind": "policy",
        "base": tiny.base,
        "adapters": [],
        "is_whole": False,
        "template_digest": template_digest(tokenizer),
        "step": 6,
    }


def test_the_strength_of_preferences_is_of_no_use_to_dpo(tmp_path, dpo_run, tiny):
    from tests.ml.conftest import easy_preferences, write_snapshot

    rows, held_out = easy_preferences(24), easy_preferences(12, seed=1)
    for row in [*rows, *held_out]:
        row["margin"] = 1.0
    directory, sha256 = write_snapshot(tmp_path / "snapshot", rows, held_out)
    spec = dpo_run.spec()
    run = finished_run(tmp_path / "run", "dpo", spec.config, policy=tiny, snapshot=directory, snapshot_sha256=sha256)
    assert [row["loss"] for row in run.metrics()] == [row["loss"] for row in dpo_run.metrics()]
    assert run.outcome().model_sha256 == dpo_run.outcome().model_sha256


def test_the_next_round_merges_what_was_learned_and_starts_at_ln_2(tmp_path, dpo_model, snapshot):
    run = finished_run(
        tmp_path / "second",
        "dpo",
        {"steps": 2, "lora_rank": 4},
        policy=dpo_model,
        snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
    )
    assert run.metrics()[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert json.loads((run.model_path / "checkpoint.json").read_text())["adapters"] == list(dpo_model.adapters)


def test_bfloat16_trains_too(tmp_path, tiny, snapshot):
    run = finished_run(
        tmp_path / "bfloat16",
        "dpo",
        {"steps": 1, "precision": "bfloat16"},
        policy=tiny,
        snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
    )
    assert run.metrics()[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)


LN_2 = math.log(2)
BETA, NOISE = 0.2, 0.1
FIRST_LOSSES = {
    # With no gap yet, so that every sigmoid is 1/2: the papers' formulas by hand.
    "sigmoid": LN_2,
    "ipo": (1 / (2 * BETA)) ** 2,
    "robust": LN_2,
    "hinge": 1.0,
    "exo_pair": 0.5 * (-LN_2 - math.log(1 - NOISE)) + 0.5 * (-LN_2 - math.log(NOISE)),
    "nca_pair": 2 * LN_2,
    "apo_zero": 1.0,
    "apo_down": 1.0,
}


def test_every_loss_has_its_first_value_by_hand():
    choices = DPOConfig.__dataclass_fields__["loss"].metadata["choices"]
    assert set(choices) == {*FIRST_LOSSES, *WITHOUT_REFERENCE}  # those without have their values in another test


@pytest.mark.parametrize("loss", FIRST_LOSSES)
def test_the_first_loss_is_what_its_paper_says_and_the_gap_grows(tmp_path, tiny, snapshot, loss):
    config = {"steps": 4, "loss": loss, "beta": BETA, "learning_rate": 1e-3}
    run = finished_run(
        tmp_path / loss,
        "dpo",
        config | ({"label_noise": NOISE} if loss in NOISY_LOSSES else {}),
        policy=tiny,
        snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
    )
    rows = run.metrics()
    assert rows[0]["loss"] == pytest.approx(FIRST_LOSSES[loss], abs=1e-4)
    assert rows[0]["rewards_margin"] == pytest.approx(0.0, abs=1e-4)
    assert rows[-1]["rewards_margin"] > 0.0


@pytest.mark.parametrize("loss", WITHOUT_REFERENCE)
def test_a_loss_without_reference_asks_none_and_widens_the_gap(tmp_path, tiny, snapshot, loss):
    run = finished_run(
        tmp_path / loss,
        "dpo",
        {"steps": 4, "loss": loss, "beta": 1.0, "learning_rate": 1e-3},
        policy=tiny,
        snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
    )
    rows = run.metrics()
    assert rows[-1]["rewards_margin"] > rows[0]["rewards_margin"]
    assert not run.reference_path.exists()
    assert "chosen_shift" not in run.outcome().evaluation


def test_the_reference_is_asked_about_the_rows_to_come_alone(tmp_path, tiny):
    from tests.ml.conftest import easy_preferences, write_snapshot

    directory, sha256 = write_snapshot(tmp_path / "snapshot", easy_preferences(60), easy_preferences(12, seed=1))
    config = {"steps": 3, "batch_size": 4}
    run = finished_run(tmp_path / "run", "dpo", config, policy=tiny, snapshot=directory, snapshot_sha256=sha256)
    assert len(json.loads(run.reference_path.read_text())["logprobs"]) == 2 * (3 * 4 + 12)
    assert run.metrics()[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)


@pytest.mark.parametrize(
    "config", [{"tuning": "full"}, {"tuning": "full", "freeze_layers": 1}, {"tuning": "prompt", "learning_rate": 0.3}]
)
def test_other_ways_to_tune_start_from_the_reference_too(tmp_path, tiny, snapshot, config):
    run = finished_run(
        tmp_path / "run",
        "dpo",
        {"steps": 3, "learning_rate": 1e-3, **config},
        policy=tiny,
        snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
    )
    rows = run.metrics()
    if config["tuning"] == "full":  # virtual tokens change what is read from the first step on
        assert rows[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert rows[-1]["rewards_margin"] > rows[0]["rewards_margin"]
    assert run.outcome().evaluation["n"] == 12


def test_gradient_accumulation_takes_the_same_first_step(tmp_path, tiny, snapshot):
    def first(name: str, **config):
        run = finished_run(
            tmp_path / name,
            "dpo",
            {"steps": 2, "group_by_length": False, "learning_rate": 1e-3, **config},
            policy=tiny,
            snapshot=snapshot[0],
            snapshot_sha256=snapshot[1],
        )
        return [[row["loss"], row["rewards_margin"], row["grad_norm"]] for row in run.metrics()]

    whole, parts = first("whole", batch_size=8), first("parts", batch_size=4, gradient_accumulation=2)
    for one, other in zip(whole, parts, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)


def test_looks_at_held_out_rows_are_in_the_metrics(tmp_path, tiny, snapshot):
    run = finished_run(
        tmp_path / "looks",
        "dpo",
        {"steps": 4, "evaluate_every": 2, "learning_rate": 1e-3},
        policy=tiny,
        snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
    )
    looks = [row["held_out_loss"] for row in run.metrics() if "held_out_loss" in row]
    assert len(looks) == 2
    assert looks[-1] == pytest.approx(run.outcome().evaluation["held_out_loss"], abs=1e-4)
