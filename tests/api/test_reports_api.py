"""Reports over HTTP: measure, wait, read."""

from __future__ import annotations

import uuid

import pytest

from feedback.models import Job, Report
from feedback.quality import reports
from tests.api.people import ApiClient, error_of
from tests.factories import make_queue
from tests.quality.voting import make_people, vote

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    queue = make_queue(project, name="Help")
    people = make_people(queue, 2)
    for number in range(9):
        vote(queue, people, [1, 1 if number < 6 else -1], models=("one", "two"))
    return queue


def test_a_small_project_is_measured_at_once_and_its_report_can_be_read(queue, curator):
    client = ApiClient(curator)
    measured = client.post(f"projects/{queue.project.slug}/reports/", {"kind": "agreement"})
    assert (measured.status_code, measured.json()["state"]) == (201, "succeeded")
    found = client.get(f"reports/{measured.json()['result']['report']}/").json()
    (question,) = found["content"]["people"]["questions"]
    assert (found["kind"], found["judgments"], found["since"]) == ("agreement", 18, 0)
    assert question["figures"]["decisive"]["percent"][0] == pytest.approx(6 / 9, abs=1e-5)
    pair = question["pairs"]["least"][0]["people"]
    assert [person["id"] for person in found["people"]] == sorted(pair)
    listed = client.get(f"projects/{queue.project.slug}/reports/?kind=agreement").json()["results"]
    assert [report["id"] for report in listed] == [found["id"]]
    assert "content" not in listed[0]


def test_ml_staff_reads_pseudonyms(queue, curator, ml_staff):
    measured = ApiClient(curator).post(f"projects/{queue.project.slug}/reports/", {"kind": "agreement"})
    path = f"reports/{measured.json()['result']['report']}/"
    named = {person["name"] for person in ApiClient(curator).get(path).json()["people"]}
    hidden = {person["name"] for person in ApiClient(ml_staff).get(path).json()["people"]}
    assert len(named) == len(hidden) == 2
    assert all(name.startswith("annotator-") for name in hidden)
    assert not named & hidden


def test_a_large_project_answers_a_job_that_waits(queue, curator, monkeypatch):
    monkeypatch.setattr(reports, "INLINE_JUDGMENTS", 1)
    path = f"projects/{queue.project.slug}/reports/"
    first = ApiClient(curator).post(path, {"kind": "models"})
    again = ApiClient(curator).post(path, {"kind": "models"})
    assert (first.status_code, first.json()["state"]) == (202, "queued")
    assert again.json()["id"] == first.json()["id"]
    assert Job.objects.count() == 1


def test_what_if_takes_what_to_leave_out_and_nothing_else(queue, curator):
    path = f"projects/{queue.project.slug}/reports/"
    person = queue.judgments.first().annotator_id
    measured = ApiClient(curator).post(path, {"kind": "what_if", "params": {"people": [person], "days": []}})
    assert measured.status_code == 201
    assert Report.objects.get().params == {"people": [person]}
    assert Report.objects.get().content["dropped"] == 9


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"kind": "weather"}, 400, "kind"),
        ({}, 400, "kind"),
        ({"kind": "agreement", "params": {"people": [1]}}, 422, "params"),
        ({"kind": "what_if"}, 422, "params"),
        ({"kind": "what_if", "params": {"colour": ["red"]}}, 422, "params"),
        ({"kind": "what_if", "params": {"days": ["yesterday"]}}, 422, "without_days"),
        ({"kind": "what_if", "params": {"people": ["somebody"]}}, 422, "without_people"),
        ({"kind": "what_if", "params": {"people": 7}}, 422, "without_people"),
        ({"kind": "what_if", "params": ["people"]}, 400, "params"),
    ],
)
def test_what_cannot_be_measured_is_refused(project, curator, body, status, field):
    answer = ApiClient(curator).post(f"projects/{project.slug}/reports/", body)
    assert answer.status_code == status
    assert error_of(answer)["attr"] == field
    assert not Job.objects.exists()


def test_a_kind_that_there_is_not_is_refused_in_the_list(project, curator):
    answer = ApiClient(curator).get(f"projects/{project.slug}/reports/?kind=weather")
    assert (answer.status_code, error_of(answer)["attr"]) == (422, "kind")


def test_another_projects_report_is_not_found(project, outsider, queue, curator):
    ApiClient(curator).post(f"projects/{project.slug}/reports/", {"kind": "agreement"})
    assert ApiClient(outsider).get(f"reports/{Report.objects.get().pk}/").status_code == 404
    assert ApiClient(curator).get(f"reports/{uuid.uuid4()}/").status_code == 404


@pytest.mark.parametrize("params", [{"queue": "\x00"}, {"queue": ["x"]}, {"queue": None}])
def test_what_is_no_queue_is_refused_before_anything_is_measured(project, curator, params):
    answer = ApiClient(curator).post(f"projects/{project.slug}/reports/", {"kind": "people", "params": params})
    assert (answer.status_code, error_of(answer)["attr"]) == (422, "params")


def test_a_text_that_no_database_keeps_is_refused(project, curator):
    asked = {"kind": "what_if", "params": {"flags": ["un\x00safe"]}}
    answer = ApiClient(curator).post(f"projects/{project.slug}/reports/", asked)
    assert (answer.status_code, error_of(answer)["attr"]) == (422, "without_flags")
