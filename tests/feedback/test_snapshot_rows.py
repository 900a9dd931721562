"""What a judgment of each kind becomes in a snapshot, as the files hold it."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet
import pytest
from django.utils import timezone

from feedback.contract import TABLES
from feedback.models import Project, Snapshot, Turn, User
from feedback.snapshots import freeze_snapshot
from tests.every_kind import judge, judge_everything, make_turn, talk_over
from tests.factories import make_judgment, make_queue

pytestmark = pytest.mark.django_db


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def freeze(project: Project, curator: User) -> Snapshot:
    return freeze_snapshot(project=project, name="all", created_by=curator, now=timezone.now())


def tables(snapshot: Snapshot, split: str = "train") -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every table that has any, without the columns that all tables share."""
    shared = {
        *("queue_id", "task_kind", "annotator", "simulated", "propensity", "arm", "arm_propensity", "task_id"),
        *("prompt_id", "judgments", "annotators", "verdict", "posterior", "weight", "fixed"),
        *("language", "source", "licence"),
    }
    found = {}
    for table in TABLES:
        path = snapshot.directory / "data" / table / f"{split}.parquet"
        if path.exists():
            rows = pyarrow.parquet.read_table(path).to_pylist()
            assert all(set(row) > shared for row in rows)
            found[table] = [{name: value for name, value in row.items() if name not in shared} for row in rows]
    return found


# Comparison -------------------------------------------------------------------------------------------


def test_the_edit_of_the_better_response_is_above_both_and_marked(project, annotator, curator):
    judgment = judge(
        project, annotator, "comparison", ("good", "bad"),
        schema={"edit_winner": True}, answer={"preference": -2, "edited": "better"},
        flags=[{"flag": "unsafe", "response": 1, "kind": "Self-harm"}, {"flag": "other"}],
    )  # fmt: skip
    snapshot = freeze(project, curator)
    (shown,) = tables(snapshot).items()
    assert shown[0] == "preference"
    whole = {"flag": "other", "kind": "", "response": None}
    unsafe = {"flag": "unsafe", "kind": "Self-harm", "response": 1}
    assert [(row["origin"], row["chosen"], row["rejected"], row["margin"], row["flags"]) for row in shown[1]] == [
        ("comparison", said("good"), said("bad"), 2.0, [unsafe, whole]),
        ("edit", said("better"), said("good"), 0.0, [whole]),
        ("edit", said("better"), said("bad"), 2.0, [unsafe, whole]),
    ]
    assert {row["group"] for row in shown[1]} == {str(judgment.pk)}
    assert snapshot.manifest["counts"]["compared"] == {"train": 1, "evaluation": 0, "holdout": 0, "held_out_people": 0}


@pytest.mark.parametrize("edited", ["good", " good\n", "bad"])
def test_an_edit_that_says_what_a_response_says_adds_no_pair(project, annotator, curator, edited):
    judge(
        project,
        annotator,
        "comparison",
        ("good", "bad"),
        schema={"edit_winner": True},
        answer={"preference": -2, "edited": edited},
    )
    assert [row["origin"] for row in tables(freeze(project, curator))["preference"]] == ["comparison"]


# Ranking ----------------------------------------------------------------------------------------------


