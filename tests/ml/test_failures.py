"""What people are told when memory or the disk runs out, and what a run's environment says."""

from __future__ import annotations

import errno
import os

import pytest

from tests.ml.conftest import (
    finished_run,
    in_this_process,
    make_run_directory,
    prompt_rows,
    without_times,
    write_prompts,
)
from training.configs import DPOConfig
from training.ml.environment import COMMIT, describe_environment, write_environment
from training.ml.failures import disk_is_full, drop_what_is_not_whole, explained, out_of_memory
from training.rundir import WHOLE, RunDirectory, RunSpec, read_json

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    made = make_run_directory(tmp_path / "run", "dpo", {})
    (made.checkpoints_path / "checkpoint-4").mkdir(parents=True)
    (made.checkpoints_path / "checkpoint-4" / WHOLE).touch()
    (made.checkpoints_path / "checkpoint-8").mkdir()
    return made


def test_memory_that_the_machine_does_not_have_is_told_as_such(run):
    with pytest.raises(RuntimeError) as refused:
        torch.empty(10**15)
    assert out_of_memory(refused.value)
    said = explained(run, refused.value)
    assert said.startswith("Out of memory. Lower the batch size")
    assert said.endswith("A retry goes on after step 4, whose checkpoint is kept.")


def test_a_full_disk_is_told_as_such_whoever_met_it(run):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    from_safetensors = ValueError("Error while serializing: I/O error: No space left on device (os error 28)")
    wrapped = RuntimeError("could not save")
    wrapped.__cause__ = full
    for error in (full, from_safetensors, wrapped):
        assert disk_is_full(error, run.path)
        assert explained(run, error).startswith(f"No space left on the disk of {run.path}. Make room, then retry.")


def test_a_writer_of_torchs_that_fails_where_there_is_room_is_not_called_a_full_disk(run):
    error = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")
    assert not disk_is_full(error, run.path)
    assert explained(run, error).startswith("Unexpected RuntimeError")


def test_what_was_being_written_makes_room_and_what_is_whole_stays(run):
    (run.checkpoints_path / "trained").mkdir()
    (run.path / ".model.tmp").mkdir()
    drop_what_is_not_whole(run)
    assert sorted(path.name for path in run.checkpoints_path.iterdir()) == ["checkpoint-4", "trained"]
    assert not (run.path / ".model.tmp").exists()


# Whole runs -------------------------------------------------------------------------------------------


def test_a_run_that_runs_out_of_memory_says_so_and_goes_on_where_there_is_more(tmp_path, tiny, monkeypatch):
    """The first step's rewards are had; the second's ask for more memory than any machine has."""
    from tests.ml import synthetic_rewards

    monkeypatch.setenv("CONCORD_REWARD_FUNCTIONS", "greedy=tests.ml.synthetic_rewards:greedy")
    monkeypatch.setattr(synthetic_rewards, "asked", 0)
    small = {"prompts_per_step": 2, "responses_per_prompt": 2, "max_new_tokens": 4, "lora_rank": 2}
    config = {"steps": 2, "checkpoint_every": 1, "reward_function": "greedy", **small}
    run = make_run_directory(tmp_path / "run", "grpo", config, policy=tiny)
    write_prompts(run, prompt_rows(4))
    assert in_this_process(run) == 1
    assert run.outcome() is None
    assert run.error() == (
        "Out of memory. Lower the batch size or the longest sequence, and run again. "
        "A retry goes on after step 1, whose checkpoint is kept."
    )
    assert in_this_process(run) == 0, run.error()
    assert (run.outcome().status, run.outcome().step, run.error()) == ("succeeded", 2, "")
    assert [row["step"] for row in run.metrics()] == [1, 2]


def test_a_disk_that_is_full_ends_the_run_and_one_with_room_again_lets_it_go_on(tmp_path, tiny, snapshot, monkeypatch):
    """The system itself refuses to write: a file of the second checkpoint is /dev/full, which never has room."""
    config = {"steps": 5, "checkpoint_every": 2, "lora_rank": 2, "learning_rate": 1e-3}
    inputs = {"policy": tiny, "snapshot": snapshot[0], "snapshot_sha256": snapshot[1]}
    run = make_run_directory(tmp_path / "run", "dpo", config, **inputs)
    append = RunDirectory.append_metrics

    def fill_the_disk(self: RunDirectory, row) -> None:
        append(self, row)
        if row["step"] == 3:
            (self.checkpoints_path / "checkpoint-4").mkdir()
            (self.checkpoints_path / "checkpoint-4" / "trainer_state.json").symlink_to("/dev/full")

    with monkeypatch.context() as full:
        full.setattr(RunDirectory, "append_metrics", fill_the_disk)
        assert in_this_process(run) == 1
    assert run.outcome() is None
    assert run.error() == (
        f"No space left on the disk of {run.path}. Make room, then retry. "
        "A retry goes on after step 2, whose checkpoint is kept."
    )
    assert [path.name for path in run.checkpoints_path.iterdir()] == ["checkpoint-2"]
    assert in_this_process(run) == 0, run.error()
    whole = finished_run(tmp_path / "whole", "dpo", config, **inputs)
    assert run.outcome() == whole.outcome()
    assert without_times(run.metrics()) == without_times(whole.metrics())


# The environment --------------------------------------------------------------------------------------


def test_the_environment_says_what_it_takes_to_run_it_again(monkeypatch):
    monkeypatch.delenv(COMMIT, raising=False)
    spec = RunSpec(run_id="one", kind="dpo", config={}, snapshot_sha256="s" * 64)
    found = describe_environment(spec, DPOConfig(seed=5))
    assert found["versions"]["torch"].startswith(torch.__version__.partition("+")[0])
    assert {"python", "transformers", "peft", "tokenizers"} <= set(found["versions"])
    assert (found["seed"], found["snapshot_sha256"], found["processes"]) == (5, "s" * 64, 1)
    assert found["device"].startswith(("cpu: ", "cuda: "))
    assert found["threads"] == torch.get_num_threads()


def test_an_installation_without_git_says_its_commit(monkeypatch):
    monkeypatch.setenv(COMMIT, "abc123")
    found = describe_environment(RunSpec(run_id="one", kind="dpo", config={}), DPOConfig())
    assert (found["commit"], found["changed"]) == ("abc123", False)


def test_an_attempt_elsewhere_does_not_hide_where_the_run_began(run, monkeypatch):
    spec = RunSpec(run_id="one", kind="dpo", config={})
    for commit in ("first", "second", "second"):
        monkeypatch.setenv(COMMIT, commit)
        write_environment(run, spec, DPOConfig())
    found = read_json(run.environment_path)
    assert found["commit"] == "second"
    assert [one["commit"] for one in found["before"]] == ["first"]
