"""Drafts and the lease, as the page's script asks for them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.claims import claim_next
from feedback.models import Assignment, Draft
from tests.factories import make_member, make_queue, make_task
from tests.pages.label import at, let_lease_run_out, open_task, shown_draft, submit

pytestmark = pytest.mark.django_db
JSON = {"Accept": "application/json"}


@pytest.fixture
def queue(project, annotator, client):
    client.force_login(annotator)
    return make_queue(project)


def draft(client, queue, form, **said):
    return client.post(at("label-draft", queue), {**form, "active_seconds": 2, **said}, headers=JSON)


def test_a_draft_is_kept_and_comes_back(client, queue, annotator):
    make_task(queue)
    form = open_task(client, queue)
    assert draft(client, queue, form, preference=3, rationale="half a", flag=["other"]).status_code == 204
    stored = Draft.objects.get(annotator=annotator)
    assert (shown_draft(stored).preference, stored.rationale) == (3, "half a")
    html = client.get(at("label", queue)).content.decode()
    assert "half a" in html
    assert 'value="3" required checked' in html


def test_a_draft_needs_no_choice_yet(client, queue):
    make_task(queue)
    assert draft(client, queue, open_task(client, queue), rationale="first").status_code == 204
    assert Draft.objects.get().preference is None


def test_a_draft_outlives_the_lease_and_the_slot(client, queue, project, annotator):
    make_task(queue)
    form = open_task(client, queue)
    let_lease_run_out()
    claim_next(queue=queue, annotator=make_member(project), now=timezone.now())
    assert draft(client, queue, form, preference=-1, rationale="still mine").status_code == 204
    assert Draft.objects.get(annotator=annotator).rationale == "still mine"


def test_a_late_draft_of_a_judged_comparison_is_refused(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    submit(client, queue, form)
    answer = draft(client, queue, form, rationale="late")
    assert (answer.status_code, answer.json()["code"]) == (409, "already_judged")
    assert not Draft.objects.exists()


@pytest.mark.parametrize("damage", [{"rationale": "a" * 10_001}, {"preference": 9}, {"task": "x"}, {"shown": ""}])
def test_a_draft_that_makes_no_sense_is_refused(client, queue, damage):
    make_task(queue)
    assert draft(client, queue, open_task(client, queue), **damage).status_code == 422
    assert not Draft.objects.exists()


def test_somebody_elses_task_only_ever_gets_a_draft_of_ones_own(client, queue, project, annotator):
    make_task(queue, slots=2)
    form = open_task(client, queue)
    other = make_member(project)
    client.force_login(other)
    assert draft(client, queue, form, rationale="not hers").status_code == 204
    assert [one.annotator for one in Draft.objects.all()] == [other]


def renew(client, queue, form):
    values = {name: form[name] for name in ("assignment", "lease_token")}
    return client.post(at("label-renew", queue), values, headers=JSON)


def test_the_lease_is_renewed_while_the_person_is_at_work(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    Assignment.objects.update(lease_expires_at=timezone.now() + timedelta(minutes=2))
    answer = renew(client, queue, form)
    assert answer.status_code == 200
    assert 29 * 60 < answer.json()["seconds_left"] <= 30 * 60


def test_a_lost_lease_is_not_renewed_and_says_whether_the_slot_is_free(client, queue, project):
    make_task(queue)
    form = open_task(client, queue)
    let_lease_run_out()
    assert (renew(client, queue, form).status_code, renew(client, queue, form).json()["slot_free"]) == (409, True)
    claim_next(queue=queue, annotator=make_member(project), now=timezone.now())
    assert renew(client, queue, form).json()["slot_free"] is False


def test_a_renewal_without_a_lease_is_malformed(client, queue):
    assert client.post(at("label-renew", queue), {}, headers=JSON).status_code == 422
