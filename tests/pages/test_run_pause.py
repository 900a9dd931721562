"""Pausing, resuming and retrying a run from its page."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from feedback.models import Project, User
from tests.factories import make_run
from training.models import Run
from training.rundir import WHOLE, RunDirectory

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
CHANGES = [("run-pause", "queued", "paused"), ("run-resume", "paused", "queued"), ("run-retry", "failed", "queued")]


def url(run: Run, name: str) -> str:
    return reverse(name, args=[run.project.slug, run.pk])


@pytest.mark.parametrize(("name", "before", "after"), CHANGES)
def test_ml_staff_does_it_with_and_without_scripts(
    client: Client, project: Project, ml_staff: User, name: str, before: str, after: str
) -> None:
    client.force_login(ml_staff)
    run, other = make_run(project, state=before), make_run(project, state=before)
    assert url(run, name) in client.get(url(run, "run")).content.decode()
    shown = client.post(url(run, name), headers=HTMX)
    assert shown.status_code == 200
    assert f'data-state="{after}"' in shown.content.decode()
    assert client.post(url(other, name))["Location"] == url(other, "run")
    assert set(project.runs.values_list("state", flat=True)) == {after}


@pytest.mark.parametrize("name", ["run-pause", "run-resume", "run-retry"])
@pytest.mark.parametrize("headers", [{}, HTMX])
def test_what_cannot_be_is_refused_and_says_why(
    client: Client, project: Project, ml_staff: User, name: str, headers: dict[str, str]
) -> None:
    run = make_run(project, state="succeeded")
    client.force_login(ml_staff)
    response = client.post(url(run, name), headers=headers)
    assert response.status_code == 409
    assert "succeeded" in response.content.decode()


def test_a_running_one_says_that_it_pauses(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project, state="running")
    client.force_login(ml_staff)
    page = client.post(url(run, "run-pause"), headers=HTMX).content.decode()
    assert "Pauses after this step" in page
    assert url(run, "run-pause") not in page
    assert url(run, "run-cancel") in page


def test_a_failed_run_says_whether_a_retry_goes_on_or_begins_anew(
    client: Client, project: Project, ml_staff: User
) -> None:
    client.force_login(ml_staff)
    run = make_run(project, state="failed", attempt=1)
    assert "from its last checkpoint" not in client.get(url(run, "run")).content.decode()
    kept = RunDirectory(run.directory).checkpoints_path / "checkpoint-10"
    kept.mkdir(parents=True)
    (kept / WHOLE).touch()
    assert "Retry from its last checkpoint" in client.get(url(run, "run")).content.decode()


@pytest.mark.parametrize(("name", "before", "after"), CHANGES)
@pytest.mark.parametrize(("person", "status"), [("curator", 403), ("annotator", 403), ("outsider", 404)])
def test_others_change_nothing(
    client: Client, project: Project, request: pytest.FixtureRequest,
    person: str, status: int, name: str, before: str, after: str,
) -> None:  # fmt: skip
    run = make_run(project, state=before)
    client.force_login(request.getfixturevalue(person))
    assert client.post(url(run, name)).status_code == status
    run.refresh_from_db()
    assert run.state == before


@pytest.mark.parametrize(("name", "before", "after"), CHANGES)
def test_it_takes_a_post_and_a_login(
    client: Client, project: Project, ml_staff: User, name: str, before: str, after: str
) -> None:
    run = make_run(project, state=before)
    assert client.post(url(run, name))["Location"].startswith(reverse("account_login"))
    client.force_login(ml_staff)
    assert client.get(url(run, name)).status_code == 405
