"""How the votes on one comparison become a row: by rule, with how sure, how strong and of what weight."""

from __future__ import annotations

import uuid
from typing import Any

import pyarrow.parquet
import pytest
from django.utils import timezone

from feedback.adjudicating import adjudicate
from feedback.models import HeldOutPerson, Judgment, Queue, Review, Snapshot, Task
from feedback.selection import Selection
from feedback.snapshots import SnapshotRefused
from tests.factories import make_judgment, make_member, make_prompt, make_queue, make_response, make_snapshot, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project) -> Queue:
    return make_queue(project, overlap=5)


@pytest.fixture
def people(project):
    return [make_member(project) for _ in range(5)]


def vote(queue, people, *preferences: int, propensity: float = 1.0, **prompt) -> Task:
    """A comparison on which these people said these preferences, in order."""
    made = make_prompt(queue.project, **prompt)
    texts = (make_response(made, "first"), make_response(made, "second"))
    task = make_task(queue, prompt=made, responses=texts, propensity=propensity)
    for person, preference in zip(people, preferences, strict=False):
        make_judgment(task=task, annotator=person, preference=preference)
    return task


def rows(snapshot: Snapshot, split: str = "train") -> list[dict[str, Any]]:
    return pyarrow.parquet.read_table(snapshot.directory / "data" / "preference" / f"{split}.parquet").to_pylist()


def freeze(project, **chosen) -> Snapshot:
    return make_snapshot(project, selection=Selection(**chosen))


def left_out(snapshot: Snapshot) -> dict[str, int]:
    return {reason: count for reason, count in snapshot.manifest["counts"]["left_out"].items() if count}


# Majority -----------------------------------------------------------------------------------------------


def test_more_than_half_of_the_votes_are_one_row_with_their_share_and_mean_strength(project, queue, people):
    task = vote(queue, people, 3, 2, -1)
    snapshot = freeze(project, verdict="majority")
    (row,) = rows(snapshot)
    assert (row["chosen"][0]["content"], row["margin"], row["verdict"]) == ("second", 2.5, "majority")
    assert row["posterior"] == pytest.approx(2 / 3)
    assert (row["judgment_id"], row["annotator"], row["group"]) == (None, None, str(task.pk))
    assert set(row["judgments"]) == {str(judgment.pk) for judgment in task.judgments.all()}
    assert len(row["annotators"]) == 3
    assert snapshot.judgment_count == 3
    assert snapshot.manifest["counts"]["answers"] == 1


def test_votes_that_decide_nothing_are_left_out_with_a_reason(project, queue, people):
    vote(queue, people, 1, 1, 1)
    vote(queue, people, 1, -1)
    vote(queue, people, 0, 0, 1)
    vote(queue, people, 1, 0, -1)
    snapshot = freeze(project, verdict="majority")
    assert len(rows(snapshot)) == 1
    assert left_out(snapshot) == {"undecided": 5, "tie": 3}


def test_too_few_votes_too_little_strength_and_too_little_certainty_leave_out(project, queue, people):
    vote(queue, people, 3)
    vote(queue, people, 1, 1, 2)
    vote(queue, people, 3, 3, -1)
    vote(queue, people, 3, 3, 2)
    chosen = {"verdict": "majority", "min_votes": 2, "min_strength": 2, "min_posterior": 0.9}
    snapshot = freeze(project, **chosen)
    (row,) = rows(snapshot)
    assert row["posterior"] == 1.0
    assert left_out(snapshot) == {"few_votes": 1, "weak": 3, "undecided": 3}


def test_a_single_vote_is_its_own_majority(project, queue, people):
    vote(queue, people, -2)
    (row,) = rows(freeze(project, verdict="majority"))
    assert (row["posterior"], row["margin"], row["chosen"][0]["content"]) == (1.0, 2.0, "first")
    assert row["judgment_id"] is not None


# Dawid-Skene --------------------------------------------------------------------------------------------


