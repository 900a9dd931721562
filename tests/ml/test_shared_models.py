"""Four models on one backbone must say what four models would say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.ml.conftest import easy_preferences, in_this_process, make_run_directory
from training.configs import PPOConfig
from training.ml.models import MissingModel, load_policy, load_tokenizer
from training.ml.preferences import tokenize
from training.ml.reward_models import RewardCard, load_scorer, member_path, write_card
from training.ml.rl import logprobs_from_logits
from training.ml.sequences import lay_out, response_logits, response_states
from training.ml.shared_models import OtherFormat, SharedModels, can_share, check_one_format
from training.rundir import ModelSource

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def rows(tokenizer):
    return tokenize(easy_preferences(5, seed=9), tokenizer, "train")


@pytest.fixture(scope="module")
def second_reward(tmp_path_factory, tiny, snapshot, dpo_model) -> ModelSource:
    """A reward model that stands on a trained policy, not on the bare base."""
    run = make_run_directory(
        tmp_path_factory.mktemp("runs") / "second-reward",
        "reward",
        {"steps": 5, "learning_rate": 5e-3},
        policy=dpo_model,
        snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
    )
    assert in_this_process(run) == 0, run.error()
    return ModelSource(tiny.base, (*dpo_model.adapters, str(run.model_path)))


def shared(policy: ModelSource, reward: ModelSource, tokenizer) -> SharedModels:
    return SharedModels(
        policy, reward, tokenizer, PPOConfig(lora_rank=4, lora_alpha=8, seed=1, value_model="own")
    ).eval()


@pytest.fixture(scope="module", params=["on the base", "on a trained policy"])
def pair(request, tiny, dpo_model, reward_model, second_reward) -> tuple[ModelSource, ModelSource]:
    return (tiny, reward_model) if request.param == "on the base" else (dpo_model, second_reward)


def test_the_shared_reward_model_scores_as_the_one_loaded_alone(pair, tokenizer, rows):
    policy, reward = pair
    models = shared(policy, reward, tokenizer)
    sequences = [[*row.prompt, *row.chosen] for row in rows]
    (expected,) = load_scorer(reward, tokenizer).scores(sequences)
    (told,) = models.scores(sequences, tokenizer.pad_token_id, 3)
    torch.testing.assert_close(told, expected, atol=1e-4, rtol=0)
    assert expected.max() - expected.min() > 0.01


def test_the_value_model_starts_as_the_reward_model(pair, tokenizer, rows):
    models = shared(*pair, tokenizer)
    sequences = [[*row.prompt, *row.chosen, 0] for row in rows]
    (expected,) = models.scores([sequence[:-1] for sequence in sequences], tokenizer.pad_token_id, 1)
    with torch.no_grad():  # the value before a last token is read where the reward is, on the token before it
        for sequence, score in zip(sequences, expected, strict=True):
            rollouts = lay_out([sequence[:-1]], [sequence[-1:]], tokenizer.pad_token_id, torch.device("cpu"))
            torch.testing.assert_close(models.own_values(rollouts)[0, 0], score, atol=1e-4, rtol=0)
            _, states = models.scores_and_states([sequence], tokenizer.pad_token_id, 1, [len(sequence) - 1], 1)
            torch.testing.assert_close(models.values_of(states)[0, 0], score, atol=1e-4, rtol=0)


def test_policy_and_reference_start_as_the_policy_loaded_alone(pair, tokenizer, rows):
    policy, reward = pair
    models = shared(policy, reward, tokenizer)
    rollouts = lay_out([r.prompt for r in rows], [r.chosen for r in rows], 0, torch.device("cpu"))
    with torch.no_grad():
        expected = response_logits(load_policy(policy, tokenizer).eval(), rollouts)
        models.use("policy")
        first = response_logits(models.causal, rollouts)
        models.use("reference")
        assert torch.equal(response_logits(models.causal, rollouts), first)
    torch.testing.assert_close(first[rollouts.response_mask], expected[rollouts.response_mask], atol=1e-4, rtol=0)


def test_only_policy_and_value_are_trained(tiny, reward_model, tokenizer):
    models = shared(tiny, reward_model, tokenizer)
    models.use("reference")
    trainable = {name for name, p in models.named_parameters() if p.requires_grad}
    assert trainable == {f"peft.{n}" if n != "value_head.weight" else n for n in models.trained()}
    assert all(".default." in name or ".value." in name or name == "value_head.weight" for name in trainable)


@pytest.mark.parametrize("pad_id", [0, 7])
def test_the_pad_token_changes_nothing(tiny, reward_model, tokenizer, rows, pad_id):
    models = shared(tiny, reward_model, tokenizer)

    def everything(pad: int):
        rollouts = lay_out([r.prompt for r in rows], [r.chosen for r in rows], pad, torch.device("cpu"))
        models.use("policy")
        logprobs = logprobs_from_logits(response_logits(models.causal, rollouts), rollouts.response_ids)
        values = models.own_values(rollouts)
        told = models.scores([r.prompt + r.chosen for r in rows], pad, 5)
        mask = rollouts.response_mask
        return logprobs[mask], values[mask], told

    with torch.no_grad():
        for before, after in zip(everything(2), everything(pad_id), strict=True):
            assert torch.equal(before, after)


def test_a_batch_says_what_each_row_says_alone(tiny, tokenizer, rows):
    model = load_policy(tiny, tokenizer).eval()
    with torch.no_grad():
        together = lay_out([r.prompt for r in rows], [r.chosen for r in rows], 0, torch.device("cpu"))
        batch = logprobs_from_logits(response_logits(model, together), together.response_ids)
        for number, row in enumerate(rows):
            alone = lay_out([row.prompt], [row.chosen], 0, torch.device("cpu"))
            expected = logprobs_from_logits(response_logits(model, alone), alone.response_ids)[0]
            torch.testing.assert_close(batch[number][together.response_mask[number]], expected, atol=1e-4, rtol=0)


def ensemble_of(reward: ModelSource, where: Path, card: RewardCard, changes: list[float]) -> ModelSource:
    """Return `reward` as an ensemble whose members' heads are its own head times each of `changes`."""
    first = Path(shutil.copytree(reward.adapters[-1], where))
    rows = len(changes) // card.full_members
    for member in range(card.full_members):
        directory = member_path(first, member)
        if member:
            shutil.copytree(reward.adapters[-1], directory)
        weights = load_file(directory / "adapter_model.safetensors")
        (name,) = [key for key in weights if key.endswith("score.weight")]
        mine = changes[member * rows : (member + 1) * rows]
        weights[name] = torch.cat([weights[name] * change for change in mine])
        save_file(weights, directory / "adapter_model.safetensors")
    write_card(first, card)
    return ModelSource(reward.base, (*reward.adapters[:-1], str(first)))


