"""What a response is worth: reward model and function together, less what a cut or a long response pays."""

from __future__ import annotations

import pytest
import torch

from tests.ml.conftest import make_run_directory, prompt_rows, write_prompts
from tests.ml.test_shared_models import ensemble_of
from tests.tiny_model import save_tiny_model
from training.configs import GRPOConfig
from training.ml.chat import prompt_ids, response_ids
from training.ml.models import MissingModel
from training.ml.online_rewards import NoReward, load_rewards, train_prompts
from training.ml.reward_functions import BadRewardFunction
from training.ml.reward_models import RewardCard, load_scorer
from training.ml.sampling import NoPrompts
from training.rundir import ModelSource

pytestmark = pytest.mark.torch

FREE = {"missing_eos_penalty": 0.0}


@pytest.fixture
def spec_with(tmp_path, tiny):
    def make(config: dict, **fields):
        run = make_run_directory(tmp_path / "run", "grpo", config, policy=tiny, **fields)
        write_prompts(run, prompt_rows(3))
        return run, run.spec(), GRPOConfig(**config)

    return make


def test_the_reward_model_reads_a_cut_response_closed_with_the_end_token(spec_with, tokenizer, reward_model):
    run, spec, config = spec_with(FREE, reward=reward_model)
    prompts = train_prompts(run, tokenizer)[:2]
    whole = response_ids(tokenizer, "thank you tea")
    rewarded = load_rewards(spec, config, tokenizer)([prompts[0], prompts[0]], [whole, whole[:-1]])
    expected = load_scorer(reward_model, tokenizer).scores([[*prompts[0].ids, *whole]])[0, 0]
    torch.testing.assert_close(rewarded.scores, expected.expand(2))
    torch.testing.assert_close(rewarded.rewards, rewarded.scores)
    assert rewarded.finished.tolist() == [True, False]
    assert rewarded.texts == ["thank you tea"] * 2


def test_a_model_and_a_function_are_added(spec_with, tokenizer, reward_model):
    responses = [response_ids(tokenizer, "thank you"), response_ids(tokenizer, "no")]

    def scores(config: dict, **fields):
        run, spec, checked = spec_with({**FREE, **config}, **fields)
        return load_rewards(spec, checked, tokenizer)(train_prompts(run, tokenizer)[:2], responses).scores

    function = {"reward_function": "contains:thank"}
    assert scores(function).tolist() == [1.0, 0.0]
    both = scores(function, reward=reward_model)
    torch.testing.assert_close(both, scores({}, reward=reward_model) + torch.tensor([1.0, 0.0]))


def test_a_cut_response_and_a_long_one_pay(spec_with, tokenizer):
    run, spec, config = spec_with(
        {"reward_function": "json", "missing_eos_penalty": 0.25, "length_penalty": 2.0}, reward=None
    )
    finished = [*response_ids(tokenizer, "no")]
    cut = [finished[0]] * 50
    rewarded = load_rewards(spec, config, tokenizer)(train_prompts(run, tokenizer)[:2], [finished, cut])
    assert rewarded.scores.tolist() == [0.0, 0.0]
    assert rewarded.rewards.tolist() == pytest.approx([-2.0 * len(finished) / 100, -0.25 - 2.0 * 50 / 100])


def test_an_ensemble_is_made_one_score_as_the_run_says(spec_with, tmp_path, tokenizer, reward_model):
    """Two members of which one scores s and the other 3 s: their mean is 2 s, their variance s * s."""
    both = ensemble_of(reward_model, tmp_path / "both", RewardCard(members=2, ensemble="heads"), [1.0, 3.0])
    responses = [response_ids(tokenizer, "thank you"), response_ids(tokenizer, "no")]

    def scores(reward: ModelSource, **settings):
        run, spec, config = spec_with({**FREE, **settings}, reward=reward)
        return load_rewards(spec, config, tokenizer)(train_prompts(run, tokenizer)[:2], responses).scores

    alone = scores(reward_model)
    assert (alone[0] > 0) != (alone[1] > 0)  # so that now the one, now the other member is the worse
    torch.testing.assert_close(scores(both), 2 * alone)
    torch.testing.assert_close(scores(both, reward_aggregation="worst"), torch.minimum(alone, 3 * alone))
    careful = scores(both, reward_aggregation="variance", variance_penalty=0.5)
    torch.testing.assert_close(careful, 2 * alone - 0.5 * alone**2)


def test_a_reward_model_on_another_base_reads_with_its_own_tokenizer(tmp_path, spec_with, tokenizer, reward_model):
    """The policy speaks another chat format here than the reward model was trained on."""
    from transformers import AutoTokenizer

    other = save_tiny_model(tmp_path / "other", seed=3)
    speaking = AutoTokenizer.from_pretrained(other)
    speaking.chat_template = speaking.chat_template.replace("assistant\n'", "assistant: '")
    speaking.save_pretrained(other)

    run, spec, config = spec_with(FREE, reward=reward_model)
    prompts = train_prompts(run, speaking)[:1]
    assert prompts[0].ids != prompt_ids(tokenizer, prompts[0].messages)
    rewarded = load_rewards(spec, config, speaking)(prompts, [response_ids(speaking, "thank you")])
    read = [*prompt_ids(tokenizer, prompts[0].messages), *response_ids(tokenizer, "thank you")]
    torch.testing.assert_close(rewarded.scores, load_scorer(reward_model, tokenizer).scores([read])[0])


def test_a_run_without_model_and_function_is_refused(spec_with, tokenizer):
    _, spec, config = spec_with({})
    with pytest.raises(NoReward, match="name a reward model or a reward_function"):
        load_rewards(spec, config, tokenizer)


def test_a_function_that_cannot_be_had_and_a_missing_model_are_refused(spec_with, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setenv("CONCORD_REWARD_FUNCTIONS", "gone=no.such_module:gone")
    _, spec, config = spec_with({"reward_function": "gone"})
    with pytest.raises(BadRewardFunction, match="cannot be had: No module named 'no'"):
        load_rewards(spec, config, tokenizer)
    _, spec, config = spec_with({}, reward=ModelSource(str(tmp_path / "gone")))
    with pytest.raises(MissingModel, match="is not a model directory"):
        load_rewards(spec, config, tokenizer)


def test_only_prompts_of_the_train_split_are_taken(tmp_path, tiny, tokenizer):
    run = make_run_directory(tmp_path / "run", "grpo", {}, policy=tiny)
    write_prompts(run, [*prompt_rows(2), *prompt_rows(1, split="evaluation")])
    assert len(train_prompts(run, tokenizer)) == 2
    write_prompts(run, prompt_rows(2, split="evaluation"))
    with pytest.raises(NoPrompts):
        train_prompts(run, tokenizer)