def test_a_ranking_gives_its_row_and_one_group_of_pairs_without_ties(project, annotator, curator):
    judgment = judge(
        project,
        annotator,
        "ranking",
        ("worst", "best", "tied", "also tied", "broken"),
        answer={"ranks": [3, 1, 2, 2, None], "not_rankable": [False, False, False, False, True]},
        flags=[{"flag": "off_topic", "response": 4}, {"flag": "hallucination", "response": 0}],
    )
    snapshot = freeze(project, curator)
    found = tables(snapshot)
    assert set(found) == {"preference", "ranking"}
    (ranking,) = found["ranking"]
    assert ranking["responses"] == [said(text) for text in ("worst", "best", "tied", "also tied", "broken")]
    assert (ranking["ranks"], ranking["not_rankable"]) == ([3, 1, 2, 2, None], [False, False, False, False, True])
    assert [(flag["flag"], flag["response"]) for flag in ranking["flags"]] == [("hallucination", 0), ("off_topic", 4)]
    pairs = {(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in found["preference"]}
    assert pairs == {
        ("best", "tied"),
        ("best", "also tied"),
        ("best", "worst"),
        ("tied", "worst"),
        ("also tied", "worst"),
    }
    assert len(found["preference"]) == 5
    assert {(row["origin"], row["margin"], row["group"]) for row in found["preference"]} == {
        ("ranking", 0.0, str(judgment.pk))
    }
    marked = {row["rejected"][0]["content"] for row in found["preference"] if row["flags"]}
    assert marked == {"worst"}
    assert snapshot.manifest["counts"]["compared"]["train"] == 1


def test_a_ranking_of_ties_alone_gives_no_pair(project, annotator, curator):
    judge(project, annotator, "ranking", ("a", "b", "c"), answer={"ranks": [1, 1, 1], "not_rankable": [False] * 3})
    snapshot = freeze(project, curator)
    assert set(tables(snapshot)) == {"ranking"}
    assert snapshot.manifest["counts"]["compared"] == {"train": 0, "evaluation": 0, "holdout": 0, "held_out_people": 0}


# Rating -----------------------------------------------------------------------------------------------


def test_ratings_give_a_row_per_response_thumbs_an_unpaired_one_and_never_a_pair(project, annotator, curator):
    judge(
        project,
        annotator,
        "rating",
        ("fine", "poor"),
        answer={"ratings": [{"helpfulness": 5, "correctness": 4, "thumbs": 1}, {"helpfulness": 1, "correctness": 2}]},
        flags=[{"flag": "hallucination", "response": 1}],
    )
    found = tables(freeze(project, curator))
    assert set(found) == {"rating", "unpaired"}
    fine, poor = found["rating"]
    assert (fine["response"], poor["response"]) == (said("fine"), said("poor"))
    assert fine["ratings"] == [
        {"attribute": "helpfulness", "value": 5, "low": 1, "high": 5},
        {"attribute": "correctness", "value": 4, "low": 1, "high": 5},
        {"attribute": "thumbs", "value": 1, "low": -1, "high": 1},
    ]
    assert [one["value"] for one in poor["ratings"]] == [1, 2]
    assert (fine["flags"], poor["flags"]) == ([], [{"flag": "hallucination", "kind": "", "response": 0}])
    (thumb,) = found["unpaired"]
    assert (thumb["completion"], thumb["label"], thumb["attribute"]) == (said("fine"), True, "thumbs")


# Written texts ----------------------------------------------------------------------------------------


def test_a_demonstration_gives_what_a_model_should_have_said(project, annotator, curator):
    judgment = judge(project, annotator, "demonstration", answer={"text": "Like this."})
    found = tables(freeze(project, curator))
    assert found == {
        "sft": [
            {
                "prompt": judgment.task.prompt.messages,
                "completion": said("Like this."),
                "judgment_id": str(judgment.pk),
                "flags": [],
            }
        ]
    }


def test_a_correction_gives_what_was_written_and_is_above_the_original(project, annotator, curator):
    judge(project, annotator, "correction", ("wrong",), answer={"text": "right"})
    snapshot = freeze(project, curator)
    found = tables(snapshot)
    assert set(found) == {"preference", "sft"}
    assert found["sft"][0]["completion"] == said("right")
    (pair,) = found["preference"]
    assert (pair["origin"], pair["chosen"], pair["rejected"], pair["margin"]) == (
        "correction", said("right"), said("wrong"), 0.0
    )  # fmt: skip
    assert snapshot.manifest["counts"]["compared"] == {"train": 0, "evaluation": 0, "holdout": 0, "held_out_people": 0}


def test_a_response_that_needed_no_correction_gives_no_pair(project, annotator, curator):
    judge(project, annotator, "correction", ("right",), answer={"text": "right\n"})
    assert set(tables(freeze(project, curator))) == {"sft"}


# Conversation -----------------------------------------------------------------------------------------


def test_a_talk_gives_a_pair_per_turn_that_was_no_tie_and_the_whole_of_it(project, annotator, curator):
    judgment = talk_over(project, annotator, preferences=(3, 0, -1))
    turns = list(judgment.task.turns.filter(annotator=annotator).order_by("number"))
    Turn.objects.filter(pk=turns[0].pk).update(flags=[{"flag": "unsafe", "kind": "", "response": 1}])
    make_turn(judgment.task, make_judgment(queue=make_queue(project)).annotator, 1, [], 2)
    snapshot = freeze(project, curator)
    found = tables(snapshot)
    (talk,) = found["conversation"]
    assert talk["messages"] == [*turns[2].prompt.messages, *said("first 3")]
    assert talk["turns"] == 3
    pairs = [row for row in found["preference"] if row["origin"] == "conversation"]
    assert [(row["chosen"], row["rejected"], row["margin"]) for row in pairs] == [
        (said("second 1"), said("first 1"), 3.0),
        (said("first 3"), said("second 3"), 1.0),
    ]
    assert [row["prompt"] for row in pairs] == [turns[0].prompt.messages, turns[2].prompt.messages]
    assert [row["group"] for row in pairs] == [str(turns[0].pk), str(turns[2].pk)]
    assert [row["flags"] for row in pairs] == [[{"flag": "unsafe", "kind": "", "response": 0}], []]
    assert {row["judgment_id"] for row in pairs} == {str(judgment.pk)}
    assert snapshot.manifest["counts"]["kinds"] == {"comparison": 1, "conversation": 1}
    assert snapshot.manifest["counts"]["compared"]["train"] == 3


# All of them together ---------------------------------------------------------------------------------


def test_every_split_has_its_own_rows_of_every_table(project, annotator, curator):
    judge_everything(project, annotator)
    judge_everything(project, annotator, split="evaluation")
    counts = freeze(project, curator).manifest["counts"]
    assert counts["rows"] == {
        "preference": {"train": 6, "evaluation": 6, "holdout": 0, "held_out_people": 0},
        "ranking": {"train": 1, "evaluation": 1, "holdout": 0, "held_out_people": 0},
        "rating": {"train": 2, "evaluation": 2, "holdout": 0, "held_out_people": 0},
        "unpaired": {"train": 2, "evaluation": 2, "holdout": 0, "held_out_people": 0},
        "sft": {"train": 2, "evaluation": 2, "holdout": 0, "held_out_people": 0},
        "conversation": {"train": 1, "evaluation": 1, "holdout": 0, "held_out_people": 0},
    }
    assert counts["compared"] == {"train": 3, "evaluation": 3, "holdout": 0, "held_out_people": 0}