@pytest.mark.parametrize("ensemble", ["full", "heads"])
def test_every_member_says_what_it_says_alone(tmp_path, tiny, reward_model, tokenizer, rows, ensemble):
    card = RewardCard(members=2, ensemble=ensemble, heads=("reward", "kind"), centre=(0.5, -1.0))
    both = ensemble_of(reward_model, tmp_path / "both", card, [1.0, 7.0, -2.0, 7.0])
    sequences = [[*row.prompt, *row.chosen] for row in rows]
    told = shared(tiny, both, tokenizer).scores(sequences, tokenizer.pad_token_id, 3)
    (alone,) = load_scorer(reward_model, tokenizer).scores(sequences)
    torch.testing.assert_close(told, torch.stack([alone - 0.5, -2.0 * alone + 1.0]), atol=1e-4, rtol=0)
    if ensemble == "full":
        torch.testing.assert_close(told, load_scorer(both, tokenizer).scores(sequences), atol=1e-4, rtol=0)


def test_a_card_that_does_not_fit_the_heads_is_refused(tmp_path, tiny, reward_model, tokenizer):
    wrong = ensemble_of(reward_model, tmp_path / "wrong", RewardCard(), [1.0])
    write_card(Path(wrong.adapters[-1]), RewardCard(members=3, ensemble="heads"))
    with pytest.raises(MissingModel, match="has 1 score heads, and its card says 3"):
        shared(tiny, wrong, tokenizer)


