"""A cancelled run keeps a checkpoint and the model at the step it came to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ml.conftest import in_this_process, make_run_directory, prompt_rows, without_times, write_prompts
from training.configs import PPOConfig
from training.ml import Paused
from training.ml.models import load_policy
from training.ml.ppo_runs import run_ppo
from training.ml.reward_models import load_scorer
from training.ml.sampling import Interrupted, generate_tokens
from training.rundir import ModelSource, RunDirectory, directory_digest

pytestmark = pytest.mark.torch

TRAINING = {"steps": 30, "lora_rank": 4}
PPO = {"updates": 30, "batch_size": 2, "minibatch_size": 2, "max_new_tokens": 4, "lora_rank": 4}


@pytest.fixture(params=["dpo", "reward", "ppo"])
def cancelled_run(request, tmp_path: Path, tiny, reward_model, snapshot) -> RunDirectory:
    """A run that was asked to stop before its first step: it takes that one step and stops."""
    if request.param == "ppo":
        run = make_run_directory(tmp_path / "ppo", "ppo", PPO, policy=tiny, reward=reward_model)
        write_prompts(run, prompt_rows(4))
    else:
        run = make_run_directory(
            tmp_path / request.param,
            request.param,
            TRAINING,
            policy=tiny,
            snapshot=snapshot[0],
            snapshot_sha256=snapshot[1],
        )
    run.request_cancel()
    assert in_this_process(run) == 0, run.error()
    return run


def test_a_cancelled_run_leaves_a_checkpoint_a_model_and_its_outcome(cancelled_run, tiny, tokenizer):
    outcome = cancelled_run.outcome()
    assert (outcome.status, outcome.step) == ("cancelled", 1)
    assert [row["step"] for row in cancelled_run.metrics()] == [1]
    assert len(list(cancelled_run.checkpoints_path.glob("*-*1"))) == 1
    assert outcome.model_sha256 == directory_digest(cancelled_run.model_path)
    source = ModelSource(tiny.base, (str(cancelled_run.model_path),))
    load = load_scorer if cancelled_run.spec().kind == "reward" else load_policy
    assert load(source, tokenizer) is not None


def test_a_cancelled_run_killed_before_its_outcome_trains_no_further(cancelled_run):
    outcome = cancelled_run.outcome()
    cancelled_run.outcome_path.unlink()
    assert in_this_process(cancelled_run) == 0, cancelled_run.error()
    assert cancelled_run.outcome() == outcome
    assert [row["step"] for row in cancelled_run.metrics()] == [1]


def test_a_cancelled_sample_run_says_how_many_responses_it_left(tmp_path, tiny):
    run = make_run_directory(tmp_path / "sample", "sample", {"max_new_tokens": 4}, policy=tiny)
    write_prompts(run, prompt_rows(4))
    run.request_cancel()
    assert in_this_process(run) == 0, run.error()
    assert (run.outcome().status, run.outcome().step) == ("cancelled", 0)


def test_responses_stop_at_the_next_token_when_somebody_asks(tiny, tokenizer):
    asked: list[None] = []

    def after_three_tokens() -> bool:
        asked.append(None)
        return len(asked) > 3

    model = load_policy(tiny, tokenizer).eval()
    with pytest.raises(Interrupted):
        generate_tokens(
            model,
            tokenizer,
            [[5, 6, 7]],
            [1],
            temperature=1.0,
            top_p=1.0,
            max_new_tokens=1000,
            min_new_tokens=1000,
            interrupted=after_three_tokens,
        )
    assert len(asked) == 4


def test_an_update_that_has_not_begun_to_learn_is_given_up(tmp_path, tiny, reward_model):
    """Cancelled while the third update's responses are written, the run ends at its second update."""
    run = make_run_directory(tmp_path / "ppo", "ppo", PPO, policy=tiny, reward=reward_model)
    write_prompts(run, prompt_rows(4))

    class CancelledLater(RunDirectory):
        def cancel_requested(self) -> bool:
            return len(self.metrics()) >= 2 and self.progress()["phase"] == "writing and scoring responses"

    outcome = run_ppo(CancelledLater(run.path), run.spec(), PPOConfig(**PPO))
    assert (outcome.status, outcome.step) == ("cancelled", 2)
    assert [row["step"] for row in run.metrics()] == [1, 2]
    assert sorted(path.name for path in run.checkpoints_path.iterdir()) == ["checkpoint-1", "checkpoint-2"]


def test_a_ppo_run_pauses_after_its_update_and_goes_on(tmp_path, tiny, reward_model):
    """Asked while the third update's responses are written, it pauses after the second, and then ends as ever."""
    whole = make_run_directory(tmp_path / "whole", "ppo", PPO, policy=tiny, reward=reward_model)
    run = make_run_directory(tmp_path / "paused", "ppo", PPO, policy=tiny, reward=reward_model)
    for one in (whole, run):
        write_prompts(one, prompt_rows(4))

    class PausedLater(RunDirectory):
        def pause_requested(self) -> bool:
            return len(self.metrics()) == 2 and self.progress()["phase"] == "writing and scoring responses"

    with pytest.raises(Paused) as paused:
        run_ppo(PausedLater(run.path), run.spec(), PPOConfig(**PPO))
    assert paused.value.step == 2
    assert not run.model_path.exists()
    for one in (whole, run):
        assert in_this_process(one) == 0, one.error()
    assert without_times(run.metrics()) == without_times(whole.metrics())
    assert run.outcome() == whole.outcome()