def test_a_person_who_is_often_right_outweighs_one_who_is_often_wrong(project, queue, people):
    for number in range(12):
        side = 2 if number % 2 else -2
        vote(queue, people, side, side, side, -side)
    disputed = vote(queue, [people[0], people[3]], 2, -2)
    snapshot = freeze(project, verdict="dawid_skene")
    found = {row["task_id"]: row for row in rows(snapshot)}
    assert found[str(disputed.pk)]["chosen"][0]["content"] == "second"
    assert found[str(disputed.pk)]["posterior"] > 0.9
    assert {row["verdict"] for row in found.values()} == {"dawid_skene"}
    assert "undecided" in left_out(freeze(project, verdict="majority"))


def test_the_same_votes_give_the_same_snapshot(project, queue, people):
    for preferences in ((1, 1, -1), (-2, 1), (3, 3, 3, -1)):
        vote(queue, people, *preferences)
    first = freeze(project, verdict="dawid_skene", weights="reliability")
    with pytest.raises(SnapshotRefused, match="holds exactly these judgments"):
        freeze(project, verdict="dawid_skene", weights="reliability")
    assert first.manifest["selection"]["weights"] == "reliability"


# Adjudications and fixed answers ------------------------------------------------------------------------


def test_what_a_curator_adjudicated_outranks_the_votes(project, queue, people, curator):
    task = vote(queue, people, 1, 1, 1)
    vote(queue, people, 2, 2)
    adjudicate(task=task, adjudicator=curator, answer={"preference": -3}, reason="facts", now=timezone.now())
    found = {row["task_id"]: row for row in rows(freeze(project, verdict="majority"))}
    row = found[str(task.pk)]
    assert (row["verdict"], row["chosen"][0]["content"], row["margin"], row["posterior"]) == (
        "adjudicated", "first", 3.0, 1.0
    )  # fmt: skip
    assert len(row["judgments"]) == 3
    only = freeze(project, verdict="adjudicated")
    assert [row["task_id"] for row in rows(only)] == [str(task.pk)]
    assert left_out(only) == {"not_adjudicated": 2}


def test_an_adjudicated_tie_is_no_row(project, queue, people, curator):
    task = vote(queue, people, 1, 1)
    vote(queue, people, 1, 1)
    adjudicate(task=task, adjudicator=curator, answer={"preference": 0}, reason="equal", now=timezone.now())
    assert left_out(freeze(project, verdict="majority")) == {"tie": 2}


def test_a_fixed_answer_takes_the_place_of_what_was_said_and_is_marked(project, queue, people, curator):
    turned, tied, told = vote(queue, people, 1), vote(queue, people, 2), vote(queue, people, 0)
    for task, preference in ((turned, -3), (tied, 0), (told, 1)):
        Review.objects.create(
            judgment=task.judgments.get(), accepted=True, reviewer=curator,
            fixed={"preference": preference, "content": {}, "flags": []},
        )  # fmt: skip
    snapshot = freeze(project)
    found = {row["task_id"]: (row["chosen"][0]["content"], row["margin"], row["fixed"]) for row in rows(snapshot)}
    assert found == {str(turned.pk): ("first", 3.0, True), str(told.pk): ("second", 1.0, True)}
    assert left_out(snapshot) == {"tie": 1}


def test_a_fix_that_was_taken_back_counts_no_more(project, queue, people, curator):
    judgment = vote(queue, people, 2).judgments.get()
    fixed = {"preference": -3, "content": {}, "flags": []}
    Review.objects.create(judgment=judgment, accepted=True, fixed=fixed, reviewer=curator)
    Review.objects.create(judgment=judgment, accepted=None, reviewer=curator)
    (row,) = rows(freeze(project))
    assert (row["margin"], row["fixed"]) == (2.0, False)


# Held-out people ----------------------------------------------------------------------------------------


def test_held_out_people_are_a_split_of_their_own_and_have_no_voice_in_the_others(project, queue, people, curator):
    vote(queue, people, 2, 2, -1, -1, -1)
    for person in people[2:]:
        HeldOutPerson.objects.create(project=project, person=person, created_by=curator)
    snapshot = freeze(project, verdict="majority")
    (mine,), (theirs,) = rows(snapshot), rows(snapshot, "held_out_people")
    assert (mine["chosen"][0]["content"], mine["posterior"]) == ("second", 1.0)
    assert (theirs["chosen"][0]["content"], theirs["posterior"]) == ("first", 1.0)
    assert not set(mine["annotators"]) & set(theirs["annotators"])
    by_themselves = freeze(project)
    assert (by_themselves.rows("preference", "train"), by_themselves.rows("preference", "held_out_people")) == (2, 3)
    assert sum(one.get("held_out", False) for one in by_themselves.manifest["annotators"]) == 3


