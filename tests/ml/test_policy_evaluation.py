"""A policy against its reference, judged by a reward model."""

from __future__ import annotations

import json
import math

import pytest
import torch

from tests.ml.conftest import in_this_process, make_run_directory, prompt_rows, write_prompts
from training.ml.chat import prompt_ids, response_ids
from training.ml.models import load_policy
from training.ml.policy_evaluation import Answer, described, mean_of, read, won
from training.ml.reward_models import load_scorer

pytestmark = pytest.mark.torch

CONFIG = {"max_new_tokens": 8, "temperature": 1.0, "batch_size": 3}


def evaluated(path, policy, reward, **fields):
    run = make_run_directory(path, "evaluate", CONFIG, policy=policy, reward=reward, **fields)
    write_prompts(run, prompt_rows(5, "evaluation"))
    assert in_this_process(run) == 0, run.error()
    return run


@pytest.fixture(scope="module")
def compared(tmp_path_factory, dpo_model, reward_model):
    return evaluated(tmp_path_factory.mktemp("evaluate") / "run", dpo_model, reward_model)


def test_the_figures_say_what_the_win_may_have_cost(compared):
    figures = compared.outcome().evaluation
    assert figures["n"] == 5
    assert figures["low"] < figures["win_rate"] < figures["high"]
    assert figures["gap"]["value"] == pytest.approx(figures["policy"]["score"] - figures["reference"]["score"])
    for one in ("policy", "reference"):
        assert set(figures[one]) == {"score", "tokens", "entropy", "repetition", "refusals", "unfinished"}
        assert 0 < figures[one]["entropy"] < math.log(400)  # of 400 words at most
        assert 1 <= figures[one]["tokens"] <= 8


def test_the_judge_s_scores_are_those_of_the_texts_that_people_can_read(compared, reward_model, tokenizer):
    rows = [json.loads(line) for line in compared.previews_path.read_text().splitlines()]
    assert [(row["place"], row["step"]) for row in rows] == [(place, step) for place in range(5) for step in (0, 1)]
    prompts = prompt_rows(5, "evaluation")
    ids = [
        [*prompt_ids(tokenizer, prompts[row["place"]]["messages"]), *response_ids(tokenizer, row["response"])]
        for row in rows
    ]
    expected = load_scorer(reward_model, tokenizer).scores(ids)[0].tolist()
    assert [row["score"] for row in rows] == pytest.approx(expected, abs=1e-4)
    wins = sum(ours["score"] > theirs["score"] for theirs, ours in zip(rows[::2], rows[1::2], strict=True))
    ties = sum(ours["score"] == theirs["score"] for theirs, ours in zip(rows[::2], rows[1::2], strict=True))
    assert compared.outcome().evaluation["win_rate"] == pytest.approx((wins + ties / 2) / 5)


