"""A run whose process is killed and started again gives the metrics of a run that was left alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.ml.conftest import (
    finished_run,
    in_this_process,
    make_run_directory,
    prompt_rows,
    start_child,
    without_times,
    write_prompts,
)
from training.rundir import RunDirectory, directory_digest, read_lines

pytestmark = pytest.mark.torch

STEPS = 40
KILL_AT = 12
TRAINING = {"steps": STEPS, "learning_rate": 1e-3, "lora_rank": 4, "checkpoint_every": 5}
CONFIGS = {
    "dpo": TRAINING,
    "reward": TRAINING,
    "ppo": {
        "updates": STEPS,
        "batch_size": 4,
        "minibatch_size": 2,
        "ppo_epochs": 1,
        "max_new_tokens": 6,
        "lora_rank": 4,
        "learning_rate": 1e-3,
        "checkpoint_every": 5,
        "kl_target": 0.1,  # the coefficient adapts, so it is a part of what must be resumed
        "kl_horizon": 20,
        "whiten_rewards": True,
        "length_penalty": 1.0,
        "max_kl": 1000.0,  # so the policy before the last update is kept, too
        "evaluate_every": 4,
        "patience": 1000,  # so is the best on held-out prompts
    },
}

HELD_OUT = {"prompt_id": "held-out", "messages": [{"role": "user", "content": "tell two"}], "split": "evaluation"}


def lay_out_run(path: Path, kind: str, tiny, reward_model, snapshot) -> RunDirectory:
    if kind == "ppo":
        run = make_run_directory(path, kind, CONFIGS[kind], policy=tiny, reward=reward_model)
        write_prompts(run, [*prompt_rows(6), HELD_OUT])
    else:
        run = make_run_directory(
            path, kind, CONFIGS[kind], policy=tiny, snapshot=snapshot[0], snapshot_sha256=snapshot[1]
        )
    return run


@pytest.fixture(scope="module")
def killed_runs(tmp_path_factory, tiny, reward_model, snapshot) -> dict[str, RunDirectory]:
    """One run of each kind, killed with SIGKILL after step KILL_AT, all three started together."""
    where = tmp_path_factory.mktemp("killed")
    runs = {kind: lay_out_run(where / kind, kind, tiny, reward_model, snapshot) for kind in CONFIGS}
    children = {kind: start_child(run) for kind, run in runs.items()}
    deadline = time.monotonic() + 300
    while children:
        for kind, child in list(children.items()):
            assert child.poll() is None, f"{kind} ended by itself: {runs[kind].log_path.read_text()[-2000:]}"
            if len(runs[kind].metrics()) >= KILL_AT:
                child.kill()
                child.wait()
                del children[kind]
        assert time.monotonic() < deadline, f"{list(children)} did not come to step {KILL_AT}"
        time.sleep(0.005)
    return runs


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_a_killed_run_goes_on_as_if_nothing_had_happened(kind, killed_runs, tmp_path, tiny, reward_model, snapshot):
    run = killed_runs[kind]
    before = len(run.metrics())
    assert KILL_AT <= before < STEPS
    assert run.outcome() is None
    assert in_this_process(run) == 0, run.error()

    whole = lay_out_run(tmp_path / "whole", kind, tiny, reward_model, snapshot)
    assert in_this_process(whole) == 0, whole.error()
    assert [row["step"] for row in run.metrics()] == list(range(1, STEPS + 1))
    assert without_times(run.metrics()) == without_times(whole.metrics())
    assert run.outcome() == whole.outcome()
    assert run.outcome().model_sha256 == directory_digest(run.model_path)
    if kind == "ppo":
        previews = [list(read_lines(one.path / "samples_preview.jsonl")) for one in (run, whole)]
        assert previews[0] == previews[1]


def test_a_checkpoint_that_was_not_finished_is_passed_over(tmp_path, tiny, snapshot):
    run = finished_run(
        tmp_path / "run",
        "dpo",
        {**TRAINING, "steps": 6},
        policy=tiny,
        snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
    )
    rows = without_times(run.metrics())
    torn = run.checkpoints_path / "checkpoint-6"
    for name in ("concord-complete", "trainer_state.json", "optimizer.pt"):
        (torn / name).unlink()
    run.outcome_path.unlink()
    assert in_this_process(run) == 0, run.error()
    assert without_times(run.metrics()) == rows


def test_a_run_killed_after_its_last_step_trains_no_further(tmp_path, tiny, reward_model, snapshot):
    for kind in CONFIGS:
        config = {**CONFIGS[kind], ("updates" if kind == "ppo" else "steps"): 5}
        if kind == "ppo":
            run = make_run_directory(tmp_path / kind, kind, config, policy=tiny, reward=reward_model)
            write_prompts(run, [*prompt_rows(6), HELD_OUT])
        else:
            run = make_run_directory(
                tmp_path / kind, kind, config, policy=tiny, snapshot=snapshot[0], snapshot_sha256=snapshot[1]
            )
        assert in_this_process(run) == 0, run.error()
        outcome, rows = run.outcome(), run.metrics()
        run.outcome_path.unlink()
        assert in_this_process(run) == 0, run.error()
        assert run.outcome() == outcome
        assert run.metrics() == rows


def test_a_run_with_an_outcome_ends_at_once(tmp_path, dpo_run):
    before = dpo_run.outcome_path.stat().st_mtime_ns, dpo_run.metrics_path.stat().st_mtime_ns
    assert in_this_process(dpo_run) == 0
    assert (dpo_run.outcome_path.stat().st_mtime_ns, dpo_run.metrics_path.stat().st_mtime_ns) == before
