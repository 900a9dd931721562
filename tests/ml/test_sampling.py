"""Sample runs: every response has its own seed, whatever was written before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.ml.conftest import in_this_process, make_run_directory, prompt_rows, write_prompts
from training.configs import BadConfig, SampleConfig
from training.ml.chat import prompt_ids
from training.ml.drafts import Judge, best_drafts
from training.ml.models import load_policy
from training.ml.sampling import SeededSampling, draft_seed, generate_tokens, readable, response_seed
from training.rundir import RunDirectory, read_lines

pytestmark = pytest.mark.torch

CONFIG = {
    "temperatures": [0.0, 1.0],
    "responses_per_temperature": 2,
    "max_new_tokens": 6,
    "batch_size": 2,
    "precision": "float32",
}


def sample_run(path: Path, tiny, count: int = 5, **config: object) -> RunDirectory:
    run = make_run_directory(path, "sample", {**CONFIG, **config}, policy=tiny)
    write_prompts(run, prompt_rows(count))
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny) -> RunDirectory:
    run = sample_run(tmp_path_factory.mktemp("samples") / "whole", tiny)
    assert in_this_process(run) == 0, run.error()
    return run


def test_every_prompt_gets_every_response(whole):
    rows = list(read_lines(whole.samples_path))
    assert {(row["prompt_id"], row["index"]) for row in rows} == {
        (f"prompt-{number}", index) for number in range(5) for index in range(4)
    }
    assert len(rows) == whole.outcome().step == 20
    assert {(row["index"], row["temperature"]) for row in rows} == {(0, 0.0), (1, 0.0), (2, 1.0), (3, 1.0)}
    assert len({row["seed"] for row in rows}) == 20
    assert whole.progress() == {"phase": "sampling", "done": 20, "total": 20}


def test_temperature_zero_is_greedy_and_one_is_not(whole):
    texts = {(row["prompt_id"], row["index"]): row["text"] for row in read_lines(whole.samples_path)}
    for number in range(5):
        assert texts[f"prompt-{number}", 0] == texts[f"prompt-{number}", 1]
        assert texts[f"prompt-{number}", 2] != texts[f"prompt-{number}", 3]


@pytest.mark.parametrize("kept", [0, 3, 10, 19])
def test_a_resumed_run_writes_the_same_rows(tmp_path, tiny, whole, kept):
    run = sample_run(tmp_path / "cut", tiny)
    lines = whole.samples_path.read_bytes().splitlines(keepends=True)
    run.samples_path.write_bytes(b"".join(lines[:kept]) + lines[kept][:15])  # the last line torn by a crash
    assert in_this_process(run) == 0, run.error()
    assert run.samples_path.read_bytes() == whole.samples_path.read_bytes()


def test_a_response_does_not_depend_on_its_batch(tmp_path, tiny, whole):
    run = sample_run(tmp_path / "alone", tiny, batch_size=1)
    assert in_this_process(run) == 0, run.error()

    def by_place(one: RunDirectory) -> dict[tuple[str, int], str]:
        return {(row["prompt_id"], row["index"]): row["text"] for row in read_lines(one.samples_path)}

    assert by_place(run) == by_place(whole)


def test_seeded_draws_follow_the_distribution():
    scores = torch.tensor([[0.7, 0.2, 0.1]]).log().repeat(4000, 1)
    drawn = SeededSampling(range(4000))(torch.empty(4000, 0), scores).argmax(-1)
    shares = torch.bincount(drawn, minlength=3) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.7, 0.2, 0.1]), atol=0.03, rtol=0)


def test_tokens_that_top_p_cut_off_are_never_drawn():
    scores = torch.tensor([[0.0, -torch.inf, 0.0]]).repeat(200, 1)
    drawn = SeededSampling(range(200))(torch.empty(200, 0), scores).argmax(-1)
    assert set(drawn.tolist()) == {0, 2}


def test_a_run_without_prompts_is_refused(tmp_path, tiny):
    run = make_run_directory(tmp_path / "none", "sample", CONFIG, policy=tiny)
    assert in_this_process(run) == 1
    assert "prompts.jsonl holds no prompt" in run.error()
    assert run.outcome() is None


def test_a_prompt_longer_than_the_models_window_is_refused(tmp_path, tiny):
    run = make_run_directory(tmp_path / "long", "sample", CONFIG, policy=tiny)
    rows = prompt_rows(2)
    rows[1]["messages"][0]["content"] = "z" * 3000
    run.prompts_path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert in_this_process(run) == 1
    assert "1 of 2 rows are longer than the model's window = 2048 tokens: prompt prompt-1" in run.error()


def test_a_gone_model_is_named(tmp_path, tiny):
    run = sample_run(tmp_path / "gone", type(tiny)(str(tmp_path / "nowhere")))
    assert in_this_process(run) == 1
    assert "nowhere is not a model directory" in run.error()


# Several models, and the best of several drafts -------------------------------------------------------------------


def rows_of(run: RunDirectory) -> list[dict]:
    return list(read_lines(run.samples_path))


@pytest.fixture(scope="module")
def by_two(tmp_path_factory, tiny, dpo_model) -> RunDirectory:
    path = tmp_path_factory.mktemp("samples") / "two"
    run = make_run_directory(path, "sample", CONFIG, policy=tiny, others=(dpo_model,))
    write_prompts(run, prompt_rows(3))
    assert in_this_process(run) == 0, run.error()
    return run


def test_every_model_answers_every_prompt(by_two, whole):
    rows = rows_of(by_two)
    assert {(row["prompt_id"], row["index"], row["model"]) for row in rows} == {
        (f"prompt-{number}", index, index // 4) for number in range(3) for index in range(8)
    }
    first = [row for row in rows if row["model"] == 0]
    assert first == [row for row in rows_of(whole) if row["prompt_id"] in ("prompt-0", "prompt-1", "prompt-2")]
    greedy = {row["model"]: row["text"] for row in rows if row["prompt_id"] == "prompt-0" and row["index"] % 4 == 0}
    assert greedy[0] != greedy[1]
    assert by_two.progress() == {"phase": "sampling", "done": 24, "total": 24}


@pytest.mark.parametrize("kept", [5, 14])
def test_a_resumed_run_of_several_models_writes_the_same_rows(tmp_path, tiny, dpo_model, by_two, kept):
    run = make_run_directory(tmp_path / "cut", "sample", CONFIG, policy=tiny, others=(dpo_model,))
    write_prompts(run, prompt_rows(3))
    lines = by_two.samples_path.read_bytes().splitlines(keepends=True)
    run.samples_path.write_bytes(b"".join(lines[:kept]))
    assert in_this_process(run) == 0, run.error()
    assert run.samples_path.read_bytes() == by_two.samples_path.read_bytes()


DRAFTS = {**CONFIG, "temperatures": [1.0], "best_of": 3}


def test_the_best_of_three_drafts_is_the_one_that_the_reward_model_scores_highest(
    tmp_path, tiny, reward_model, tokenizer
):
    run = make_run_directory(tmp_path / "best", "sample", DRAFTS, policy=tiny, reward=reward_model)
    write_prompts(run, prompt_rows(2))
    assert in_this_process(run) == 0, run.error()
    judge, prompts = Judge(reward_model), prompt_rows(2)
    ids = [prompt_ids(tokenizer, row["messages"]) for row in prompts]
    model = load_policy(tiny, tokenizer).eval()
    for row in rows_of(run):
        place = int(row["prompt_id"][-1])
        seeds = [draft_seed(response_seed(17, row["prompt_id"], row["index"]), draft) for draft in range(3)]
        written = generate_tokens(
            model, tokenizer, [ids[place]] * 3, seeds, temperature=1.0, top_p=0.95, max_new_tokens=6, min_new_tokens=1
        )
        scores = judge.scores([prompts[place]["messages"]] * 3, [readable(tokenizer, tokens) for tokens in written])
        assert row["seed"] == seeds[scores.argmax()]
        assert row["score"] == pytest.approx(scores.max().item(), abs=1e-5)
        assert row["best_of"] == 3
    assert len({row["seed"] for row in rows_of(run)}) == 4


def test_the_first_of_equal_drafts_is_taken():
    assert best_drafts(torch.tensor([[1.0, 0.0], [1.0, 2.0], [0.0, 2.0]])) == [0, 1]


def test_drafts_without_a_reward_model_are_refused_and_a_reward_model_without_drafts(tmp_path, tiny, reward_model):
    run = sample_run(tmp_path / "none", tiny, temperatures=[1.0], best_of=2)
    assert in_this_process(run) == 1
    assert run.error() == "best_of: a reward model must choose among 2 drafts, and the run names none"
    run = make_run_directory(tmp_path / "idle", "sample", CONFIG, policy=tiny, reward=reward_model)
    write_prompts(run, prompt_rows(1))
    assert in_this_process(run) == 1
    assert "nothing for the reward model to choose" in run.error()
    with pytest.raises(BadConfig, match="best_of: at temperature 0 all drafts are the same"):
        SampleConfig(best_of=2, temperatures=(0.0, 1.0))
