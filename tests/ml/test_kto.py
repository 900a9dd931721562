"""KTO on thumbs up and down."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from feedback.contract import table_file
from tests.ml.conftest import easy_preferences, finished_run, in_this_process, make_run_directory, without_times
from tests.ml.test_several_processes import start as start_processes
from training.configs import KTOConfig
from training.ml.chat import template_digest
from training.ml.kto import area_under_curve, check_thumbs
from training.ml.thumbs import ThumbTokens, mismatched

pytestmark = pytest.mark.torch


def easy_thumbs(count: int, seed: int = 0) -> list[dict]:
    """Thumbs up for thanks, down for a no; twice as many up as down."""
    return [
        {
            "prompt": row["prompt"],
            "completion": row["rejected"] if number % 3 == 2 else row["chosen"],
            "label": number % 3 != 2,
            "judgment_id": row["judgment_id"],
            "task_id": row["task_id"],
            "attribute": "thumb",
            "weight": 1.0,
        }
        for number, row in enumerate(easy_preferences(count, seed))
    ]


def write_thumbs(directory: Path, train: list[dict], evaluation: list[dict]) -> dict[str, str]:
    """Write a snapshot of thumbs; returns what a run's spec says of it."""
    import pyarrow
    import pyarrow.parquet

    files = {}
    (directory / "data" / "unpaired").mkdir(parents=True)
    for split, rows in (("train", train), ("evaluation", evaluation)):
        name = table_file("unpaired", split)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), directory / name)
        files[name] = hashlib.sha256((directory / name).read_bytes()).hexdigest()
    manifest = json.dumps({"files": files}).encode()
    (directory / "manifest.json").write_bytes(manifest)
    return {"snapshot": str(directory), "snapshot_sha256": hashlib.sha256(manifest).hexdigest()}


@pytest.fixture(scope="module")
def thumbs(tmp_path_factory) -> dict[str, str]:
    return write_thumbs(tmp_path_factory.mktemp("thumbs") / "easy", easy_thumbs(24), easy_thumbs(12, seed=1))


@pytest.fixture(scope="module")
def kto_run(tmp_path_factory, tiny, thumbs):
    config = {"steps": 8, "learning_rate": 5e-3, "evaluate_every": 4}
    return finished_run(tmp_path_factory.mktemp("runs") / "kto", "kto", config, policy=tiny, **thumbs)


def test_the_first_loss_is_half_of_the_weights(tmp_path, tiny, thumbs):
    """16 thumbs up and 8 down are balanced by 1 and 2; the policy is its reference, so each loss is half its weight."""
    config = {"steps": 1, "batch_size": 24}  # one step reads all thumbs
    (first,) = finished_run(tmp_path / "run", "kto", config, policy=tiny, **thumbs).metrics()
    assert first["kl"] == pytest.approx(0.0, abs=1e-4)
    assert first["loss"] == pytest.approx((16 * 0.5 * 1 + 8 * 0.5 * 2) / 24, abs=1e-4)
    assert [first[f"rewards_{of}"] for of in ("chosen", "rejected")] == pytest.approx([0.0, 0.0], abs=1e-5)


def test_it_learns_what_thumbs_say(kto_run, tokenizer):
    rows, outcome = kto_run.metrics(), kto_run.outcome()
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert (outcome.status, outcome.step) == ("succeeded", 8)
    assert outcome.template_digest == template_digest(tokenizer)
    assert outcome.evaluation["accuracy"] == 1.0
    assert outcome.evaluation["n"] == 12
    assert outcome.evaluation["chosen_shift"] > 0 > outcome.evaluation["rejected_shift"]
    assert [row["step"] for row in rows if "held_out_loss" in row] == [4, 8]


