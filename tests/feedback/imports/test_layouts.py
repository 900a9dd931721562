"""Exports of other tools: Label Studio and Argilla."""

from __future__ import annotations

import json

import pytest

from feedback.imports import layouts
from feedback.imports.errors import ImportRefused
from feedback.models import Judgment, Response
from tests.feedback.imports.loading import jsonl, loader

pytestmark = pytest.mark.django_db


@pytest.fixture
def load(project, curator, tmp_path):
    return loader(project, tmp_path, by=curator)


def task(*annotations: dict, **data: str) -> dict:
    return {
        "id": 1,
        "data": {"prompt": "Hi", "answer1": "Hello", "answer2": "What", **data},
        "annotations": annotations,
    }


def annotation(value: dict, by: object = 2, **more: object) -> dict:
    return {
        "completed_by": by, "was_cancelled": False, "created_at": "2023-04-17T21:54:20.457543Z", "lead_time": 12.51,
        "result": [{"value": value, "from_name": "comparison", "type": "pairwise"}], **more,
    }  # fmt: skip


def test_a_label_studio_export_becomes_votes(load):
    rows = [task(annotation({"selected": "left"}), annotation({"selected": "right"}, by={"id": 3, "email": "b@c.d"}))]
    found = load("export.json", json.dumps(rows))
    assert (found.form, found.kind) == ("label_studio", "votes")
    first, second = Judgment.objects.order_by("id")
    assert (first.preference > 0) != (second.preference > 0)
    assert first.active_seconds == 12.51
    assert [one.annotator.imported_as.external_id for one in (first, second)] == ["2", "b@c.d"]


def test_label_studio_ratings_and_choices_are_understood(load):
    result = [
        {"value": {"rating": 4}, "from_name": "quality", "type": "rating"},
        {"value": {"choices": ["yes"]}, "from_name": "safe", "type": "choices"},
        {"value": {"text": ["Short."]}, "from_name": "comment", "type": "textarea"},
    ]
    row = {"data": {"prompt": "Hi", "response": "Hello"}, "annotations": [annotation({}, result=result)]}
    found = load("export.json", json.dumps([row]))
    assert found.kind == "ratings"
    judgment = Judgment.objects.get()
    assert judgment.content == {"ratings": [{"quality": 4}]}
    assert judgment.rationale == "Short."


def test_a_task_that_nobody_annotated_is_an_error_among_votes_and_a_prompt_among_prompts(load, project):
    rows = json.dumps([task(annotation({"selected": "left"})), task(annotation({}, was_cancelled=True), prompt="Ho")])
    with pytest.raises(ImportRefused, match="row 2: nobody has annotated this task"):
        load("export.json", rows)
    assert load("export.json", rows, leave_out_bad=True).counts["stored"]["judgments"] == 1
    assert load("export.json", rows, kind="prompts").counts["stored"]["prompts"] == 1


def test_argilla_records_of_version_1_become_votes(load):
    row = {
        "fields": {"prompt": "Hi", "response-1": "Hello", "response-2": "What"},
        "responses": [
            {"user_id": "u1", "status": "submitted", "values": {"preference": {"value": "response-2"}}},
            {"user_id": "u2", "status": "discarded", "values": {"preference": {"value": "response-1"}}},
        ],
    }
    found = load("records.json", json.dumps([row]))
    assert (found.form, found.kind) == ("argilla", "votes")
    judgment = Judgment.objects.get()
    assert Response.objects.get(pk=judgment.chosen_id).text == "What"
    assert judgment.annotator.imported_as.external_id == "u1"


def test_argilla_records_of_version_2_become_ratings(load):
    row = {
        "id": "r1", "status": "completed", "fields": {"prompt": "Hi", "response": "Hello"}, "metadata": {},
        "responses": {"quality": [{"value": 4, "user_id": "u1"}, {"value": 5, "user_id": "u2"}]},
    }  # fmt: skip
    found = load("records.json", json.dumps([row]))
    assert found.kind == "ratings"
    assert [one.content["ratings"] for one in Judgment.objects.order_by("id")] == [[{"quality": 4}], [{"quality": 5}]]


def test_argilla_rankings_name_the_fields_that_they_rank(load):
    ranking = [
        {"value": "response-1", "rank": 2},
        {"value": "response-2", "rank": 1},
        {"value": "response-3", "rank": 2},
    ]
    row = {
        "fields": {"prompt": "Hi", "response-1": "x", "response-2": "y", "response-3": "z"},
        "responses": [{"user_id": "u1", "status": "submitted", "values": {"ranking": {"value": ranking}}}],
    }
    mapping = {"prompt": "prompt", "responses": ["response-1", "response-2", "response-3"], "ranks": "ranking"}
    load("records.json", json.dumps([row]), kind="rankings", mapping={**mapping, "annotator": "annotator"})
    judgment = Judgment.objects.get()
    texts = [one.text for one in judgment.task.texts]
    assert dict(zip(texts, judgment.content["ranks"], strict=True)) == {"x": 2, "y": 1, "z": 2}


@pytest.mark.parametrize(
    "answers",
    [
        {"quality.responses": [4], "quality.responses.users": ["u1"], "quality.responses.status": ["submitted"]},
        {"quality": [{"user_id": "u1", "value": 4, "status": "submitted"}], "quality-suggestion": 3},
    ],
)
def test_argilla_datasets_become_ratings(load, answers):
    found = load(
        "set.jsonl", jsonl({"id": "r1", "status": "completed", "prompt": "Hi", "response": "Hello", **answers})
    )
    assert (found.form, found.kind) == ("argilla_table", "ratings")
    assert Judgment.objects.get().content == {"ratings": [{"quality": 4}]}
    assert Judgment.objects.get().annotator.imported_as.external_id == "u1"


@pytest.mark.parametrize("answers", [True, 4, "4", {"u1": 4}, None])
def test_answers_of_argilla_that_are_no_list_are_nobodys(answers):
    values = {"quality.responses": answers, "quality.responses.users": ["u1"]}
    assert layouts.answers_in(values, "quality") == []
