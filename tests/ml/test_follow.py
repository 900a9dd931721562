"""What a run tells while it trains, when it stops by itself, and what it leaves when the numbers run away."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.ml.conftest import easy_preferences, in_this_process, make_run_directory, without_times, write_snapshot
from tests.ml.killing import run_and_kill
from training.rundir import RunDirectory, directory_digest, read_lines

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

TRAINING: dict[str, Any] = {"steps": 6, "batch_size": 2, "lora_rank": 4, "learning_rate": 1e-3}


@pytest.fixture
def lay_out(tmp_path, tiny, snapshot):
    """Return a function that lays out a DPO run's directory; `more` goes over its settings."""

    def make(name: str = "run", feedback: tuple[str, str] = snapshot, **more: Any) -> RunDirectory:
        return make_run_directory(
            tmp_path / name,
            "dpo",
            {**TRAINING, **more},
            policy=tiny,
            snapshot=feedback[0],
            snapshot_sha256=feedback[1],
        )

    return make


def carried_out(run: RunDirectory) -> RunDirectory:
    assert in_this_process(run) == 0, run.error()
    return run


def test_every_step_says_what_it_took(lay_out):
    rows = carried_out(lay_out()).metrics()
    assert all(row["tokens_per_second"] > 0 and row["memory_mb"] > 50 and row["seconds"] > 0 for row in rows)


def test_held_out_figures_stand_in_the_row_of_their_step(lay_out):
    rows = carried_out(lay_out(evaluate_every=2)).metrics()
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows if "held_out_loss" in row] == [2, 4, 6]
    assert all(0 <= row["held_out_rewards_accuracy"] <= 1 for row in rows if "held_out_loss" in row)


def test_a_look_at_held_out_rows_changes_nothing_of_what_is_learned(lay_out):
    looked = carried_out(lay_out("looked", evaluate_every=1, sample_every=1))
    plain = carried_out(lay_out("plain"))
    assert looked.outcome().model_sha256 == plain.outcome().model_sha256
    assert [row["loss"] for row in looked.metrics()] == [row["loss"] for row in plain.metrics()]


def opposite(tmp_path) -> tuple[str, str]:
    """A snapshot whose held-out rows say the opposite: what is learned makes them worse from the first step on."""
    rows = easy_preferences(24)
    turned = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in easy_preferences(6, seed=1)]
    return write_snapshot(tmp_path / "opposite", rows, turned)


def test_out_of_patience_a_run_leaves_the_best_that_it_looked_at(lay_out, tmp_path):
    feedback = opposite(tmp_path)
    impatient = carried_out(lay_out("impatient", feedback, evaluate_every=1, patience=2))
    losses = [row["held_out_loss"] for row in impatient.metrics()]
    assert losses == sorted(losses), "this test needs held-out rows that get worse"
    assert len(losses) == 3
    outcome = impatient.outcome()
    assert (outcome.status, outcome.step) == ("succeeded", 1)
    first = lay_out("first", feedback)
    first.request_cancel()  # it takes one step
    assert weights_of(impatient) == weights_of(carried_out(first))


def weights_of(run: RunDirectory) -> bytes:
    assert directory_digest(run.model_path) == run.outcome().model_sha256
    return (run.model_path / "adapter_model.safetensors").read_bytes()


def test_a_run_out_of_patience_that_was_killed_before_its_outcome_trains_no_further(lay_out, tmp_path):
    run = carried_out(lay_out("run", opposite(tmp_path), evaluate_every=1, patience=2))
    outcome, rows = run.outcome(), without_times(run.metrics())
    run.outcome_path.unlink()
    carried_out(run)
    assert (run.outcome(), without_times(run.metrics())) == (outcome, rows)


def test_looks_without_held_out_rows_are_refused(lay_out, tmp_path):
    run = lay_out("run", write_snapshot(tmp_path / "none", easy_preferences(12)), evaluate_every=2)
    assert in_this_process(run) == 1
    assert run.error().startswith("evaluate_every: there are no held-out rows")


def test_texts_are_written_before_training_at_intervals_and_at_the_end(lay_out):
    run = carried_out(lay_out(steps=5, sample_every=2))
    rows = list(read_lines(run.previews_path))
    assert [row["step"] for row in rows if row["place"] == 0] == [0, 2, 4, 5]
    assert len({row["prompt"] for row in rows}) == 4
    assert all(isinstance(row["response"], str) for row in rows)


def test_without_samples_every_so_many_steps_there_are_none(lay_out):
    assert not carried_out(lay_out()).previews_path.exists()


# Numbers that run away ---------------------------------------------------------------------------------


def poison(run: RunDirectory) -> None:
    """Make the optimizer's state of the last checkpoint one that turns weights into no numbers, and mark it again."""
    from training.ml.trl_checkpoints import last_checkpoint, mark_complete

    folder = last_checkpoint(run.checkpoints_path)
    state = torch.load(folder / "optimizer.pt", weights_only=True)
    for moments in state["state"].values():
        moments["exp_avg"].fill_(float("nan"))
    torch.save(state, folder / "optimizer.pt")
    mark_complete(folder, {})


def test_when_the_loss_is_no_number_the_last_good_checkpoint_is_what_is_left(lay_out):
    run = lay_out(checkpoint_every=3)
    run_and_kill(run, 4)
    poison(run)
    assert in_this_process(run) == 1
    outcome = run.outcome()
    assert (outcome.status, outcome.step) == ("failed", 3)
    assert re.search(r"not finite at step \d.*lower the learning rate", run.error())
    assert run.error().endswith("What it had learned up to step 3 is kept as its checkpoint.")
    good = lay_out("good", steps=6, checkpoint_every=3)
    run_and_kill(good, 4)
    good.request_cancel()
    carried_out(good)
    assert weights_of(run) == weights_of(good)


def test_weights_that_are_no_numbers_never_count_as_a_checkpoint(lay_out):
    run = lay_out(checkpoint_every=1)
    run_and_kill(run, 4)
    kept = run.kept_step()
    poison(run)
    assert in_this_process(run) == 1
    assert (run.outcome().step, run.kept_step()) == (kept, kept)


def test_without_a_checkpoint_there_is_nothing_to_keep(tmp_path, tiny, snapshot):
    from safetensors.torch import load_file, save_file

    from tests.tiny_model import save_tiny_model
    from training.rundir import ModelSource

    broken = save_tiny_model(tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"].fill_(float("inf"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    run = make_run_directory(
        tmp_path / "run", "sft", {**TRAINING, "demonstrations": False, "accepted": True},
        policy=ModelSource(str(broken)), snapshot=snapshot[0], snapshot_sha256=snapshot[1],
    )  # fmt: skip
    assert in_this_process(run) == 1
    assert run.outcome() is None
    assert "not finite at step 1" in run.error()
    assert run.error().endswith("There was no checkpoint yet")