def test_a_second_process_goes_on_bit_by_bit(kto_run, tmp_path, tiny, thumbs):
    run = make_run_directory(tmp_path / "again", "kto", kto_run.spec().config, policy=tiny, **thumbs)
    run.request_pause()
    assert in_this_process(run) == 0, run.error()
    assert run.outcome().status == "paused"
    kept = run.reference_path.read_bytes()
    run.outcome_path.unlink()
    run.pause_path.unlink()
    assert in_this_process(run) == 0, run.error()
    assert without_times(run.metrics()) == without_times(kto_run.metrics())
    assert run.outcome().model_sha256 == kto_run.outcome().model_sha256
    assert run.reference_path.read_bytes() == kept == kto_run.reference_path.read_bytes()


def test_two_processes_have_the_losses_of_one(tmp_path, tiny, thumbs):
    config = {"steps": 3, "batch_size": 4, "learning_rate": 5e-3}
    one = finished_run(tmp_path / "one", "kto", config, policy=tiny, **thumbs)
    launch = {"launcher": "accelerate", "processes": 2}
    two = make_run_directory(tmp_path / "two", "kto", config, launch=launch, policy=tiny, **thumbs)
    assert start_processes(two).wait(300) == 0, two.error() or two.log_path.read_text()[-3000:]
    for name in ("loss", "kl", "rewards_chosen", "rewards_rejected", "grad_norm"):
        found, wanted = ([row[name] for row in run.metrics()] for run in (two, one))
        assert found == pytest.approx(wanted, rel=1e-3, abs=2e-5), name


def test_thumbs_of_one_kind_are_refused(tmp_path, tiny):
    rows = [row for row in easy_thumbs(12) if row["label"]]
    snapshot = write_thumbs(tmp_path / "up", rows, easy_thumbs(6, seed=1))
    run = make_run_directory(tmp_path / "run", "kto", {"steps": 2}, policy=tiny, **snapshot)
    assert in_this_process(run) == 1
    assert "All 8 thumbs are up" in run.error()
    assert [check.name for check in run.preflight().blocking] == ["thumbs"]


def test_a_snapshot_without_thumbs_is_refused(tmp_path, tiny, snapshot):
    run = make_run_directory(
        tmp_path / "run", "kto", {"steps": 2}, policy=tiny, snapshot=snapshot[0], snapshot_sha256=snapshot[1]
    )
    assert in_this_process(run) == 1
    assert "no unpaired rows" in run.error()


def test_lopsided_weights_are_a_warning():
    rows = [ThumbTokens([1], [2], number % 5 == 0, f"row {number}") for number in range(50)]
    assert check_thumbs(rows, KTOConfig()).verdict == "ok"
    found = check_thumbs(rows, KTOConfig(balance=False))
    assert (found.verdict, found.figures["up"]) == ("warning", 10)


def test_every_response_meets_one_other_prompt():
    prompts = [[number % 4] for number in range(12)]
    rows = [ThumbTokens(prompt, [100 + number], True, f"row {number}") for number, prompt in enumerate(prompts)]
    found = mismatched(rows, seed=3)
    assert sorted(one.ids[-1] for one in found) == [100 + number for number in range(12)]
    assert all(rows[one.ids[-1] - 100].prompt != list(one.prompt) for one in found)
    assert [one.ids for one in found] == [one.ids for one in mismatched(rows, seed=3)]
    assert [one.ids for one in found] != [one.ids for one in mismatched(rows, seed=4)]


def test_the_area_under_the_curve_and_its_interval_are_known_values():
    assert area_under_curve([2.0, 1.0], [1.0, 0.0])["accuracy"] == pytest.approx(3.5 / 4)
    found = area_under_curve([1.0, 3.0], [0.0, 2.0])  # 3 of 4 pairs
    area, better, worse = 0.75, 0.75 / 1.25, 2 * 0.5625 / 1.75  # Hanley and McNeil, 1982
    error = ((area * 0.25 + (better - 0.5625) + (worse - 0.5625)) / 4) ** 0.5
    assert (found["low"], found["high"]) == pytest.approx((area - 1.959964 * error, 1.0), abs=1e-5)