def test_a_policy_against_itself_ties_every_time_and_has_not_moved(tmp_path, tiny, dpo_model, reward_model):
    """A copy of the base model is another directory with the same weights."""
    import shutil

    from training.rundir import ModelSource

    twin = ModelSource(str(shutil.copytree(tiny.base, tmp_path / "twin")))
    figures = evaluated(tmp_path / "run", twin, reward_model, reference=tiny).outcome().evaluation
    assert (figures["win_rate"], figures["kl_per_token"]) == (0.5, 0.0)
    assert figures["kl"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert figures["policy"] == figures["reference"]


def test_a_base_model_without_a_reference_is_refused(tmp_path, tiny, reward_model):
    run = make_run_directory(tmp_path / "run", "evaluate", CONFIG, policy=tiny, reward=reward_model)
    write_prompts(run, prompt_rows(2))
    assert in_this_process(run) == 1
    assert "nothing to evaluate it against" in run.error()


def test_a_prompt_that_is_too_long_is_refused(tmp_path, dpo_model, reward_model):
    config = {**CONFIG, "max_length": 8}
    run = make_run_directory(tmp_path / "run", "evaluate", config, policy=dpo_model, reward=reward_model)
    write_prompts(run, prompt_rows(2))
    assert in_this_process(run) == 1
    assert "longer than max_length = 8" in run.error()


def test_a_cancelled_evaluation_has_no_figures(tmp_path, dpo_model, reward_model):
    run = make_run_directory(tmp_path / "run", "evaluate", CONFIG, policy=dpo_model, reward=reward_model)
    write_prompts(run, prompt_rows(2))
    run.request_cancel()
    assert in_this_process(run) == 0, run.error()
    assert (run.outcome().status, run.outcome().evaluation) == ("cancelled", {})


@pytest.mark.parametrize("lines", [0, 2, 3, 5, 7, 10])
def test_an_evaluation_that_was_cut_off_goes_on_where_it_was(tmp_path, dpo_model, reward_model, compared, lines):
    run = make_run_directory(tmp_path / "run", "evaluate", CONFIG, policy=dpo_model, reward=reward_model)
    write_prompts(run, prompt_rows(5, "evaluation"))
    whole = compared.answers_path.read_text().splitlines(keepends=True)
    assert len(whole) == 10
    run.answers_path.write_text("".join(whole[:lines]) + '{"who": "policy", "ans')
    assert in_this_process(run) == 0, run.error()
    assert run.answers_path.read_text().splitlines(keepends=True) == whole
    assert run.outcome() == compared.outcome()
    assert run.previews_path.read_text() == compared.previews_path.read_text()


def test_what_was_written_before_a_cut_is_not_written_again(tmp_path, dpo_model, reward_model, compared):
    run = make_run_directory(tmp_path / "run", "evaluate", CONFIG, policy=dpo_model, reward=reward_model)
    write_prompts(run, prompt_rows(5, "evaluation"))
    whole = compared.answers_path.read_text().splitlines(keepends=True)
    marked = whole[0].replace('"entropy": ', '"entropy": 1')
    run.answers_path.write_text("".join([marked, *whole[1:]]))
    assert in_this_process(run) == 0, run.error()
    assert run.outcome().evaluation["policy"]["entropy"] > compared.outcome().evaluation["policy"]["entropy"]


def test_log_probability_and_entropy_are_the_model_s_own(tiny, tokenizer):
    model = load_policy(tiny, tokenizer).eval()
    prompt, response = prompt_ids(tokenizer, prompt_rows(1)[0]["messages"]), response_ids(tokenizer, "thank you")
    ((logprob, entropy),) = read(model, tokenizer, [prompt], [response], 4)
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    assert logprob == pytest.approx(float(logits[range(len(response)), response].sum()), abs=1e-4)
    assert entropy == pytest.approx(float(-(logits.exp() * logits).sum(-1).mean()), abs=1e-4)


def test_wins_ties_and_losses_are_counted():
    figures = won([1.0, 0.0, -0.5, 2.0])
    assert (figures["win_rate"], figures["n"], figures["gap"]["value"]) == (0.625, 4, 0.625)


def test_the_interval_of_a_mean_is_the_normal_one():
    """1, 2, 3: sd 1, so 1.96 / sqrt(3) on both sides."""
    assert mean_of([1.0, 2.0, 3.0]) == pytest.approx({"value": 2.0, "low": 2 - 1.13158, "high": 2 + 1.13158}, abs=1e-4)


def test_answers_are_described_by_what_a_reward_model_is_fooled_by():
    answers = [Answer([5, 2], "I cannot help with that.", 1.0, -1.0), Answer([5, 5, 5], "tea tea tea tea", 3.0, -2.0)]
    figures = described(answers, [0.5, 1.5], end_id=2)
    assert figures == {
        "score": 1.0, "tokens": 2.5, "entropy": 2.0, "repetition": 0.25, "refusals": 0.5, "unfinished": 0.5
    }  # fmt: skip
