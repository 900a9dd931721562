"""Cancelling a run from its page."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from feedback.models import Project, User
from tests.factories import make_run
from training.models import Run

pytestmark = pytest.mark.django_db


def url(run: Run) -> str:
    return reverse("run-cancel", args=[run.project.slug, run.pk])


def test_a_waiting_run_is_cancelled_at_once(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project)
    client.force_login(ml_staff)
    response = client.post(url(run))
    assert response["Location"] == reverse("run", args=[project.slug, run.pk])
    run.refresh_from_db()
    assert run.state == "cancelled"


def test_a_running_one_is_asked_to_stop_and_says_so(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project, state="running")
    client.force_login(ml_staff)
    page = client.post(url(run), headers={"HX-Request": "true"})
    assert page.status_code == 200
    assert "Stops after this step" in page.content.decode()
    assert url(run) not in page.content.decode()
    run.refresh_from_db()
    assert (run.state, run.cancel_requested_at is None) == ("running", False)


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_run_that_is_over_cannot_be_cancelled(
    client: Client, project: Project, ml_staff: User, headers: dict[str, str]
) -> None:
    run = make_run(project, state="succeeded")
    client.force_login(ml_staff)
    response = client.post(url(run), headers=headers)
    assert response.status_code == 409
    assert "is over: succeeded" in response.content.decode()


@pytest.mark.parametrize(("person", "status"), [("curator", 403), ("annotator", 403), ("outsider", 404)])
def test_others_cancel_nothing(
    client: Client, project: Project, request: pytest.FixtureRequest, person: str, status: int
) -> None:
    run = make_run(project)
    client.force_login(request.getfixturevalue(person))
    assert client.post(url(run)).status_code == status
    run.refresh_from_db()
    assert run.state == "queued"


def test_the_button_is_for_those_who_may(client: Client, project: Project, ml_staff: User, curator: User) -> None:
    run = make_run(project)
    page = reverse("run", args=[project.slug, run.pk])
    client.force_login(curator)
    assert url(run) not in client.get(page).content.decode()
    client.force_login(ml_staff)
    assert url(run) in client.get(page).content.decode()


def test_it_takes_a_post_and_a_login(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project)
    assert client.post(url(run))["Location"].startswith(reverse("account_login"))
    client.force_login(ml_staff)
    assert client.get(url(run)).status_code == 405
