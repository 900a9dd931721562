"""The next task is fetched ahead under a lease of its own, and a submission is answered in JSON behind the page."""

from __future__ import annotations

import uuid

import pytest
from django.utils import timezone

from feedback.models import Assignment, Draft, Judgment
from feedback.queues import set_queue_state
from tests.factories import make_queue, make_task
from tests.pages.label import HTMX, at, form_on, let_lease_run_out, open_task

pytestmark = pytest.mark.django_db
JSON = {"Accept": "application/json"}


@pytest.fixture
def queue(project, annotator, client):
    client.force_login(annotator)
    return make_queue(project)


def ahead(client, queue, *beside):
    return client.get(at("label", queue), {"ahead": 1, "beside": beside}, headers=HTMX)


def send(client, queue, form, **said):
    values = {**form, "preference": 2, "active_seconds": 1, **said}
    return client.post(at("label-submit", queue), values, headers=JSON)


def test_the_task_ahead_is_another_one_under_its_own_lease(client, queue, annotator):
    for _ in range(3):
        make_task(queue)
    form = open_task(client, queue)
    answer = ahead(client, queue, form["assignment"])
    next_form = form_on(answer)
    assert answer.status_code == 200
    assert next_form["task"] != form["task"]
    assert Assignment.objects.held_by(annotator, timezone.now()).count() == 2
    assert form_on(ahead(client, queue, form["assignment"]))["assignment"] == next_form["assignment"]
    assert open_task(client, queue)["assignment"] == form["assignment"], "the page still shows the first"


def test_without_another_task_there_is_nothing_ahead(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    assert ahead(client, queue, form["assignment"]).status_code == 204


def test_a_paused_queue_hands_nothing_out_ahead(client, queue):
    make_task(queue)
    make_task(queue)
    form = open_task(client, queue)
    set_queue_state(queue=queue, state="paused")
    assert ahead(client, queue, form["assignment"]).status_code == 204


def test_what_is_no_id_is_malformed(client, queue):
    assert ahead(client, queue, "x").status_code == 400


def test_a_submission_sent_behind_is_acknowledged_with_the_way_to_revise_it(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    answer = send(client, queue, form)
    judgment = Judgment.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {
        "judgment": str(judgment.pk),
        "revise": f"{at('label-revise', queue, judgment.pk)}?back=label",
    }
    assert send(client, queue, form).status_code == 201, "the same again is acknowledged again"
    assert Judgment.objects.count() == 1


def test_a_refusal_behind_says_why(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    answer = send(client, queue, form, preference="")
    assert (answer.status_code, answer.json()["detail"]) == (422, "choose a step of the scale first")


def test_a_lost_lease_behind_keeps_a_draft_and_the_page_tells_all(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    let_lease_run_out()
    answer = send(client, queue, form, rationale="late")
    assert (answer.status_code, answer.json()["code"], answer.json()["slot_free"]) == (409, "lease_lost", True)
    assert Draft.objects.get().rationale == "late"
    page = client.post(at("label-submit", queue), {**form, "preference": 2, "rationale": "late"}, headers=HTMX)
    assert page.status_code == 409
    assert "Take it again and submit" in page.content.decode()


def test_a_task_that_came_back_ahead_can_be_submitted_as_it_was_typed(client, queue):
    """A lease ran out over a draft; fetching ahead gave the person the task again, under another lease."""
    make_task(queue)
    make_task(queue)
    form = open_task(client, queue)
    let_lease_run_out(pk=form["assignment"])
    send(client, queue, form, rationale="late")
    again = ahead(client, queue, str(uuid.uuid4()))
    assert form_on(again)["task"] == form["task"]
    page = client.post(at("label-submit", queue), {**form, "preference": 2, "rationale": "late"}, headers=HTMX)
    assert "Take it again and submit" in page.content.decode()
    assert client.post(at("label-retake", queue), form_on(page), headers=HTMX).status_code == 200
    assert Judgment.objects.get().rationale == "late"
