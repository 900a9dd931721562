"""Reward models of everything that annotators give: rankings, ties, ratings; and ensembles of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.ml.conftest import (
    easy_preferences,
    finished_run,
    in_this_process,
    make_run_directory,
    without_times,
    write_snapshot,
    write_tables,
)
from training.configs import BadConfig, RewardConfig
from training.ml.models import load_policy
from training.ml.preferences import tokenize
from training.ml.reward import Members
from training.ml.reward_models import MissingModel, load_scorer, read_card, with_score_head
from training.ml.reward_rows import read_train_rows
from training.rundir import ModelSource, RunDirectory, RunSpec

pytestmark = pytest.mark.torch

FAST = {"steps": 6, "learning_rate": 5e-3}


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def ranking(number: int, responses: list[str], ranks: list[int | None]) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": f"what is tea {number}"}],
        "responses": [said(text) for text in responses],
        "ranks": ranks,
        "not_rankable": [rank is None for rank in ranks],
        "judgment_id": f"ranking-{number}",
        "task_id": f"ranking-task-{number}",
        "weight": 1.0,
    }


def rating(number: int, text: str, **values: int) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": f"what is water {number}"}],
        "response": said(text),
        "ratings": [{"attribute": key, "value": value, "low": 1, "high": 5} for key, value in values.items()],
        "judgment_id": f"rating-{number}",
        "task_id": f"rating-task-{number}",
        "weight": 1.0,
    }


RANKINGS = [
    *(ranking(n, ["no bad", "thank you please", "water", "tea"], [3, 1, 2, None]) for n in range(6)),
    *(ranking(n, ["thank you", "thank you please"], [1, 1]) for n in range(6, 10)),
]
RATINGS = [
    *(rating(n, "thank you please", polite=5, clear=3) for n in range(8)),
    *(rating(n, "no bad", polite=1) for n in range(8, 16)),
]


@pytest.fixture(scope="module")
def rich(tmp_path_factory) -> tuple[str, str]:
    """A snapshot of comparisons, rankings with a response that nobody could rank, ties, and ratings."""
    compared, of_rankings = easy_preferences(12), easy_preferences(6, seed=4)
    for row in of_rankings:
        row["origin"] = "ranking"
    return write_tables(
        tmp_path_factory.mktemp("snapshots") / "rich",
        {
            "preference": {"train": [*compared, *of_rankings], "evaluation": easy_preferences(12, seed=1)},
            "ranking": {"train": RANKINGS},
            "rating": {"train": RATINGS},
        },
    )


def reward_run(path: Path, tiny: ModelSource, snapshot: tuple[str, str], **config: Any) -> RunDirectory:
    fields = {"policy": tiny, "snapshot": snapshot[0], "snapshot_sha256": snapshot[1]}
    return finished_run(path, "reward", {**FAST, **config}, **fields)


def model_of(run: RunDirectory, tiny: ModelSource) -> ModelSource:
    return ModelSource(tiny.base, (str(run.model_path),))


def sequences(tokenizer: Any, count: int = 5) -> list[list[int]]:
    rows = tokenize(easy_preferences(count, seed=3), tokenizer, "evaluation")
    return [[*row.prompt, *response] for row in rows for response in (row.chosen, row.rejected)]


# What is learned from ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"pairs": 12, "ties": 4, "rankings": 6, "ratings": 0}),
        ({"use_rankings": False}, {"pairs": 18, "ties": 4, "rankings": 0, "ratings": 0}),
        ({"use_ties": False}, {"pairs": 12, "ties": 0, "rankings": 6, "ratings": 0}),
        ({"attribute_heads": True}, {"pairs": 12, "ties": 4, "rankings": 6, "ratings": 16}),
    ],
)
def test_each_answer_is_learned_from_once_and_as_what_it_is(rich, tokenizer, config, expected):
    spec = RunSpec("run", "reward", {}, snapshot=rich[0], snapshot_sha256=rich[1])
    rows = read_train_rows(spec, tokenizer, RewardConfig(**config))
    kinds = [
        "ratings" if r.ratings else "ties" if r.is_tie else "pairs" if len(r.ranks) == 2 else "rankings" for r in rows
    ]
    assert {name: kinds.count(name) for name in expected} == expected


def test_a_ranking_is_read_from_its_best_to_its_worst_without_what_nobody_could_rank(rich, tokenizer):
    spec = RunSpec("run", "reward", {}, snapshot=rich[0], snapshot_sha256=rich[1])
    row = next(one for one in read_train_rows(spec, tokenizer, RewardConfig()) if len(one.ranks) == 3)
    texts = [tokenizer.decode(one, skip_special_tokens=True) for one in row.responses]
    assert texts == ["thank you please", "water", "no bad"]
    assert row.ranks == [1, 2, 3]
    assert row.name == "train ranking row 1 (judgment ranking-0)"


def test_all_kinds_are_trained_together_and_the_card_says_on_what(tmp_path, tiny, rich, tokenizer):
    run = reward_run(tmp_path / "run", tiny, rich, attribute_heads=True, steps=30, batch_size=8)
    card = read_card(model_of(run, tiny))
    assert card.heads == ("reward", "clear", "polite")
    told = {"preferences": 12, "ties": 4, "rankings": 6, "ratings": 16, "use_margin": True}
    assert told.items() <= card.trained.items()
    assert card.trained["tie_prevalence"] == pytest.approx(2 * 4 / 12)
    scores = load_scorer(model_of(run, tiny), tokenizer).all_scores(sequences(tokenizer))
    polite, reward = scores[0, card.heads.index("polite")], scores[0, 0]
    assert bool((torch.sigmoid(polite[::2]) > 0.5).all() and (torch.sigmoid(polite[1::2]) < 0.5).all())
    assert bool((reward[::2] > reward[1::2]).all())


def test_the_first_loss_of_rankings_of_equal_scores_is_known(tmp_path, tiny):
    """All responses of one text have one score: K! orders are as likely, so the loss is ln 3! / 2 for each."""
    same = [ranking(n, ["tea", "tea", "tea"], [2, 3, 1]) for n in range(4)]
    pair = easy_preferences(1)
    pair[0]["origin"] = "ranking"
    snapshot = write_tables(tmp_path / "same", {"preference": {"train": pair}, "ranking": {"train": same}})
    run = reward_run(tmp_path / "run", tiny, snapshot, steps=1, center_rewards_coefficient=0.0)
    assert run.metrics()[0]["loss"] == pytest.approx(math.log(6) / 2, abs=1e-5)


# Ensembles --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory, tiny, snapshot) -> RunDirectory:
    return reward_run(tmp_path_factory.mktemp("runs") / "ensemble", tiny, snapshot, members=3)


def test_full_members_are_what_runs_of_their_seeds_alone_leave(ensemble, tmp_path, tiny, snapshot, tokenizer):
    alone = reward_run(tmp_path / "alone", tiny, snapshot, seed=18)
    expected = load_scorer(model_of(alone, tiny), tokenizer).scores(sequences(tokenizer))
    found = load_scorer(model_of(ensemble, tiny), tokenizer)
    centre = torch.tensor(found.card.centre)[1]
    torch.testing.assert_close(found.scores(sequences(tokenizer))[1] + centre, expected[0], rtol=0, atol=1e-6)


def test_members_are_centred_so_that_the_worst_of_them_means_something(ensemble, tiny, tokenizer, snapshot):
    scorer = load_scorer(model_of(ensemble, tiny), tokenizer)
    assert (scorer.card.members, len(scorer.card.centre)) == (3, 3)
    rows = tokenize(easy_preferences(24), tokenizer, "train")
    trained_on = [[*row.prompt, *response] for row in rows for response in (row.chosen, row.rejected)]
    assert scorer.scores(trained_on).mean(1).abs().max() < 1e-5


def test_the_steps_of_members_follow_each_other(ensemble):
    assert [row["step"] for row in ensemble.metrics()] == list(range(1, 19))
    assert ensemble.outcome().step == 18
    assert ensemble.progress() == {"phase": "done", "done": 18, "total": 18}
    assert len(ensemble.outcome().evaluation["by_member"]) == 3


def test_heads_are_members_on_one_adapter(tmp_path, tiny, snapshot, tokenizer):
    run = reward_run(tmp_path / "run", tiny, snapshot, members=4, ensemble="heads")
    assert [row["step"] for row in run.metrics()] == list(range(1, 7))
    assert not list(run.model_path.glob("member-*"))
    scores = load_scorer(model_of(run, tiny), tokenizer).scores(sequences(tokenizer))
    assert scores.shape == (4, 10)
    assert bool((scores.std(0) > 1e-6).all())


def test_an_ensemble_says_how_far_its_members_are_apart(ensemble, tmp_path, tiny, tokenizer):
    lines = [{"response_id": "one", "messages": [{"role": "user", "content": "what is tea"}], "text": "thank you"}]
    run = make_run_directory(tmp_path / "score", "score", {}, reward=model_of(ensemble, tiny))
    run.responses_path.write_text(json.dumps(lines[0]) + "\n")
    assert in_this_process(run) == 0, run.error()
    (row,) = (json.loads(line) for line in run.scores_path.read_text().splitlines())
    from training.ml.chat import prompt_ids, response_ids

    ids = [*prompt_ids(tokenizer, lines[0]["messages"]), *response_ids(tokenizer, "thank you")]
    members = load_scorer(model_of(ensemble, tiny), tokenizer).scores([ids])[:, 0]
    assert row["value"] == pytest.approx(float(members.mean()))
    assert row["spread"] == pytest.approx(float(members.std(correction=0)))


def test_a_run_that_was_killed_between_members_trains_no_member_twice(ensemble, tmp_path, tiny, snapshot):
    """As after a kill -9: two members are finished, the third has only just begun."""
    again = make_run_directory(
        tmp_path / "again",
        "reward",
        ensemble.spec().config,
        policy=tiny,
        snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
    )
    kept = [row for row in ensemble.metrics() if row["step"] <= 12]
    for row in kept:
        again.append_metrics(row)
    members = Members(ensemble, RewardConfig(**ensemble.spec().config))
    new = Members(again, members.config)
    for number in (0, 1):
        place = new.place(number, is_finished=True)
        place.parent.mkdir(parents=True)
        members.place(number, is_finished=True).rename(place)
    try:
        assert in_this_process(again) == 0, again.error()
    finally:
        for number in (0, 1):
            new.place(number, is_finished=True).rename(members.place(number, is_finished=True))
    assert again.outcome() == ensemble.outcome()
    assert again.metrics()[:12] == kept
    assert without_times(again.metrics()) == without_times(ensemble.metrics())


def test_a_cancelled_ensemble_keeps_the_members_that_are_finished(tmp_path, tiny, snapshot, monkeypatch):
    config = {**FAST, "members": 3}
    fields = {"policy": tiny, "snapshot": snapshot[0], "snapshot_sha256": snapshot[1]}
    run = make_run_directory(tmp_path / "run", "reward", config, **fields)
    append = RunDirectory.append_metrics

    def cancel_in_the_second(self: RunDirectory, row: Any) -> None:
        append(self, row)
        if row["step"] == 8:
            self.request_cancel()

    monkeypatch.setattr(RunDirectory, "append_metrics", cancel_in_the_second)
    assert in_this_process(run) == 0, run.error()
    assert run.outcome().status == "cancelled"
    card = read_card(model_of(run, tiny))
    assert card.members == 1
    assert card.centre == ()
    assert not list(run.model_path.glob("member-*"))


# Saving -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tuning", ["lora", "dora", "full"])
def test_a_reloaded_model_s_scores_are_those_of_the_trained_one_to_the_last_bit(
    tmp_path, tiny, snapshot, tokenizer, tuning
):
    """The silent loss of the head is the classic bug: reloading draws a new one and nobody is told."""
    from training.ml import reward

    kept: dict[str, torch.Tensor] = {}
    keep = Members.keep

    class Watched(Members):
        def keep(self, member: int, model: Any, *args: Any, **options: Any) -> None:
            inner = model.get_base_model() if hasattr(model, "get_base_model") else model
            inner.eval()
            with torch.no_grad():
                kept["scores"] = torch.cat(
                    [inner(torch.tensor([one]), use_cache=False).logits[0] for one in sequences(tokenizer)]
                )
            keep(self, member, model, *args, **options)

    reward.Members, before = Watched, reward.Members
    try:
        run = reward_run(tmp_path / tuning, tiny, snapshot, tuning=tuning, learning_rate=1e-3)
    finally:
        reward.Members = before
    source = ModelSource(str(run.model_path)) if tuning == "full" else model_of(run, tiny)
    scorer = load_scorer(source, tokenizer)
    assert torch.equal(scorer.scores(sequences(tokenizer), batch_size=1)[0], kept["scores"])
    assert json.loads((run.model_path / "checkpoint.json").read_text())["is_whole"] is (tuning == "full")


def test_whole_members_of_an_ensemble_are_loaded_side_by_side(tmp_path, tiny, snapshot, tokenizer):
    run = reward_run(tmp_path / "run", tiny, snapshot, tuning="full", members=2, steps=2)
    scores = load_scorer(ModelSource(str(run.model_path)), tokenizer).scores(sequences(tokenizer))
    assert scores.shape == (2, 10)
    assert not torch.equal(scores[0], scores[1])


def test_a_member_that_is_gone_is_said(ensemble, tmp_path, tiny, tokenizer):
    import shutil

    copy = shutil.copytree(ensemble.model_path, tmp_path / "model")
    shutil.rmtree(copy / "member-2")
    with pytest.raises(MissingModel, match="has lost its member 2"):
        load_scorer(ModelSource(tiny.base, (str(copy),)), tokenizer)


def test_a_model_without_a_card_has_one_member_and_one_head(tiny, reward_run, tmp_path, tokenizer):
    import shutil

    copy = shutil.copytree(reward_run.model_path, tmp_path / "model")
    (copy / "reward.json").unlink()
    old, new = (load_scorer(ModelSource(tiny.base, (str(path),)), tokenizer) for path in (copy, reward_run.model_path))
    assert torch.equal(old.scores(sequences(tokenizer)), new.scores(sequences(tokenizer)))


def test_a_head_has_a_row_for_each_member_and_attribute(tiny, tokenizer):
    model = with_score_head(load_policy(tiny, tokenizer), seed=1, rows=6)
    assert model.score.weight.shape == (6, 64)
    assert model.config.num_labels == 6


def test_virtual_tokens_are_refused_since_nothing_could_stand_on_them():
    with pytest.raises(BadConfig, match="tuning"):
        RewardConfig(tuning="prompt")


def test_a_snapshot_of_ties_alone_is_refused(tmp_path, tiny):
    pair = easy_preferences(1)
    pair[0]["origin"] = "ranking"
    tables = {"preference": {"evaluation": pair}, "ranking": {"train": RANKINGS[6:]}}
    snapshot = write_tables(tmp_path / "ties", tables)
    fields = {"policy": tiny, "snapshot": snapshot[0], "snapshot_sha256": snapshot[1]}
    run = make_run_directory(tmp_path / "run", "reward", FAST, **fields)
    assert in_this_process(run) == 1
    assert "no preference in its train split" in run.error()


def test_a_weight_says_how_often_a_preference_is_drawn(tmp_path, tiny):
    """Half of the labels are turned round and weigh nothing: they are never learned from."""
    rows = easy_preferences(24)
    for row in rows[::2]:
        row["chosen"], row["rejected"] = row["rejected"], row["chosen"]
    for number, row in enumerate(rows):
        row["weight"] = float(number % 2)
    snapshot = write_snapshot(tmp_path / "weighed", rows, easy_preferences(12, seed=1))
    run = reward_run(tmp_path / "run", tiny, snapshot, steps=20)
    assert run.outcome().evaluation["accuracy"] == 1.0
