"""Four models on one backbone must say what four models would say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.ml.conftest import easy_preferences, in_this_process, make_run_directory
from tests.tiny_model import save_tiny_model
from training.ml.models import load_policy
from training.ml.preferences import tokenize
from training.ml.reward_models import load_scorer
from training.ml.rl import logprobs_from_logits
from training.ml.sequences import lay_out, response_logits, response_states, sequence_scores
from training.ml.shared_models import OtherBaseModel, SharedModels
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
    return SharedModels(policy, reward, tokenizer, rank=4, alpha=8, seed=1).eval()


def scores(trunk, head, rows, tokenizer) -> list[float]:
    return sequence_scores(trunk, head, [[*r.prompt, *r.chosen] for r in rows], tokenizer.pad_token_id, 3)


@pytest.fixture(scope="module", params=["on the base", "on a trained policy"])
def pair(request, tiny, dpo_model, reward_model, second_reward) -> tuple[ModelSource, ModelSource]:
    return (tiny, reward_model) if request.param == "on the base" else (dpo_model, second_reward)


def test_the_shared_reward_model_scores_as_the_one_loaded_alone(pair, tokenizer, rows):
    policy, reward = pair
    models = shared(policy, reward, tokenizer)
    models.use("reward")
    trunk, head = load_scorer(reward, tokenizer).members[0].use()
    expected = scores(trunk, head, rows, tokenizer)
    assert scores(models.trunk, models.score_head, rows, tokenizer) == pytest.approx(expected, abs=1e-4)
    assert max(expected) - min(expected) > 0.01


def test_the_value_model_starts_as_the_reward_model(pair, tokenizer, rows):
    models = shared(*pair, tokenizer)
    models.use("reward")
    expected = scores(models.trunk, models.score_head, rows, tokenizer)
    models.use("value")
    assert scores(models.trunk, models.value_head, rows, tokenizer) == expected


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
        models.use("value")
        values = models.value_head(response_states(models.trunk, rollouts)).squeeze(-1)
        models.use("reward")
        told = sequence_scores(models.trunk, models.score_head, [r.prompt + r.chosen for r in rows], pad, 5)
        mask = rollouts.response_mask
        return logprobs[mask], values[mask], torch.tensor(told)

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


def test_a_reward_model_on_another_base_is_refused(tmp_path: Path, tiny, reward_model, tokenizer):
    other = ModelSource(str(save_tiny_model(tmp_path / "other", seed=5)))
    with pytest.raises(OtherBaseModel, match="stands on"):
        shared(other, reward_model, tokenizer)


def test_a_reward_model_of_another_chat_format_is_refused(tiny, reward_model, tiny_path):
    from training.ml.models import load_tokenizer

    tokenizer = load_tokenizer(tiny)
    tokenizer.chat_template += " "
    with pytest.raises(OtherBaseModel, match="chat template"):
        shared(tiny, reward_model, tokenizer)
