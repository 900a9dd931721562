"""PPO's loop: what must hold at the first step, under accumulation, and under padding."""

from __future__ import annotations

import dataclasses
import itertools
import shutil

import pytest
import torch
from peft.utils import load_peft_weights

from feedback.contract import PromptRow
from tests.ml.conftest import in_this_process, make_run_directory, prompt_rows, without_times, write_prompts
from tests.ml.test_shared_models import ensemble_of
from training.configs import PPOConfig
from training.ml.chat import prompt_ids
from training.ml.models import load_policy, load_tokenizer
from training.ml.ppo import (
    LossNotFinite,
    accumulate_gradients,
    gather_experience,
    learn,
    minibatches,
    prompt_order,
    write,
)
from training.ml.ppo_checkpoints import Kept, Standing
from training.ml.ppo_rewards import Judge, Prompt
from training.ml.ppo_runs import after_look, policy_to_leave, read_both
from training.ml.reward_models import RewardCard
from training.ml.sequences import Rollouts, lay_out, response_logits
from training.ml.shared_models import SharedModels
from training.rundir import ModelSource, directory_digest, read_lines

pytestmark = pytest.mark.torch

CONFIG = PPOConfig(updates=3, batch_size=8, minibatch_size=8, max_new_tokens=7, lora_rank=4, learning_rate=1e-3)


HELD_OUT: PromptRow = {
    "prompt_id": "held-out",
    "messages": [{"role": "user", "content": "tell two answer"}],
    "split": "evaluation",
}


@pytest.fixture(scope="module", params=["head", "own"])
def models(request, tiny, reward_model, tokenizer) -> SharedModels:
    config = dataclasses.replace(CONFIG, value_model=request.param)
    models = SharedModels(tiny, reward_model, tokenizer, config).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():  # as after some training, so that every gradient has something to say
        for parameter in models.trained().values():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.01)
    return models


@pytest.fixture(scope="module")
def experience(models, tokenizer):
    prompts = [
        Prompt(row["prompt_id"], prompt_ids(tokenizer, row["messages"]), row["messages"]) for row in prompt_rows(8)
    ]
    judge = Judge(models, CONFIG, tokenizer.pad_token_id, tokenizer.eos_token_id)
    made = gather_experience(judge, tokenizer, prompts, 1, CONFIG.kl_coef)
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


def test_the_first_pass_of_learning_is_the_one_that_told_the_log_probabilities(models, tokenizer):
    config = dataclasses.replace(CONFIG, minibatch_size=4, gradient_accumulation=2)
    prompts = [
        Prompt(row["prompt_id"], prompt_ids(tokenizer, row["messages"]), row["messages"]) for row in prompt_rows(8)
    ]
    judge = Judge(models, config, tokenizer.pad_token_id, tokenizer.eos_token_id)
    made = gather_experience(judge, tokenizer, prompts, 3, config.kl_coef)
    rows = next(minibatches(8, config, 3))
    assert torch.equal(made.first.rows, rows[:2])
    told = made.first.logprobs.detach()
    assert torch.equal(told, made.logprobs[rows[:2], : told.shape[1]])

    def gradients_of(first):
        for parameter in models.trained().values():
            parameter.grad = None
        figures = accumulate_gradients(models, made, rows, config, first)
        return figures, {name: parameter.grad.clone() for name, parameter in models.trained().items()}

    figures, again = gradients_of(None)
    begun_figures, begun = gradients_of(made.first)
    assert begun_figures == pytest.approx(figures, rel=1e-4, abs=1e-6)
    for name, gradient in again.items():
        torch.testing.assert_close(begun[name], gradient, rtol=1e-3, atol=1e-6)
    with pytest.raises(RuntimeError, match="second time"):  # so it was this pass that went backward
        made.first.logprobs.sum().backward()


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
    write_prompts(run, [*prompt_rows(4), HELD_OUT])
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
        *("eos_fraction", "learning_rate", "grad_norm", "tokens_per_second", "memory_mb"),
    }
    assert all(set(row) == names for row in ppo_run.metrics())
    outcome = ppo_run.outcome()
    assert set(outcome.evaluation) == {"score_first", "score_last", "kl_first", "kl_last", "n"}
    assert outcome.evaluation["n"] == 8
    previews = list(read_lines(ppo_run.path / "samples_preview.jsonl"))
    assert [row["step"] for row in previews] == [1, 1, 2, 2, 3, 3]
    assert all(set(row) == {"step", "prompt", "response", "score"} for row in previews)


