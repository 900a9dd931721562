"""What GRPO, RLOO and online DPO share: they learn, go on as they were, draw prompts in turn, wire every setting."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from transformers import set_seed

from tests.ml.conftest import in_this_process, make_run_directory, prompt_rows, without_times, write_prompts
from tests.ml.test_several_processes import start
from training.configs import CONFIGS, GRPOConfig, OnlineDPOConfig
from training.ml.group_runs import rows_in_order
from training.ml.models import load_policy
from training.rundir import ModelSource, RunDirectory, read_lines

pytestmark = pytest.mark.torch

KINDS = ("grpo", "rloo", "online_dpo")
QUICK = {
    "steps": 2,
    "prompts_per_step": 2,
    "max_new_tokens": 6,
    "learning_rate": 5e-3,
    "temperature": 1.0,
    "reward_function": "vowels",
    "lora_rank": 4,
}


@pytest.fixture(autouse=True)
def _vowels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "CONCORD_REWARD_FUNCTIONS",
        "vowels=tests.ml.synthetic_rewards:vowels,alike=tests.ml.synthetic_rewards:alike",
    )


def make_run(path: Path, kind: str, base: ModelSource, settings: dict[str, Any], **fields: Any) -> RunDirectory:
    config = {**QUICK, **settings}
    if config.get("tuning") in ("full", "prompt"):
        del config["lora_rank"]  # refused where no adapter is trained
    run = make_run_directory(path, kind, config, policy=base, **fields)
    write_prompts(run, prompt_rows(5))
    return run


def carried_out(path: Path, kind: str, base: ModelSource, **settings: Any) -> RunDirectory:
    run = make_run(path, kind, base, settings)
    assert in_this_process(run) == 0, run.error()
    return run


def what_came_of_it(run: RunDirectory) -> tuple[Any, ...]:
    """Return all that a setting can have an effect on."""
    told = without_times(run.metrics())
    for row in told:
        row.pop("memory_mb", None)
        row.pop("tokens_per_second", None)
    places = sorted(path.name for path in run.checkpoints_path.glob("checkpoint-*"))
    return run.outcome().model_sha256, told, list(read_lines(run.previews_path)), places


@pytest.mark.parametrize("kind", KINDS)
def test_the_reward_goes_up(tmp_path, tiny, kind):
    own = {"beta": 0.02, "prompts_per_step": 8} if kind == "online_dpo" else {"kl_coef": 1e-3, "prompts_per_step": 4}
    run = carried_out(
        tmp_path / kind, kind, tiny, steps=45, max_new_tokens=8, checkpoint_every=1000, missing_eos_penalty=0.0, **own
    )
    scores = [row["score_mean"] for row in run.metrics()]
    # Five steps differ from five others by 0.01 without learning; of 12 seeds the worst gained 0.09.
    assert sum(scores[-5:]) / 5 > sum(scores[:5]) / 5 + 0.05
    figures = run.outcome().evaluation
    assert (figures["score_first"], figures["score_last"], figures["n"]) == (scores[0], scores[-1], 16)
    assert figures["kl_first"] == pytest.approx(0.0, abs=1e-5)
    assert figures["kl_last"] > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_paused_ends_as_one_that_was_not(tmp_path, tiny, kind):
    settings: dict[str, Any] = {"steps": 4, "lora_dropout": 0.1, "gradient_accumulation": 2}
    if kind != "online_dpo":
        settings["passes"] = 2  # after step 1 there are responses that are to be used once more
    whole = carried_out(tmp_path / "whole", kind, tiny, **settings)

    run = make_run(tmp_path / "paused", kind, tiny, settings)
    run.request_pause()
    assert in_this_process(run) == 0, run.error()
    assert (run.outcome().status, run.outcome().step) == ("paused", 1)
    run.forget_ending()
    set_seed(99)  # a new process draws other numbers
    assert in_this_process(run) == 0, run.error()
    assert what_came_of_it(run)[:3] == what_came_of_it(whole)[:3]


@pytest.mark.parametrize("kind", KINDS)
def test_full_fine_tuning_holds_to_the_policy_it_started_from(tmp_path, tiny, dpo_model, tokenizer, kind):
    """Not to the base model below it, which TRL would read from the model's name."""
    run = make_run(tmp_path / kind, kind, dpo_model, {"tuning": "full"})
    assert in_this_process(run) == 0, run.error()
    assert run.metrics()[0]["kl"] == pytest.approx(0.0, abs=1e-4)
    assert run.metrics()[1]["kl"] != pytest.approx(0.0, abs=1e-4)
    assert load_policy(ModelSource(str(run.model_path)), tokenizer) is not None


def test_every_prompt_comes_once_before_any_comes_again():
    config = GRPOConfig(steps=5, prompts_per_step=2)
    rows = rows_in_order(config, 5)["row"]
    assert sorted(rows[:5]) == sorted(rows[5:]) == [0, 1, 2, 3, 4]
    assert len(rows_in_order(config, 5, passes=2)) == 3 * 2


def test_fewer_prompts_than_a_step_wants_are_taken_several_times(tmp_path, tiny):
    run = carried_out(tmp_path / "few", "grpo", tiny, prompts_per_step=8)
    assert [row["step"] for row in run.metrics()] == [1, 2]


# Every setting ------------------------------------------------------------------------------------------------------

