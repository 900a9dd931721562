"""Ties that a curator keeps: rankings of two responses on one rank, and never a pair."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet
import pytest
from django.utils import timezone

from feedback.adjudicating import adjudicate
from feedback.models import Queue, Snapshot
from feedback.selection import Selection
from feedback.snapshot_jobs import preview
from tests.every_kind import judge, talk_over
from tests.factories import make_judgment, make_member, make_prompt, make_queue, make_response, make_snapshot, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project) -> Queue:
    return make_queue(project, overlap=3)


def vote(queue: Queue, *preferences: int, **prompt: Any):
    """A comparison of "first" with "second" on which so many people said these preferences."""
    made = make_prompt(queue.project, **prompt)
    task = make_task(queue, prompt=made, responses=(make_response(made, "first"), make_response(made, "second")))
    for preference in preferences:
        make_judgment(task=task, annotator=make_member(queue.project), preference=preference)
    return task


def freeze(project, **chosen: Any) -> Snapshot:
    return make_snapshot(project, selection=Selection(keep_ties=True, **chosen))


def rows(snapshot: Snapshot, table: str, split: str = "train") -> list[dict[str, Any]]:
    path = snapshot.directory / "data" / table / f"{split}.parquet"
    return pyarrow.parquet.read_table(path).to_pylist() if path.exists() else []


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def left_out(snapshot: Snapshot) -> dict[str, int]:
    return {reason: count for reason, count in snapshot.manifest["counts"]["left_out"].items() if count}


def test_a_tie_is_a_ranking_of_two_on_one_rank_that_says_where_it_comes_from(project, annotator):
    tied = judge(
        project, annotator, "comparison", ("one", "other"), answer={"preference": 0},
        flags=[{"flag": "unsafe", "response": 1}],
    )  # fmt: skip
    judge(project, annotator, "comparison", ("one", "other"), answer={"preference": 2})
    judge(project, annotator, "comparison", ("one", "other"), answer={"preference": 0}, split="evaluation")
    snapshot = freeze(project)
    (row,) = rows(snapshot, "ranking")
    assert (row["responses"], row["ranks"], row["not_rankable"]) == ([said("one"), said("other")], [1, 1], [False] * 2)
    assert row["prompt"] == tied.task.prompt.messages
    assert (row["judgment_id"], row["task_kind"], row["verdict"]) == (str(tied.pk), "comparison", "latest")
    assert row["flags"] == [{"flag": "unsafe", "kind": "", "response": 1}]
    assert [pair["chosen"] for pair in rows(snapshot, "preference")] == [said("other")]
    assert left_out(snapshot) == {}
    assert (snapshot.ties("train"), snapshot.ties("evaluation")) == (1, 1)
    assert snapshot.compared("train") == 1
    card = (snapshot.directory / "README.md").read_text()
    assert "- Keep ties: True." in card
    assert "ties, percent (rows of `ranking` unless outvoted)" in card


def test_unless_they_are_kept_ties_stay_out_and_are_counted(project, queue):
    vote(queue, 0)
    vote(queue, 1)
    snapshot = make_snapshot(project)
    assert rows(snapshot, "ranking") == []
    assert left_out(snapshot) == {"tie": 1}
    assert snapshot.ties("train") == 0


def test_strength_asks_nothing_of_a_tie(project, queue):
    vote(queue, 0)
    vote(queue, 1)
    vote(queue, 3)
    snapshot = freeze(project, min_strength=2)
    assert (len(rows(snapshot, "ranking")), len(rows(snapshot, "preference"))) == (1, 1)
    assert left_out(snapshot) == {"weak": 1}


def test_a_tie_that_wins_the_vote_is_one_row_with_its_share(project, queue):
    task = vote(queue, 0, 0, 2)
    vote(queue, 1, 1, 0)
    vote(queue, 2, -1)
    snapshot = freeze(project, verdict="majority", min_strength=1)
    (row,) = rows(snapshot, "ranking")
    assert (row["task_id"], row["judgment_id"], row["verdict"]) == (str(task.pk), None, "majority")
    assert row["posterior"] == pytest.approx(2 / 3)
    assert len(row["judgments"]) == 3
    assert len(rows(snapshot, "preference")) == 1
    assert left_out(snapshot) == {"undecided": 2}


def test_a_tie_that_a_curator_settled_on_outranks_an_edit(project, curator):
    queue = make_queue(project, schema={"edit_winner": True}, overlap=2)
    answer = {"preference": 2, "edited": "better"}
    person = make_member(project)
    judgment = judge(project, person, "comparison", ("one", "other"), queue=queue, answer=answer)
    adjudicate(task=judgment.task, adjudicator=curator, answer={"preference": 0}, now=timezone.now())
    snapshot = freeze(project, verdict="majority")
    (row,) = rows(snapshot, "ranking")
    assert (row["ranks"], row["verdict"], row["posterior"]) == ([1, 1], "adjudicated", 1.0)
    assert rows(snapshot, "preference") == []


def test_a_tied_turn_of_a_talk_is_such_a_row_too(project, annotator):
    judgment = talk_over(project, annotator, preferences=(3, 0))
    tied = judgment.task.turns.get(number=2)
    snapshot = freeze(project)
    (row,) = rows(snapshot, "ranking")
    assert (row["responses"], row["ranks"]) == ([said("first 2"), said("second 2")], [1, 1])
    assert (row["prompt"], row["task_kind"]) == (tied.prompt.messages, "conversation")
    assert snapshot.ties("train") == 1


def test_weights_and_dawid_skene_take_ties_as_they_take_preferences(project, queue):
    for preferences in ((0, 0, 0), (2, 2, 1), (0, 0, -1)):
        vote(queue, *preferences)
    snapshot = freeze(project, verdict="dawid_skene", weights="posterior")
    found = rows(snapshot, "ranking")
    assert len(found) == 2
    assert all(0.5 < row["weight"] <= 1.0 and row["weight"] == row["posterior"] for row in found)


def test_the_count_before_freezing_says_the_table(project, queue):
    vote(queue, 0)
    vote(queue, 1)
    counts = preview(project=project, selection=Selection(keep_ties=True))
    found = {one["table"]: one["splits"]["train"] for one in counts["tables"]}
    assert found == {"preference": 1, "ranking": 1}
    assert counts["left_out"] == {}


def test_thumbs_are_counted_by_side(project, annotator):
    schema = {"attributes": [{"key": "good", "label": "Good", "style": "thumbs"}]}
    for value in (1, -1, 1):
        ratings = [{"good": value}]
        judge(project, annotator, "rating", ("text",), schema=schema, answer={"ratings": ratings})
    snapshot = make_snapshot(project)
    assert (snapshot.rows("unpaired", "train"), snapshot.thumbs_up("train")) == (3, 2)
