"""Imports over HTTP; the same verbs as the pages."""

from __future__ import annotations

import json
import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from feedback.models import FileImport, Judgment, Queue
from tests.api.people import ApiClient, error_of
from tests.factories import make_import, make_queue

pytestmark = pytest.mark.django_db

VOTES = [
    {"q": "Why?", "a": "Because.", "b": "No idea.", "who": "ann", "best": "a"},
    {"q": "Why?", "a": "Because.", "b": "No idea.", "who": "bob", "best": "b"},
]
MAPPING = {"prompt": "q", "response_a": "a", "response_b": ["b"], "annotator": "who", "winner": "best"}


@pytest.fixture
def api(curator):
    return ApiClient(curator)


def file_of(*rows):
    return SimpleUploadedFile("rows.jsonl", "\n".join(json.dumps(row) for row in rows).encode())


def test_a_file_goes_from_upload_to_undo(api, project):
    answer = api.upload(f"projects/{project.slug}/imports/", file_of(*VOTES), kind="votes", mapping=json.dumps(MAPPING))
    assert answer.status_code == 201
    path = f"imports/{answer.json()['id']}/"
    assert answer.json()["state"] == "uploaded"
    seen = api.get(f"{path}preview/").json()
    assert [row["said"] for row in seen] == ["A is slightly better than B", "B is slightly better than A"]
    checked = api.post(f"{path}check/").json()
    assert (checked["state"], checked["counts"]["good"], checked["counts"]["bad"]) == ("checked", 2, 0)
    stored = api.post(f"{path}store/").json()
    assert (stored["state"], stored["counts"]["stored"]["judgments"]) == ("stored", 2)
    assert Queue.objects.get(pk=stored["queue"]).state == "paused"
    undone = api.post(f"{path}undo/").json()
    assert (undone["state"], undone["counts"]["kept"]) == ("undone", {})
    assert not Judgment.objects.exists()


def test_what_it_is_can_be_said_later(api, project):
    found = make_import(project, "\n".join(json.dumps(row) for row in VOTES))
    queue = make_queue(project)
    answer = api.patch(f"imports/{found.pk}/", {"kind": "votes", "mapping": MAPPING, "queue": str(queue.pk)})
    assert answer.status_code == 200
    assert answer.json()["mapping"]["response_b"] == ["b"]
    assert answer.json()["queue"] == str(queue.pk)


def test_errors_of_rows_are_told_and_stop_the_storing(api, project):
    found = make_import(project, '{"prompt": "Fine?"}\n{"prompt": 7}\n')
    checked = api.post(f"imports/{found.pk}/check/").json()
    assert checked["errors"] == [{"file": "", "row": 2, "column": "prompt", "message": checked["errors"][0]["message"]}]
    refused = api.post(f"imports/{found.pk}/store/")
    assert refused.status_code == 409
    assert "1 rows have errors" in error_of(refused)["detail"]
    listed = api.get(f"imports/{found.pk}/errors/")
    assert listed["Content-Type"].startswith("text/csv")
    assert api.post(f"imports/{found.pk}/store/", {"leave_out_bad": True}).json()["counts"]["stored"]["prompts"] == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"mapping": {"nonsense": "a"}}, "mapping"),
        ({"mapping": {"prompt": 7}}, "mapping"),
        ({"queue": str(uuid.uuid4())}, "queue"),
        ({"words": {"a": ["x"], "b": ["x"]}}, "words"),
        ({"largest_margin": 0}, "largest_margin"),
        ({"also_ask": 99}, "also_ask"),
        ({"source": "x" * 201}, "source"),
        ({"tags": ["x" * 51]}, "tags"),
    ],
)
def test_what_cannot_be_is_refused_on_its_field(api, project, values, field):
    found = make_import(project)
    answer = api.patch(f"imports/{found.pk}/", values)
    assert (answer.status_code, error_of(answer)["attr"]) == (422, field)
    found.refresh_from_db()
    assert found.state == "uploaded"


def test_a_queue_of_another_kind_is_refused(api, project):
    found = make_import(project, "\n".join(json.dumps(row) for row in VOTES))
    queue = make_queue(project, kind="rating")
    answer = api.patch(f"imports/{found.pk}/", {"kind": "votes", "queue": str(queue.pk)})
    assert (answer.status_code, error_of(answer)["attr"]) == (422, "queue")
    assert api.patch(f"imports/{found.pk}/", {"kind": "prompts", "queue": str(queue.pk)}).status_code == 422


def test_a_file_that_cannot_be_read_is_refused(api, project):
    answer = api.upload(f"projects/{project.slug}/imports/", SimpleUploadedFile("a.xlsx", b"PK"))
    assert (answer.status_code, error_of(answer)["attr"]) == (422, "file")
    assert not FileImport.objects.exists()


def test_what_is_over_cannot_be_changed(api, project):
    found = make_import(project)
    api.post(f"imports/{found.pk}/check/")
    api.post(f"imports/{found.pk}/store/")
    for call in ("check", "store", "drop"):
        assert api.post(f"imports/{found.pk}/{call}/").status_code == 409
    assert api.patch(f"imports/{found.pk}/", {"kind": "prompts"}).status_code in (409, 422)


@pytest.mark.parametrize("bad", ["a\x00b", "a\ud800b"])
def test_names_of_columns_that_no_database_keeps_are_passed_over_and_refused_in_a_mapping(api, project, bad):
    answer = api.upload(f"projects/{project.slug}/imports/", file_of({bad: "x", "prompt": "Why?"}))
    assert (answer.status_code, answer.json()["columns"]) == (201, ["prompt"])
    for mapping in ({"prompt": bad}, {bad: "prompt"}):
        refused = api.patch(f"imports/{answer.json()['id']}/", {"mapping": mapping})
        assert refused.status_code in (400, 422)
        assert FileImport.objects.get().mapping == {"prompt": ["prompt"]}