def left_kl(run, tiny, reward_model) -> float:
    """Return the KL of what `run` left, on the prompts and random numbers of its last update."""
    config = PPOConfig(**run.spec().config)
    tokenizer = load_tokenizer(tiny)
    models = SharedModels(tiny, reward_model, tokenizer, config).eval()
    left = load_peft_weights(str(run.model_path), device="cpu")
    models.put({name.replace(".weight", ".default.weight"): weight for name, weight in left.items()})
    prompts, _ = read_both(run, tokenizer, config)
    update = len(run.metrics())
    chosen = [prompts[row] for row in prompt_order(len(prompts), config.batch_size, update, config.seed)]
    return write(models, tokenizer, chosen, config, f"update {update}").kl.sum(1).mean().item()


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
    assert len(run.metrics()) < 3
    assert all(row["kl"] <= limit for row in run.metrics())
    # What is left is the policy that wrote the last row: the one after it is that whose KL was past the limit.
    assert outcome.step == len(run.metrics()) - 1
    assert left_kl(run, tiny, reward_model) == pytest.approx(run.metrics()[-1]["kl"], abs=1e-5)


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
    models = SharedModels(tiny, reward_model, tokenizer, CONFIG).eval()
    (state_path,) = ppo_run.checkpoints_path.glob("checkpoint-3/state.pt")
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


def test_a_function_alone_can_give_the_reward(tmp_path, tiny):
    run = small_run(tmp_path / "run", tiny, None, reward_function="words:4", updates=2)
    texts = [row for row in read_lines(run.previews_path) if row["step"] == 1]
    assert all(row["score"] == pytest.approx(-abs(len(row["response"].split()) - 4) / 4) for row in texts)
    assert run.outcome().model_sha256


def test_a_function_is_added_to_the_reward_model(tmp_path, tiny, reward_model, ppo_run):
    run = small_run(tmp_path / "run", tiny, reward_model, reward_function="words:4", updates=1)
    alone = [row for row in read_lines(ppo_run.previews_path) if row["step"] == 1]
    both = [row for row in read_lines(run.previews_path) if row["step"] == 1]
    for one, two in zip(alone, both, strict=True):
        assert two["response"] == one["response"]
        words = -abs(len(one["response"].split()) - 4) / 4
        assert two["score"] == pytest.approx(one["score"] + words, abs=1e-5)


def test_a_run_without_any_reward_is_refused(tmp_path, tiny):
    run = make_run_directory(tmp_path / "none", "ppo", {}, policy=tiny)
    write_prompts(run, prompt_rows(2))
    assert in_this_process(run) == 1
    assert "neither a reward model nor a reward function" in run.error()


def test_an_ensemble_is_read_as_the_config_says(tmp_path, tiny, reward_model, ppo_run):
    both = ensemble_of(reward_model, tmp_path / "both", RewardCard(members=2, ensemble="heads"), [1.0, 3.0])
    first = {
        how: small_run(tmp_path / how, tiny, both, updates=1, reward_aggregation=how, **more)
        for how, more in (("mean", {}), ("worst", {}), ("variance", {"variance_penalty": 2.0}))
    }
    row = first["mean"].metrics()[0]
    alone = {line["response"]: line["score"] for line in read_lines(ppo_run.previews_path) if line["step"] == 1}
    assert row["score_mean"] == pytest.approx(2 * ppo_run.metrics()[0]["score_mean"], rel=1e-4)
    expected = {"mean": lambda s: 2 * s, "worst": lambda s: min(s, 3 * s), "variance": lambda s: 2 * s - 2 * s * s}
    for how, run in first.items():
        for line in read_lines(run.previews_path):
            assert line["score"] == pytest.approx(expected[how](alone[line["response"]]), abs=1e-3)
    assert row["score_spread"] > 0
    assert "score_spread" not in ppo_run.metrics()[0]


def test_a_reward_model_that_cannot_share_is_read_beside_the_policy(tmp_path, tiny, reward_model, ppo_run):
    copy = ModelSource(str(shutil.copytree(tiny.base, tmp_path / "copy")))
    run = small_run(tmp_path / "run", copy, reward_model, updates=1)
    assert run.metrics()[0]["score_mean"] == pytest.approx(ppo_run.metrics()[0]["score_mean"], abs=1e-4)


@pytest.mark.parametrize("config", [{"tuning": "dora"}, {"precision": "bfloat16"}, {"value_model": "own"}])
def test_the_first_ratio_is_1_however_the_policy_is_trained(tmp_path, tiny, reward_model, config):
    first, second = small_run(tmp_path / "run", tiny, reward_model, updates=2, **config).metrics()
    assert first["kl"] == 0.0
    assert first["ratio_mean_first"] == pytest.approx(1.0, abs=0.02 if "precision" in config else 1e-5)
    assert second["kl"] != 0.0


def test_checkpointing_activations_changes_nothing_that_is_learned(tmp_path, tiny, reward_model, ppo_run):
    run = small_run(tmp_path / "run", tiny, reward_model, gradient_checkpointing=True)
    for row, expected in zip(run.metrics(), ppo_run.metrics(), strict=True):
        for name in ("policy_loss", "value_loss", "grad_norm", "kl"):
            assert row[name] == pytest.approx(expected[name], rel=1e-4, abs=1e-6)


def test_a_look_at_held_out_prompts_leaves_the_run_as_it_was(tmp_path, tiny, reward_model, ppo_run):
    run = small_run(tmp_path / "run", tiny, reward_model, evaluate_every=2)
    second = run.metrics()[1]
    looked = {name: second.pop(name) for name in ("held_out_score", "held_out_kl", "held_out_reward")}
    assert all("held_out_reward" not in row for row in (run.metrics()[0], run.metrics()[2]))
    assert [row["policy_loss"] for row in run.metrics()] == [row["policy_loss"] for row in ppo_run.metrics()]
    assert run.outcome().model_sha256 == ppo_run.outcome().model_sha256
    assert run.outcome().evaluation["held_out_reward_best"] == looked["held_out_reward"]
    assert run.outcome().evaluation["n_held_out"] == 1