def test_what_can_share_a_backbone(tmp_path: Path, tiny, reward_model, dpo_model):
    assert can_share(tiny, reward_model, "lora")
    assert can_share(dpo_model, reward_model, "lora")
    assert can_share(tiny, reward_model, "dora")
    assert not can_share(dpo_model, reward_model, "dora"), "DoRA scales what is below it, other adapters included"
    assert not can_share(tiny, ModelSource("elsewhere", reward_model.adapters), "lora")
    assert not can_share(tiny, ModelSource(tiny.base), "lora"), "a whole reward model has no adapter to switch on"


def test_without_a_reward_model_values_start_at_zero_and_the_policy_as_itself(dpo_model, tokenizer, rows):
    config = PPOConfig(tuning="dora", lora_rank=4, value_model="own")
    models = SharedModels(dpo_model, None, tokenizer, config).eval()
    rollouts = lay_out([r.prompt for r in rows], [r.chosen for r in rows], 0, torch.device("cpu"))
    mask = rollouts.response_mask
    with torch.no_grad():
        assert not models.own_values(rollouts)[mask].any()
        expected = response_logits(load_policy(dpo_model, tokenizer).eval(), rollouts)[mask]
        for part in ("policy", "reference"):
            models.use(part)
            torch.testing.assert_close(response_logits(models.causal, rollouts)[mask], expected, atol=1e-4, rtol=0)


def test_a_head_alone_reads_what_the_reward_model_reads_for_its_score(pair, tokenizer, rows):
    policy, reward = pair
    models = SharedModels(policy, reward, tokenizer, PPOConfig(lora_rank=4, lora_alpha=8, seed=1)).eval()
    assert not any(".value." in name for name in models.trained())
    assert models.policy_pass(lay_out([[5]], [[6]], 0, torch.device("cpu")))[1] is None
    both = shared(policy, reward, tokenizer)
    rollouts = lay_out([r.prompt for r in rows], [r.chosen for r in rows], 0, torch.device("cpu"))
    sequences, starts = [[*r.prompt, *r.chosen] for r in rows], [len(r.prompt) for r in rows]
    mask = rollouts.response_mask
    with torch.no_grad():
        scores, states = models.scores_and_states(sequences, tokenizer.pad_token_id, 2, starts, mask.shape[1])
        torch.testing.assert_close(models.values_of(states)[mask], both.own_values(rollouts)[mask], atol=1e-4, rtol=0)
    torch.testing.assert_close(scores, models.scores(sequences, tokenizer.pad_token_id, 5), atol=1e-5, rtol=0)


def test_without_a_reward_model_the_head_reads_the_policys_own_states_in_the_same_pass(dpo_model, tokenizer, rows):
    models = SharedModels(dpo_model, None, tokenizer, PPOConfig(lora_rank=4, lora_alpha=8, seed=1)).eval()
    rollouts = lay_out([r.prompt for r in rows], [r.chosen for r in rows], 0, torch.device("cpu"))
    mask = rollouts.response_mask
    with torch.no_grad():
        logits, states = models.policy_pass(rollouts)
        assert not models.values_of(states).any()
        torch.testing.assert_close(logits[mask], response_logits(models.causal, rollouts)[mask])
        torch.testing.assert_close(states[mask], response_states(models.trunk, rollouts)[mask])


def test_a_reward_model_of_another_chat_format_is_refused(tiny, reward_model):
    tokenizer = load_tokenizer(tiny)
    tokenizer.chat_template += " "
    with pytest.raises(OtherFormat, match="chat template"):
        check_one_format(reward_model, tokenizer)
