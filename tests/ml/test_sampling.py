"""Sample runs: every response has its own seed, whatever was written before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.ml.conftest import in_this_process, make_run_directory, prompt_rows, write_prompts
from training.ml.sampling import SeededSampling
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