def test_without_patience_left_the_run_stops_and_leaves_its_best_policy(tmp_path, tiny, reward_model):
    # Nothing can be better than the first look: the learning rate of what follows is too small to change a token.
    config = {"updates": 6, "evaluate_every": 1, "patience": 2, "learning_rate": 1e-9}
    run = small_run(tmp_path / "run", tiny, reward_model, **config)
    outcome = run.outcome()
    assert outcome.status == "succeeded"
    assert outcome.evaluation["stopped_without_better_for"] == 2
    looks = [row["held_out_reward"] for row in run.metrics()]
    assert len(looks) == outcome.step + 2
    assert looks[outcome.step - 1] == max(looks)


def test_looks_without_a_held_out_prompt_are_refused(tmp_path, tiny, reward_model):
    run = make_run_directory(tmp_path / "run", "ppo", {"evaluate_every": 1}, policy=tiny, reward=reward_model)
    write_prompts(run, prompt_rows(2))
    assert in_this_process(run) == 1
    assert "no prompt of this run is in the evaluation split" in run.error()


def test_patience_counts_looks_since_the_best():
    standing = Standing(0, 0.1)
    for update, reward in enumerate((1.0, 3.0, 3.0, 2.0), start=1):
        standing = after_look(standing, Kept(update, {}, reward))
    assert standing.best.update == 2
    assert standing.looks_since_best == 2


@pytest.mark.parametrize(
    ("best", "patience", "ended", "left"),
    [
        (None, 0, {}, None),
        (2, 0, {}, None),
        (2, 1, {}, 2),
        (2, 1, {"stopped_at_kl": 9.0}, 2),
        (4, 1, {"stopped_at_kl": 9.0}, 3),
        (None, 0, {"stopped_at_kl": 9.0}, 3),
    ],
)
def test_which_policy_is_left(best, patience, ended, left):
    config = PPOConfig(patience=patience, evaluate_every=1)
    standing = Standing(4, 0.1, within=Kept(3, {}), best=Kept(best, {}) if best else None)
    found = policy_to_leave(standing, ended, config)
    assert (found and found.update) == left


def test_a_loss_that_is_no_number_ends_the_run_before_the_weights_are_spoiled(models, experience):
    spoiled = dataclasses.replace(experience, advantages=experience.advantages * float("nan"))
    before = {name: parameter.clone() for name, parameter in models.trained().items()}
    optimizer = torch.optim.AdamW(models.trained().values(), lr=1.0)
    with pytest.raises(LossNotFinite, match="policy_loss became nan in update 7"):
        learn(models, optimizer, spoiled, CONFIG, 7)
    assert all(torch.equal(parameter, before[name]) for name, parameter in models.trained().items())


CALLS = itertools.count(1)


def huge_from_the_third_call_on(prompts, responses):
    reward = 3e38 if next(CALLS) > 2 else 0.0
    return [reward for _ in responses]


def test_a_run_whose_loss_becomes_no_number_leaves_its_last_checkpoint(tmp_path, tiny, monkeypatch):
    monkeypatch.setenv("CONCORD_REWARD_FUNCTIONS", "huge=tests.ml.test_ppo:huge_from_the_third_call_on")
    config = {"updates": 4, "max_new_tokens": 7, "lora_rank": 4, "reward_function": "huge"}
    run = make_run_directory(tmp_path / "run", "ppo", config, policy=tiny)
    write_prompts(run, prompt_rows(4))
    assert in_this_process(run) == 1
    outcome = run.outcome()
    assert (outcome.status, outcome.step) == ("failed", 2)
    assert outcome.model_sha256 == directory_digest(run.model_path)
    assert "became nan in update 3" in run.error()
    assert "up to update 2 is kept as its checkpoint" in run.error()


def test_a_tuned_prompt_is_refused_as_the_policy(tmp_path, tiny, reward_model):
    (tmp_path / "prompt").mkdir()
    (tmp_path / "prompt" / "adapter_config.json").write_text('{"peft_type": "PROMPT_TUNING"}')
    policy = ModelSource(tiny.base, (str(tmp_path / "prompt"),))
    run = make_run_directory(tmp_path / "run", "ppo", {}, policy=policy, reward=reward_model)
    write_prompts(run, prompt_rows(2))
    assert in_this_process(run) == 1
    assert "nothing can be trained on top" in run.error()


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, tiny, reward_model, ppo_run):
    run = small_run(tmp_path / "run", tiny, reward_model)
    damaged = run.checkpoints_path / "checkpoint-3" / "state.pt"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    run.outcome_path.unlink()
    shutil.rmtree(run.model_path)
    assert in_this_process(run) == 0, run.error()
    assert without_times(run.metrics()) == without_times(ppo_run.metrics())
    assert run.outcome() == ppo_run.outcome()
