from __future__ import annotations

import pytest
from django.utils import timezone

from feedback.adjudicating import adjudicate
from feedback.models import Judgment
from feedback.selection import Selection
from feedback.snapshot_compare import CompareRefused, compare
from tests.every_kind import judge_everything
from tests.factories import make_judgment, make_member, make_project, make_queue, make_snapshot, make_task

pytestmark = pytest.mark.django_db


def test_a_snapshot_compared_with_itself_differs_in_nothing(project, annotator):
    judge_everything(project, annotator)
    snapshot = make_snapshot(project)
    found = compare(snapshot, snapshot)
    assert found["judgments"] == {"removed": 0, "added": 0, "both": 6}
    rows = snapshot.rows("preference", "train")
    assert found["pairs"] == {"removed": 0, "added": 0, "both": rows, "turned": 0, "margin": 0, "weight": 0, "split": 0}
    assert found["choices"] == found["left_out"] == []
    assert found["guidelines"] == {"removed": [], "added": []}


def test_what_was_added_and_removed_is_counted(project):
    first = make_snapshot(project)
    queue = Judgment.objects.first().queue
    make_judgment(queue=queue)
    make_judgment(queue=queue)
    second = make_snapshot(project)
    assert compare(first, second)["judgments"] == {"removed": 0, "added": 2, "both": 4}
    back = compare(second, first)
    assert (back["pairs"]["removed"], back["pairs"]["added"], back["pairs"]["both"]) == (2, 0, 4)


def test_a_verdict_that_turned_and_other_choices_are_told(project, curator):
    queue = make_queue(project, overlap=2)
    task = make_task(queue)
    for person in (make_member(project), make_member(project)):
        make_judgment(task=task, annotator=person, preference=2)
    first = make_snapshot(project, selection=Selection(verdict="majority"))
    adjudicate(task=task, adjudicator=curator, answer={"preference": -2}, reason="facts", now=timezone.now())
    second = make_snapshot(project, selection=Selection(verdict="majority", min_strength=1))
    found = compare(first, second)
    assert (found["pairs"]["turned"], found["pairs"]["both"]) == (1, 1)
    assert found["choices"] == [{"choice": "min_strength", "first": None, "second": 1}]
    assert found["figures"][0]["figure"] == "agreement"


def test_snapshots_of_two_projects_are_not_compared(project):
    with pytest.raises(CompareRefused):
        compare(make_snapshot(project), make_snapshot(make_project()))


def test_rows_that_are_gone_are_said_to_be_gone(project):
    snapshot = make_snapshot(project)
    (snapshot.directory / "data" / "preference" / "train.parquet").unlink()
    assert compare(snapshot, snapshot)["pairs"] is None