# Weights ------------------------------------------------------------------------------------------------


def test_rarely_drawn_responses_weigh_more_and_the_mean_of_a_split_is_one(project, queue, people):
    often, rare = vote(queue, people, 1, propensity=0.9), vote(queue, people, 1, propensity=0.1)
    found = {row["task_id"]: row["weight"] for row in rows(freeze(project, weights="propensity"))}
    assert found[str(rare.pk)] == pytest.approx(9 * found[str(often.pk)])
    assert sum(found.values()) == pytest.approx(2)


def test_a_row_weighs_its_posterior(project, queue, people):
    vote(queue, people, 2, 2, -2)
    (row,) = rows(freeze(project, verdict="majority", weights="posterior"))
    assert row["weight"] == row["posterior"] == pytest.approx(2 / 3)


def test_every_vote_weighs_how_likely_it_is_where_each_is_a_row(project, queue, people):
    for number in range(8):
        side = 2 if number % 2 else -2
        vote(queue, people, side, side, side, -side)
    found = rows(freeze(project, weights="posterior"))
    wrong = project.pseudonym(people[3])
    assert max(row["weight"] for row in found if row["annotator"] == wrong) < 0.1
    assert min(row["weight"] for row in found if row["annotator"] != wrong) > 0.9
    assert all(row["posterior"] == row["weight"] for row in found)


def test_reliable_people_weigh_more(project, queue, people):
    for number in range(8):
        side = 2 if number % 2 else -2
        vote(queue, people, side, side, side, -side)
    found = rows(freeze(project, weights="reliability"))
    wrong = project.pseudonym(people[3])
    assert max(row["weight"] for row in found if row["annotator"] == wrong) < min(
        row["weight"] for row in found if row["annotator"] != wrong
    )
    assert sum(row["weight"] for row in found) == pytest.approx(len(found))


# Other kinds --------------------------------------------------------------------------------------------


def test_other_kinds_of_task_stay_one_answer_per_judgment(project, people):
    ranking = make_queue(project, kind="ranking", overlap=2)
    task = make_task(ranking)
    for person in people[:2]:
        answer = {"ranks": [1, 2, 3][: len(task.texts)], "not_rankable": [False] * len(task.texts)}
        make_judgment(task=task, annotator=person, answer=answer)
    snapshot = freeze(project, verdict="majority")
    assert snapshot.rows("ranking", "train") == 2
    assert snapshot.judgment_count == Judgment.objects.count() == 2
    with pytest.raises(SnapshotRefused, match="nobody has adjudicated"):
        freeze(project, verdict="adjudicated")


def test_an_edit_counts_only_of_those_who_agree_with_the_verdict(project, people):
    queue = make_queue(project, overlap=3, schema={"edit_winner": True})
    made = make_prompt(project)
    task = make_task(queue, prompt=made, responses=(make_response(made, "first"), make_response(made, "second")))
    for person, preference, edited in zip(people, (2, 2, -2), ("better", "", "worse"), strict=False):
        assignment_answer = {"preference": preference, "edited": edited}
        make_judgment(task=task, annotator=person, preference=preference) if not edited else submit(
            task, person, assignment_answer
        )
    found = [(row["origin"], row["chosen"][0]["content"]) for row in rows(freeze(project, verdict="majority"))]
    assert found == [("comparison", "second"), ("edit", "better"), ("edit", "better")]


def submit(task: Task, person, answer: dict[str, Any]) -> Judgment:
    from feedback.answers import Answer, to_shown
    from tests.factories import make_assignment

    held = make_assignment(task, person)
    shown = to_shown(Answer(answer["preference"]), held.display_order).preference
    return make_judgment(
        assignment=held, submission_id=uuid.uuid4(), answer={"preference": shown, "edited": answer["edited"]}
    )
