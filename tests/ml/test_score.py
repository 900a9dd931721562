"""A reward model's scores of responses: what the model says, once each, also when cut off and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ml.conftest import easy_preferences, finished_run, in_this_process, make_run_directory
from training.rundir import ModelSource, RunDirectory

pytestmark = pytest.mark.torch


def rows(count: int = 5) -> list[dict[str, Any]]:
    """The two responses of some preferences."""
    return [
        {
            "response_id": f"{preference['judgment_id']}-{side}",
            "messages": preference["prompt"],
            "text": preference[side][-1]["content"],
        }
        for preference in easy_preferences(count)
        for side in ("chosen", "rejected")
    ]


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def score_run(path: Path, reward: ModelSource, lines: list[dict[str, Any]], **config: Any) -> RunDirectory:
    run = make_run_directory_with(path, lines, reward, config)
    assert in_this_process(run) == 0, run.error()
    return run


def make_run_directory_with(
    path: Path, lines: list[dict[str, Any]], reward: ModelSource, config: dict[str, Any]
) -> RunDirectory:
    write(path / "responses.jsonl", lines)
    return make_run_directory(path, "score", config, reward=reward)


def scores(run: RunDirectory) -> dict[str, float]:
    written = [json.loads(line) for line in run.scores_path.read_text().splitlines()]
    assert len({row["response_id"] for row in written}) == len(written), "no response is scored twice"
    return {row["response_id"]: row["value"] for row in written}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, reward_model) -> RunDirectory:
    return score_run(tmp_path_factory.mktemp("score") / "run", reward_model, rows())


def test_every_response_has_the_score_that_an_evaluation_reads(whole, tmp_path, reward_model, reward_run, snapshot):
    values = scores(whole)
    assert set(values) == {row["response_id"] for row in rows()}
    from tests.ml.conftest import write_snapshot

    held = write_snapshot(tmp_path / "held", easy_preferences(3), easy_preferences(5))
    measured = finished_run(
        tmp_path / "evaluate", "evaluate", {}, reward=reward_model, snapshot=held[0], snapshot_sha256=held[1]
    )
    right = [values[f"judgment-{n}-chosen"] > values[f"judgment-{n}-rejected"] for n in range(5)]
    assert measured.outcome().evaluation["accuracy"] == pytest.approx(sum(right) / 5)


def test_the_outcome_tells_how_many_and_their_mean(whole):
    outcome, values = whole.outcome(), scores(whole)
    assert (outcome.status, outcome.step, outcome.model_sha256) == ("succeeded", 10, "")
    assert outcome.evaluation["n"] == 10
    assert outcome.evaluation["too_long"] == 0
    assert outcome.evaluation["mean"] == pytest.approx(sum(values.values()) / 10)
    assert whole.progress() == {"phase": "scoring", "done": 10, "total": 10}


def test_padding_and_batches_change_no_score(whole, tmp_path, reward_model):
    alone = scores(score_run(tmp_path / "alone", reward_model, rows(), batch_size=1))
    together = scores(score_run(tmp_path / "together", reward_model, rows(), batch_size=64))
    for name, value in scores(whole).items():
        assert alone[name] == pytest.approx(value, abs=1e-5)
        assert together[name] == pytest.approx(value, abs=1e-5)


def test_a_run_that_was_cut_off_scores_the_rest_and_nothing_twice(whole, tmp_path, reward_model):
    run = make_run_directory_with(tmp_path / "run", rows(), reward_model, {})
    before = list(scores(whole).items())[:4]
    write(run.scores_path, [{"response_id": name, "value": value} for name, value in before])
    with open(run.scores_path, "a") as file:
        file.write('{"response_id": "judgment-4-cho')  # torn by a crash
    assert in_this_process(run) == 0, run.error()
    again = scores(run)
    assert list(again.items())[:4] == before
    assert again == pytest.approx(scores(whole), abs=1e-5)


def test_a_cancelled_run_keeps_what_it_has(tmp_path, reward_model):
    run = make_run_directory_with(tmp_path / "run", rows(), reward_model, {})
    run.request_cancel()
    assert in_this_process(run) == 0
    assert run.outcome().status == "cancelled"


def test_a_response_that_is_too_long_gets_no_score_and_is_counted(tmp_path, reward_model):
    long = {"response_id": "long", "messages": rows()[0]["messages"], "text": "tea " * 200}
    run = score_run(tmp_path / "run", reward_model, [*rows(1), long], max_length=64)
    assert "long" not in scores(run)
    assert (run.outcome().evaluation["n"], run.outcome().evaluation["too_long"]) == (2, 1)


def test_an_empty_response_has_a_score(tmp_path, reward_model):
    empty = {"response_id": "empty", "messages": rows()[0]["messages"], "text": ""}
    assert set(scores(score_run(tmp_path / "run", reward_model, [empty]))) == {"empty"}


def test_no_response_and_no_reward_model_are_said(tmp_path, reward_model, tiny):
    run = make_run_directory_with(tmp_path / "none", [], reward_model, {})
    assert in_this_process(run) == 1
    assert "no response to score" in run.error()
    base = make_run_directory_with(tmp_path / "base", rows(), tiny, {})
    assert in_this_process(base) == 1
    assert base.error()
