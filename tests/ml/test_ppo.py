"""PPO's loop: what must hold at the first step, under accumulation, and under padding."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from tests.ml.conftest import in_this_process, make_run_directory, prompt_rows, write_prompts
from training.configs import PPOConfig
from training.ml.chat import prompt_ids
from training.ml.models import load_policy
from training.ml.ppo import accumulate_gradients, gather_experience, prompt_order
from training.ml.sequences import Rollouts, lay_out, response_logits
from training.ml.shared_models import SharedModels
from training.rundir import ModelSource, read_lines

pytestmark = pytest.mark.torch

CONFIG = PPOConfig(updates=3, batch_size=8, minibatch_size=8, max_new_tokens=7, lora_rank=4, learning_rate=1e-3)


@pytest.fixture(scope="module")
def models(tiny, reward_model, tokenizer) -> SharedModels:
    models = SharedModels(tiny, reward_model, tokenizer, rank=4, alpha=8, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():  # as after some training, so that every gradient has something to say
        for parameter in models.trained().values():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.01)
    return models


@pytest.fixture(scope="module")
def experience(models, tokenizer):
    prompts = [prompt_ids(tokenizer, row["messages"]) for row in prompt_rows(8)]
    made = gather_experience(models, tokenizer, prompts, CONFIG, 1, CONFIG.kl_coef)
    # Responses of different lengths, as real ones have.
    lengths = torch.tensor([1, 2, 3, 4, 5, 6, 7, 7])
    mask = torch.arange(7) < lengths[:, None]
    attention = made.rollouts.attention_mask.clone()
    attention[:, -7:] = mask.long()
    old = made.logprobs + torch.linspace(-0.5, 0.5, 56).reshape(8, 7)
    return dataclasses.replace(made, rollouts=Rollouts(made.rollouts.ids, attention, mask), logprobs=old)


def gradients(models: SharedModels, experience, config: PPOConfig):
    for parameter in models.trained().values():
        parameter.grad = None
    figures = accumulate_gradients(models, experience, torch.arange(8), config)
    return figures, {name: parameter.grad.clone() for name, parameter in models.trained().items()}


@pytest.mark.parametrize("pieces", [2, 4, 8])
def test_accumulating_eight_times_one_equals_one_times_eight(models, experience, pieces):
    figures, whole = gradients(models, experience, CONFIG)
    split_figures, split = gradients(models, experience, dataclasses.replace(CONFIG, gradient_accumulation=pieces))
    assert split_figures == pytest.approx(figures, rel=1e-4, abs=1e-6)
    for name, gradient in whole.items():
        torch.testing.assert_close(split[name], gradient, rtol=1e-3, atol=1e-6)
    assert all(bool(gradient.abs().sum() > 0) for gradient in whole.values())


def test_padding_filled_with_1e9_changes_no_loss_and_no_gradient(models, experience):
    mask = experience.mask
    spoiled = {
        name: torch.where(mask, getattr(experience, name), 1e9)
        for name in ("logprobs", "kl", "values", "entropy", "rewards", "advantages", "returns")
    }
    figures, clean = gradients(models, experience, CONFIG)
    dirty_figures, dirty = gradients(models, dataclasses.replace(experience, **spoiled), CONFIG)
    assert dirty_figures == figures
    assert all(torch.equal(dirty[name], clean[name]) for name in clean)


def test_the_pad_token_changes_no_loss_and_no_gradient(models, experience):
    rollouts = experience.rollouts
    ids = torch.where(rollouts.attention_mask.bool(), rollouts.ids, 99)
    other = dataclasses.replace(experience, rollouts=dataclasses.replace(rollouts, ids=ids))
    figures, clean = gradients(models, experience, CONFIG)
    other_figures, other_gradients = gradients(models, other, CONFIG)
    assert other_figures == figures
    assert all(torch.equal(other_gradients[name], clean[name]) for name in clean)


def test_every_prompt_comes_once_before_any_comes_again():
    taken = [place for update in (1, 2, 3) for place in prompt_order(6, 4, update, seed=3)]
    assert sorted(taken[:6]) == sorted(taken[6:]) == list(range(6))
    assert taken[:4] == prompt_order(6, 4, 1, seed=3)


def small_run(path, tiny, reward_model, **config):
    run = make_run_directory(
        path,
        "ppo",
        {"updates": 3, "max_new_tokens": 7, "lora_rank": 4, "learning_rate": 1e-3, **config},
        policy=tiny,
        reward=reward_model,
    )
    write_prompts(run, [*prompt_rows(4), *prompt_rows(1, "evaluation")])
    assert in_this_process(run) == 0, run.error()
    return run


@pytest.fixture(scope="module")
def ppo_run(tmp_path_factory, tiny, reward_model):
    return small_run(tmp_path_factory.mktemp("runs") / "ppo", tiny, reward_model)


def test_at_the_first_step_the_ratio_is_1_nothing_is_clipped_and_kl_is_0(ppo_run):
    first, *later = ppo_run.metrics()
    assert first["ratio_mean_first"] == pytest.approx(1.0, abs=1e-5)
    assert first["clip_fraction_first"] == 0.0
    assert first["kl"] == 0.0
    for row in later:
        assert row["ratio_mean_first"] == pytest.approx(1.0, abs=1e-5)
        assert row["kl"] != 0.0


def test_a_ppo_run_writes_the_promised_figures(ppo_run):
    names = {
        *("step", "time", "seconds", "score_mean", "reward_mean", "kl", "kl_coef", "entropy", "response_length"),
        *("ratio_mean_first", "clip_fraction_first", "clip_fraction", "approx_kl", "policy_loss", "value_loss"),
        *("eos_fraction", "learning_rate", "grad_norm"),
    }
    assert all(set(row) == names for row in ppo_run.metrics())
    outcome = ppo_run.outcome()
    assert set(outcome.evaluation) == {"score_first", "score_last", "kl_first", "kl_last", "n"}
    assert outcome.evaluation["n"] == 8
    previews = list(read_lines(ppo_run.path / "samples_preview.jsonl"))
    assert [row["step"] for row in previews] == [1, 1, 2, 2, 3, 3]
    assert all(set(row) == {"step", "prompt", "response", "score"} for row in previews)


def test_the_coefficient_follows_the_kl_towards_its_target(tmp_path, tiny, reward_model):
    rows = small_run(tmp_path / "run", tiny, reward_model, kl_target=0.5, kl_horizon=16).metrics()
    assert rows[0]["kl_coef"] == 0.05
    for before, after in itertools.pairwise(rows):
        error = min(max((before["kl"] - 0.5) / 0.5, -0.2), 0.2)
        assert after["kl_coef"] == pytest.approx(before["kl_coef"] * (1 + error * 8 / 16), rel=1e-6)
    assert rows[1]["kl_coef"] == pytest.approx(0.05 * 0.9)  # the first KL is 0


def test_a_policy_too_far_from_its_reference_is_stopped_before_it_learns_more(tmp_path, tiny, reward_model, ppo_run):
    farthest = max(row["kl"] for row in ppo_run.metrics())
    assert farthest > 0
    limit = farthest / 2
    run = small_run(tmp_path / "run", tiny, reward_model, max_kl=limit)
    outcome = run.outcome()
    assert outcome.status == "succeeded"
    assert outcome.evaluation["stopped_at_kl"] > limit
    assert outcome.step == len(run.metrics()) < 3
    assert all(row["kl"] <= limit for row in run.metrics())
    assert outcome.model_sha256


def test_a_length_penalty_comes_off_for_each_token(tmp_path, tiny, reward_model, ppo_run):
    free = ppo_run.metrics()[0]
    paid = small_run(tmp_path / "run", tiny, reward_model, length_penalty=10.0, updates=1).metrics()[0]
    assert paid["score_mean"] == free["score_mean"]
    assert paid["reward_mean"] == pytest.approx(free["reward_mean"] - 10.0 * free["response_length"] / 100, abs=1e-4)


def test_held_out_prompts_are_never_trained_on(tmp_path, tiny, reward_model):
    run = make_run_directory(tmp_path / "held-out", "ppo", {}, policy=tiny, reward=reward_model)
    write_prompts(run, prompt_rows(3, "evaluation"))
    assert in_this_process(run) == 1
    assert "held out" in run.error()


def test_the_published_adapter_is_the_trained_policy(ppo_run, tiny, reward_model, tokenizer):
    models = SharedModels(tiny, reward_model, tokenizer, rank=4, alpha=32, seed=1).eval()
    (state_path,) = ppo_run.checkpoints_path.glob("update-000003/state.pt")
    state = torch.load(state_path, weights_only=True)
    with torch.no_grad():
        for name, parameter in models.trained().items():
            parameter.copy_(state["trained"][name])
        rollouts = lay_out([[5, 6, 7]], [[8, 9, 2]], 0, torch.device("cpu"))
        models.use("policy")
        expected = response_logits(models.causal, rollouts)
        loaded = load_policy(ModelSource(tiny.base, (str(ppo_run.model_path),)), tokenizer).eval()
        torch.testing.assert_close(response_logits(loaded, rollouts), expected, atol=1e-4, rtol=0)
        base = response_logits(load_policy(tiny, tokenizer).eval(), rollouts)
    assert not torch.allclose(base, expected, atol=1e-4)


def test_an_overlong_prompt_is_refused(tmp_path, tiny, reward_model):
    run = make_run_directory(tmp_path / "long", "ppo", {"max_prompt_length": 20}, policy=tiny, reward=reward_model)
    write_prompts(run, prompt_rows(3))
    assert in_this_process(run) == 1
    assert "max_prompt_length" in run.error()


def test_the_next_round_starts_from_the_last_policy(tmp_path, tiny, dpo_model, reward_model, tokenizer):
    config = {"updates": 1, "batch_size": 2, "minibatch_size": 2, "max_new_tokens": 4, "lora_rank": 4}
    path = tmp_path / "second"
    run = make_run_directory(path, "ppo", config, policy=dpo_model, reward=reward_model)
    write_prompts(run, prompt_rows(2))
    assert in_this_process(run) == 0, run.error()
    assert run.metrics()[0]["kl"] == 0.0
    load_policy(ModelSource(tiny.base, (*dpo_model.adapters, str(run.model_path))), tokenizer)


def test_a_base_model_is_no_reward_model(tmp_path, tiny):
    run = make_run_directory(tmp_path / "no-reward", "ppo", {}, policy=tiny, reward=tiny)
    write_prompts(run, prompt_rows(2))
    assert in_this_process(run) == 1
    assert "not a reward model" in run.error()


def test_a_policy_adapter_is_no_reward_model(tmp_path, tiny, dpo_model):
    run = make_run_directory(tmp_path / "wrong-reward", "ppo", {}, policy=tiny, reward=dpo_model)
    write_prompts(run, prompt_rows(2))
    assert in_this_process(run) == 1
    assert "it has no score.weight" in run.error()
