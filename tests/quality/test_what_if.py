"""What would be without some people, days, guidelines or flags."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from feedback.quality.what_if import measure_what_if
from feedback.queues import change_guideline
from feedback.refusals import Refusal
from feedback.selection import Selection
from tests.factories import make_judgment, make_member, make_queue, make_task
from tests.quality.voting import make_people, vote

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    return make_queue(project, name="Help")


def without(project, **params):
    return measure_what_if(project=project, params=params, tell=lambda done, total, words: None).content


def test_leaving_out_a_person_changes_verdicts_agreement_models_and_rows(project, queue):
    people = make_people(queue, 3)
    flipped = vote(queue, people, [-1, 1, 1], models=("ash", "birch"))
    vote(queue, people, [-1, -1, -1], models=("ash", "birch"))
    alone = vote(queue, people, [None, None, 2], models=("ash", "birch"))
    found = without(project, people=[people[2].pk])
    assert (found["dropped"], found["judgments"], found["people"], found["tasks"]) == (3, 7, 1, 3)
    majority = found["verdicts"]["majority"]
    assert (majority["tasks"], majority["changed"], majority["lost"]) == (3, 2, 1)
    assert {(row["task"], row["was"], row["now"]) for row in majority["listed"]} == {
        (str(flipped.pk), "B", "undecided"),
        (str(alone.pk), "B", "no votes"),
    }
    (agreement,) = found["agreement"]
    assert agreement["before"]["figures"]["decisive"]["percent_of_pairs"][0] == pytest.approx(4 / 6, abs=1e-5)
    assert agreement["after"]["figures"]["decisive"]["percent_of_pairs"][0] == 0.5
    assert found["dataset"]["rows"] == {"preference": {"train": [7, 4]}}
    assert found["dataset"]["left_out"]["person"] == [0, 3]
    assert {row["name"] for row in found["models"]} == {"ash", "birch"}


def test_several_things_are_left_out_together(project, queue, curator):
    people = make_people(queue, 3)
    task = make_task(queue, slots=4)
    moments = [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2, 3)]
    for person, now in zip(people, moments, strict=True):
        make_judgment(task=task, annotator=person, now=now, flags=["unsafe"] if now.day == 3 else [])
    old = queue.guideline
    change_guideline(queue=queue, text="Now differently.", changed_by=curator)
    queue.refresh_from_db()
    make_judgment(task=task, annotator=make_member(project), now=datetime(2026, 3, 4, tzinfo=UTC))
    assert without(project, days=["2026-03-01"])["dropped"] == 1
    assert without(project, flags=["unsafe"])["dropped"] == 1
    assert without(project, guidelines=[old.pk])["dropped"] == 3
    together = without(project, days=["2026-03-01"], flags=["unsafe"], people=[people[1].pk])
    assert together["dropped"] == 3
    assert together["dataset"]["rows"] == {"preference": {"train": [4, 1]}}


def test_rows_of_every_kind_are_counted_as_a_snapshot_makes_them(project):
    ranking, rating = make_queue(project, kind="ranking"), make_queue(project, kind="rating")
    person, other = make_people(ranking, 2)
    task = make_task(ranking, slots=1)
    make_judgment(task=task, annotator=person, answer={"ranks": list(range(1, len(task.texts) + 1))})
    rated = make_task(rating, slots=1)
    attributes = rating.schema.asks.attributes
    ratings = [{each.key: each.values[-1] for each in attributes} for _ in rated.texts]
    make_judgment(task=rated, annotator=other, answer={"ratings": ratings})
    rows = without(project, people=[other.pk])["dataset"]["rows"]
    responses = len(task.texts)
    assert rows["ranking"] == {"train": [1, 1]}
    assert rows["preference"] == {"train": [responses * (responses - 1) // 2] * 2}
    assert rows["rating"] == {"train": [len(rated.texts), 0]}


def test_the_dataset_counts_what_the_selection_would_freeze(project, queue):
    people = make_people(queue, 2)
    vote(queue, people, [2, 0])
    vote(queue, people, [1, -1], split="evaluation")
    rows = without(project, people=[people[0].pk])["dataset"]["rows"]["preference"]
    before, after = Selection(), Selection(without_people=(people[0].pk,))
    assert sum(numbers[0] for numbers in rows.values()) == before.eligible(project).count() == 3
    assert sum(numbers[1] for numbers in rows.values()) == after.eligible(project).count() == 1


def test_simulated_annotators_are_no_part_of_it(project, queue):
    people = make_people(queue, 1)
    robot = make_member(project, simulation_rule="length")
    vote(queue, [*people, robot], [1, -1])
    found = without(project, people=[robot.pk])
    assert (found["dropped"], found["judgments"], found["verdicts"]["majority"]["changed"]) == (0, 1, 0)


def test_what_no_selection_knows_is_refused(project):
    with pytest.raises(Refusal):
        without(project, days=["some day"])
