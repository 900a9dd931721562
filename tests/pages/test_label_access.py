"""Who may label: annotators of the project, and nobody else, staff and superusers included."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from django.urls import reverse

from feedback.models import Assignment, Judgment
from tests.factories import make_judgment, make_member, make_queue, make_task, make_user
from tests.pages.label import HTMX, at, open_task

pytestmark = pytest.mark.django_db

GETS = ("label", "label-guidelines", "label-history", "label-me")
POSTS = ("label-submit", "label-skip", "label-draft", "label-renew", "label-retake", "label-unskip")


@pytest.fixture
def queue(project):
    queue = make_queue(project)
    make_task(queue)
    return queue


def answers(client, queue, annotator):
    """Every page of the annotator, and the status it answers with."""
    judgment = Judgment.objects.filter(annotator=annotator).first() or make_judgment(queue=queue, annotator=annotator)
    found = {name: client.get(at(name, queue)).status_code for name in GETS}
    found |= {name: client.post(at(name, queue)).status_code for name in POSTS}
    found["label-revise"] = client.get(at("label-revise", queue, judgment.pk)).status_code
    found["label-answer"] = client.post(at("label-answer", queue, judgment.pk), {"text": "No."}).status_code
    return found


@pytest.mark.parametrize(
    ("who", "expected"), [("curator", 403), ("ml_staff", 403), ("project_admin", 403), ("outsider", 404)]
)
def test_members_without_the_role_are_told_and_outsiders_learn_nothing(
    client, queue, annotator, who, expected, request
):
    client.force_login(request.getfixturevalue(who))
    assert set(answers(client, queue, annotator).values()) == {expected}
    assert not Assignment.objects.filter(state="leased").exists()


def test_a_superuser_without_membership_does_not_label(client, queue, annotator):
    client.force_login(make_user(is_superuser=True))
    assert set(answers(client, queue, annotator).values()) == {403}


def test_an_annotator_may(client, queue, annotator):
    client.force_login(annotator)
    found = answers(client, queue, annotator)
    assert {found[name] for name in GETS} == {200}
    assert {found[name] for name in POSTS} == {422}
    assert found["label-revise"] == 200
    assert found["label-answer"] == 302


def test_an_annotator_of_another_project_is_an_outsider(client, queue, annotator):
    client.force_login(make_member(make_queue().project))
    assert set(answers(client, queue, annotator).values()) == {404}


def test_an_unknown_queue_is_not_found(client, annotator):
    client.force_login(annotator)
    assert client.get(reverse("label", args=[uuid.uuid4()])).status_code == 404


def test_a_visitor_is_sent_to_the_login_and_back_to_the_page(client, queue):
    for name in GETS:
        assert client.get(at(name, queue))["Location"] == f"{reverse('account_login')}?next={at(name, queue)}"
    for name in POSTS:
        assert client.post(at(name, queue))["Location"] == f"{reverse('account_login')}?next={at('label', queue)}"


def test_a_script_of_somebody_logged_out_gets_401_and_no_login_page(client, queue, annotator):
    """htmx would put the login page in the place of what the person has typed."""
    client.force_login(annotator)
    form = open_task(client, queue)
    client.logout()
    for name in POSTS:
        assert client.post(at(name, queue), form, headers=HTMX).status_code == 401
        assert client.post(at(name, queue), form, headers={"Accept": "application/json"}).status_code == 401
    assert not Judgment.objects.exists()


def test_a_form_without_the_token_is_refused(queue, annotator):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(annotator)
    form = {name: value for name, value in open_task(strict, queue).items() if name != "csrfmiddlewaretoken"}
    assert strict.post(at("label-submit", queue), {**form, "preference": 1}).status_code == 403
    assert not Judgment.objects.exists()
