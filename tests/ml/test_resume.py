"""A run that is killed, at whatever step, and started again ends as one that was left alone: metrics, outcome, weights.

The model's sha256 is a part of the outcome, so what is compared is every bit of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ml.conftest import (
    easy_preferences,
    in_this_process,
    make_run_directory,
    prompt_rows,
    without_times,
    write_prompts,
    write_tables,
)
from tests.ml.killing import KilledWhileSaving, run_and_kill
from tests.ml.test_kto import easy_thumbs
from training.rundir import RunDirectory, directory_digest, read_lines

pytestmark = pytest.mark.torch

STEPS = 8
KILLS = (1, 4, 7)
"""Steps after which the run is killed, one after the other: before its first checkpoint, between two, near its end."""
ONE_KILL = (5,)
"""For another setting of a kind that is killed three times; of two members it falls upon the second."""

TRAINING: dict[str, Any] = {
    "steps": STEPS,
    "batch_size": 2,
    "learning_rate": 1e-3,
    "lora_rank": 4,
    "lora_dropout": 0.2,  # so the state of the random numbers is a part of what must be resumed
    "checkpoint_every": 3,
}
LOOKING = {"evaluate_every": 2, "patience": 3}
WITHOUT_ADAPTER = {name: value for name, value in TRAINING.items() if not name.startswith("lora_")}
FULL = {**WITHOUT_ADAPTER, "tuning": "full", "freeze_layers": 1, "gradient_accumulation": 2}
PPO: dict[str, Any] = {
    "updates": STEPS,
    "batch_size": 4,
    "minibatch_size": 2,
    "ppo_epochs": 1,
    "max_new_tokens": 6,
    "lora_rank": 4,
    "learning_rate": 1e-3,
    "checkpoint_every": 3,
    "kl_target": 0.1,  # the coefficient adapts, so it is a part of what must be resumed
    "kl_horizon": 20,
    "whiten_rewards": True,
    "length_penalty": 1.0,
    "max_kl": 1000.0,  # so the policy before the last update is kept, too
    "evaluate_every": 4,
    "patience": 1000,  # so is the best on held-out prompts
}
GROUP: dict[str, Any] = {
    "steps": STEPS,
    "prompts_per_step": 2,
    "max_new_tokens": 6,
    "lora_rank": 4,
    "learning_rate": 1e-3,
    "checkpoint_every": 3,
    "sample_every": 2,
}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "sft": ("sft", {**TRAINING, **LOOKING, "sample_every": 2}),
    "sft, packed": ("sft", {**TRAINING, "packing": True}),
    "sft, whole model": ("sft", {**FULL, **LOOKING}),
    "sft, virtual tokens": ("sft", {**WITHOUT_ADAPTER, "tuning": "prompt"}),
    "reward": ("reward", {**TRAINING, **LOOKING}),
    "reward, two members": ("reward", {**TRAINING, "steps": 4, "members": 2}),
    "dpo": ("dpo", {**TRAINING, "lora_dropout": 0.0}),
    "dpo, whole model": ("dpo", {**FULL, "group_by_length": False}),
    "kto": ("kto", {**TRAINING, "lora_dropout": 0.0, "sample_every": 3}),
    "ppo": ("ppo", PPO),
    "grpo": ("grpo", {**GROUP, "responses_per_prompt": 2}),
    "rloo": ("rloo", {**GROUP, "responses_per_prompt": 2}),
    "online dpo": ("online_dpo", GROUP),
}
SOME = ("sft", "reward", "dpo, whole model", "ppo", "grpo")
"""One of each way to save."""
VARIANTS = {what for what in RUNS if "," in what}
OF_PROMPTS = ("ppo", "grpo", "rloo", "online_dpo")
HELD_OUT = {"prompt_id": "held-out", "messages": [{"role": "user", "content": "tell two"}], "split": "evaluation"}


def demonstrations(count: int, first: int) -> list[dict[str, Any]]:
    return [
        {
            "prompt": row["prompt"],
            "completion": row["chosen"],
            "judgment_id": f"demonstration-{first + number}",
            "task_id": f"task-{first + number}",
            "weight": 1.0,
        }
        for number, row in enumerate(easy_preferences(count, seed=first))
    ]


@pytest.fixture(scope="module")
def feedback(tmp_path_factory) -> tuple[str, str]:
    """A snapshot with the tables that all kinds read."""
    return write_tables(
        tmp_path_factory.mktemp("snapshots") / "all",
        {
            "preference": {"train": easy_preferences(24), "evaluation": easy_preferences(8, seed=1)},
            "unpaired": {"train": easy_thumbs(16), "evaluation": easy_thumbs(8, seed=1)},
            "sft": {"train": demonstrations(12, 0), "evaluation": demonstrations(4, 100)},
        },
    )


@pytest.fixture(scope="module")
def lay_out(tiny, reward_model, feedback) -> Callable[[Path, str], RunDirectory]:
    """Return a function that lays out the directory of one of RUNS."""

    def make(path: Path, what: str) -> RunDirectory:
        kind, config = RUNS[what]
        if kind in OF_PROMPTS:
            run = make_run_directory(path, kind, config, policy=tiny, reward=reward_model)
            write_prompts(run, [*prompt_rows(6), HELD_OUT])
            return run
        return make_run_directory(path, kind, config, policy=tiny, snapshot=feedback[0], snapshot_sha256=feedback[1])

    return make


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory, lay_out) -> Callable[[str], RunDirectory]:
    """Return a function that gives the run of RUNS that nothing happened to; each is carried out once."""
    runs: dict[str, RunDirectory] = {}

    def find(what: str) -> RunDirectory:
        if what not in runs:
            runs[what] = carried_out(lay_out(tmp_path_factory.mktemp("runs") / "whole", what))
        return runs[what]

    return find


@pytest.fixture
def copy_of(tmp_path, left_alone) -> Callable[[str], RunDirectory]:
    """Return a function that gives a copy of a finished run, to be changed."""
    return lambda what: RunDirectory(shutil.copytree(left_alone(what).path, tmp_path / "copy"))


def carried_out(run: RunDirectory) -> RunDirectory:
    assert in_this_process(run) == 0, run.error()
    return run


def same_end(one: RunDirectory, other: RunDirectory) -> None:
    assert without_times(one.metrics()) == without_times(other.metrics())
    assert one.outcome() == other.outcome()
    assert one.outcome().model_sha256 == directory_digest(one.model_path)
    assert list(read_lines(one.previews_path)) == list(read_lines(other.previews_path))


@pytest.mark.parametrize("what", RUNS)
def test_a_killed_run_ends_as_if_nothing_had_happened(what, tmp_path, lay_out, left_alone):
    killed = lay_out(tmp_path / "killed", what)
    for step in ONE_KILL if what in VARIANTS else KILLS:
        run_and_kill(killed, step)
        assert killed.outcome() is None
    carried_out(killed)
    assert [row["step"] for row in killed.metrics()] == list(range(1, STEPS + 1))
    same_end(killed, left_alone(what))


@pytest.mark.parametrize("what", ["reward", "ppo"])
def test_a_run_killed_while_a_checkpoint_is_written_goes_on_from_the_one_before(what, tmp_path, lay_out, left_alone):
    run = lay_out(tmp_path / "run", what)
    run_and_kill(run, 5, KilledWhileSaving)
    written = {path.parent.name for path in run.checkpoints_path.rglob("*.pt")}
    assert len(written) == 2, "the second checkpoint's files are there"
    assert run.kept_step() == 3
    same_end(carried_out(run), left_alone(what))


@pytest.mark.parametrize("what", SOME)
def test_a_paused_run_goes_on_as_if_nothing_had_happened(what, tmp_path, lay_out, left_alone):
    paused = lay_out(tmp_path / "paused", what)
    paused.request_pause()
    carried_out(paused)
    assert (paused.outcome().status, paused.outcome().step) == ("paused", 1)
    assert not paused.model_path.exists()
    assert [row["step"] for row in paused.metrics()] == [1]
    paused.forget_ending()
    same_end(carried_out(paused), left_alone(what))


@pytest.mark.parametrize("what", SOME)
def test_a_run_killed_after_its_last_step_trains_no_further(what, copy_of):
    run = copy_of(what)
    outcome, rows = run.outcome(), run.metrics()
    run.outcome_path.unlink()
    carried_out(run)
    assert run.outcome() == outcome
    assert run.metrics() == rows


def damage_last_checkpoint(run: RunDirectory, name: str) -> Path:
    """Flip one byte in the middle of a file of the latest checkpoint."""
    folder = max(run.checkpoints_path.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("what", "name"),
    [("sft", "optimizer.pt"), ("dpo", "adapter_model.safetensors"), ("ppo", "state.pt"), ("grpo", "rng_state.pth")],
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(what, name, tmp_path, lay_out, left_alone, capfd):
    run = lay_out(tmp_path / "run", what)
    run_and_kill(run, 7)
    folder = damage_last_checkpoint(run, name)
    carried_out(run)
    assert f"{folder.name} cannot be resumed from: {name} is not what was written" in capfd.readouterr().err
    same_end(run, left_alone(what))


def test_without_a_good_checkpoint_a_run_begins_again(tmp_path, lay_out, left_alone):
    run = lay_out(tmp_path / "run", "sft")
    run_and_kill(run, 4)
    damage_last_checkpoint(run, "trainer_state.json")
    same_end(carried_out(run), left_alone("sft"))


def test_a_checkpoint_that_was_not_finished_is_passed_over(copy_of):
    run = copy_of("dpo")
    rows = without_times(run.metrics())
    torn = run.checkpoints_path / "checkpoint-8"
    for name in ("concord-complete", "trainer_state.json", "optimizer.pt"):
        (torn / name).unlink()
    run.outcome_path.unlink()
    assert without_times(carried_out(run).metrics()) == rows


def test_a_run_with_an_outcome_ends_at_once(dpo_run):
    before = dpo_run.outcome_path.stat().st_mtime_ns, dpo_run.metrics_path.stat().st_mtime_ns
    assert in_this_process(dpo_run) == 0
    assert (dpo_run.outcome_path.stat().st_mtime_ns, dpo_run.metrics_path.stat().st_mtime_ns) == before
