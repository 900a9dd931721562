"""Columns and reports on PostgreSQL, whose ids, times and JSON come as other texts than SQLite's."""

from __future__ import annotations

import pytest

from feedback.models import Job, Role
from feedback.quality.columns import as_uuid, read_columns
from feedback.quality.reports import FUNCTIONS, measure, report_for
from tests.factories import make_gold, make_member, make_project, make_queue
from tests.quality.voting import make_people, vote
from tests.training.conftest import migrated_postgres, shared_postgres

__all__ = ["migrated_postgres", "shared_postgres"]

pytestmark = pytest.mark.postgres


def test_every_report_is_measured_there(shared_postgres):
    project = make_project(name="Quality on PostgreSQL")
    queue = make_queue(project)
    people = make_people(queue, 2)
    for number in range(9):
        vote(queue, people, [1, 1 if number % 3 else -1], models=("ash", "birch"), tags=["code"], language="de")
    make_gold(vote(queue, people, [2, 2]))
    columns = read_columns(project=project)
    assert {as_uuid(one) for one in columns.judgment} == set(queue.judgments.values_list("pk", flat=True))
    assert columns.shown_swapped.min() >= 0
    assert (columns.languages, columns.tags, int(columns.gold.sum())) == (("", "de"), ("code",), 2)
    assert list(columns.at) == sorted(columns.at)
    curator = make_member(project, Role.CURATOR)
    for kind in FUNCTIONS:
        params = {"people": [people[1].pk], "flags": ["unsafe"]} if kind == "what_if" else {}
        job = measure(project=project, kind=kind, params=params, created_by=curator)
        assert job.state == Job.State.SUCCEEDED, (kind, job.error)
    agreement = report_for(project=project, kind="agreement").content["people"]["questions"][0]
    assert agreement["figures"]["decisive"]["percent"][0] == pytest.approx(6 / 9, abs=1e-5)
    ranks = report_for(project=project, kind="models").content["comparisons"]
    assert {model["name"]: model["won"] for model in ranks["models"]} == {"ash": 3, "birch": 15}
    changed = report_for(
        project=project, kind="what_if", params={"people": [people[1].pk], "flags": ["unsafe"]}
    ).content
    assert changed["dataset"]["rows"] == {"preference": {"train": [18, 9]}}