PASSES = {"passes": 2}
COMMON: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # setting: (the run it is changed in, what it is changed to)
    "seed": ({}, {"seed": 18}),
    "tuning": ({}, {"tuning": "dora"}),
    "lora_rank": ({}, {"lora_rank": 2}),
    "lora_alpha": ({}, {"lora_alpha": 64}),
    "lora_dropout": ({}, {"lora_dropout": 0.5}),
    "prompt_tokens": ({"tuning": "prompt"}, {"prompt_tokens": 3}),
    "freeze_layers": ({"tuning": "full"}, {"freeze_layers": 1}),
    "precision": ({}, {"precision": "bfloat16"}),
    "max_grad_norm": ({}, {"max_grad_norm": 1e-3}),
    "sample_every": ({}, {"sample_every": 1}),
    "reward_function": ({}, {"reward_function": "words:3"}),
    "length_penalty": ({}, {"length_penalty": 50.0}),
    "missing_eos_penalty": ({}, {"missing_eos_penalty": 0.0}),
    "max_new_tokens": ({}, {"max_new_tokens": 5}),
    "temperature": ({}, {"temperature": 0.5}),
    "steps": ({}, {"steps": 1}),
    "prompts_per_step": ({}, {"prompts_per_step": 3}),
    "learning_rate": ({}, {"learning_rate": 1e-3}),
    "checkpoint_every": ({}, {"checkpoint_every": 1}),
}
OWN: dict[str, dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "grpo": {
        "responses_per_prompt": ({}, {"responses_per_prompt": 3}),
        "kl_coef": ({}, {"kl_coef": 1.0}),
        "loss": (PASSES, {"loss": "cispo"}),
        "passes": ({}, PASSES),
        "clip_range": (PASSES, {"clip_range": 0.001}),
        "scale_rewards": ({}, {"scale_rewards": False}),
    },
    "rloo": {
        "responses_per_prompt": ({}, {"responses_per_prompt": 3}),
        "kl_coef": ({}, {"kl_coef": 1.0}),
        "passes": ({}, PASSES),
        "clip_range": (PASSES, {"clip_range": 0.001}),
    },
    "online_dpo": {"beta": ({}, {"beta": 1.0}), "loss": ({}, {"loss": "ipo"}), "temperature": COMMON["temperature"]},
}
ELSEWHERE = {
    "gradient_checkpointing": "changes memory, not what is learned: test_what_saves_memory_changes_nothing",
    "gradient_accumulation": "the same",
    "reward_aggregation": "tests/ml/test_online_rewards.py",
    "variance_penalty": "the same",
    "max_prompt_length": "tests/ml/test_preflight.py",
    "max_refused_percent": "the same",
}
CASES = [("grpo", name, *one) for name, one in COMMON.items()] + [
    (kind, name, *one) for kind, settings in OWN.items() for name, one in settings.items()
]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, ...]]:
    """What came of the runs that were changed nothing in, by kind and settings."""
    return {}


@pytest.mark.parametrize(("kind", "name", "start", "changed"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_a_setting_changes_what_comes_of_the_run(tmp_path, tiny, done, kind, name, start, changed):
    key = f"{kind} {start}"
    if key not in done:
        done[key] = what_came_of_it(carried_out(tmp_path / "start", kind, tiny, **start))
    assert what_came_of_it(carried_out(tmp_path / "changed", kind, tiny, **start, **changed)) != done[key]


@pytest.mark.parametrize("kind", KINDS)
def test_no_setting_is_left_out_above(kind):
    names = {field.name for field in dataclasses.fields(CONFIGS[kind])}
    assert names == set(COMMON) | set(OWN[kind]) | set(ELSEWHERE)


@pytest.mark.parametrize("kind", KINDS)
def test_what_saves_memory_changes_nothing(tmp_path, tiny, kind):
    saving = {"gradient_checkpointing": True, "gradient_accumulation": 2}
    plain, sparing = (carried_out(tmp_path / str(len(more)), kind, tiny, **more).metrics() for more in ({}, saving))
    for name in ("score_mean", "reward_mean", "kl", "grad_norm"):
        assert [row[name] for row in sparing] == pytest.approx([row[name] for row in plain], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("kind", ["grpo", "online_dpo"])  # RLOO writes, and shares out, as GRPO does
def test_two_processes_write_the_responses_of_one_and_learn_the_same(tmp_path, tiny, kind):
    alone = carried_out(tmp_path / "one", kind, tiny)
    run = make_run(tmp_path / "two", kind, tiny, {}, launch={"launcher": "accelerate", "processes": 2})
    assert start(run).wait(300) == 0, run.error() or run.log_path.read_text()[-3000:]
    assert len(run.metrics()) == 2
    for name in ("score_mean", "reward_mean", "kl", "grad_norm"):
        expected = [row[name] for row in alone.metrics()]
        assert [row[name] for row in run.metrics()] == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert {path.name for path in run.model_path.iterdir()} == {path.name for path in alone.model_path.iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_without_any_reward_is_refused(tmp_path, tiny, kind):
    run = make_run(tmp_path / kind, kind, tiny, {"reward_function": ""})
    assert in_this_process(run) == 1
    assert run.error() == "nothing scores what the policy writes: name a reward model or a reward_function"


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_prompts_are_never_trained_on(tmp_path, tiny, kind):
    run = make_run_directory(tmp_path / kind, kind, QUICK, policy=tiny)
    write_prompts(run, prompt_rows(3, split="evaluation"))
    assert in_this_process(run) == 1
    assert run.error().startswith("every prompt of this run is held out for evaluation")


def test_settings_that_fit_nothing_are_refused():
    with pytest.raises(ValueError, match="gradient_accumulation: 3 does not divide the 4 prompts of a step"):
        OnlineDPOConfig(gradient_accumulation=3)
