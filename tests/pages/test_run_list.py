"""The list of runs: who sees it, what it shows, and when it keeps itself up to date."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from feedback.models import Project, User, Worker
from tests.factories import make_base_checkpoint, make_run

pytestmark = pytest.mark.django_db


def url(project: Project, name: str = "runs") -> str:
    return reverse(name, args=[project.slug])


def text(response) -> str:
    return response.content.decode()


@pytest.mark.parametrize("name", ["runs", "runs-live"])
def test_staff_read_it_and_others_do_not(
    client: Client, project: Project, ml_staff: User, curator: User, project_admin: User, annotator: User,
    outsider: User, name: str,
) -> None:  # fmt: skip
    for person, status in ((ml_staff, 200), (curator, 200), (project_admin, 200), (annotator, 403), (outsider, 404)):
        client.force_login(person)
        assert client.get(url(project, name)).status_code == status, person


def test_a_visitor_is_asked_to_log_in(client: Client, project: Project) -> None:
    response = client.get(url(project))
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("account_login"))


def test_it_shows_every_run_with_its_state(client: Client, project: Project, ml_staff: User) -> None:
    base = make_base_checkpoint(project, name="the-base")
    make_run(project, "dpo", name="Half way", state="running", policy=base, created_by=ml_staff,
             progress={"phase": "training", "done": 3, "total": 8})  # fmt: skip
    make_run(project, "reward", name="Broken", state="failed", error="Traceback\nValueError: the last word")
    client.force_login(ml_staff)
    page = text(client.get(url(project)))
    assert "Half way" in page
    assert '<progress max="8" value="3"' in page
    assert "the-base" in page
    assert "ValueError: the last word" in page


def test_only_ml_staff_is_offered_to_start_one(client: Client, project: Project, ml_staff: User, curator: User) -> None:
    start = reverse("run-start", args=[project.slug, "dpo"])
    client.force_login(ml_staff)
    assert start in text(client.get(url(project)))
    client.force_login(curator)
    assert start not in text(client.get(url(project)))


def test_it_polls_while_a_run_is_unfinished_and_not_afterwards(
    client: Client, project: Project, ml_staff: User
) -> None:
    run = make_run(project, state="running")
    client.force_login(ml_staff)
    assert url(project, "runs-live") in text(client.get(url(project)))
    run.state, run.finished_at = "cancelled", timezone.now()
    run.save()
    assert url(project, "runs-live") not in text(client.get(url(project)))


def test_it_says_when_nobody_will_take_a_queued_run(client: Client, project: Project, ml_staff: User) -> None:
    make_run(project)
    client.force_login(ml_staff)
    assert "No worker is alive" in text(client.get(url(project)))
    worker = Worker.objects.create(name="one", last_seen_at=timezone.now() - timedelta(seconds=31))
    assert "No worker is alive" in text(client.get(url(project)))
    worker.last_seen_at = timezone.now()
    worker.save()
    assert "No worker is alive" not in text(client.get(url(project)))


def test_it_lists_the_workers_with_what_they_have(client: Client, project: Project, ml_staff: User) -> None:
    Worker.objects.create(
        name="large", last_seen_at=timezone.now(), device="cuda", device_name="H100", memory_gb=79.6, labels=["fast"]
    )
    client.force_login(ml_staff)
    page = text(client.get(url(project)))
    assert all(words in page for words in ("1 worker", "H100", "79.6", "fast"))


def test_a_run_that_no_worker_can_take_says_what_they_lack(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project, needs={"device": "cuda"})
    Worker.objects.create(name="small", last_seen_at=timezone.now(), device="cpu", memory_gb=16.0)
    client.force_login(ml_staff)
    page = reverse("run", args=[project.slug, run.pk])
    assert "what they lack is a device of kind cuda" in text(client.get(page))
    Worker.objects.create(name="large", last_seen_at=timezone.now(), device="cuda", memory_gb=80.0)
    assert "what they lack" not in text(client.get(page))


def test_the_filter_narrows_it(client: Client, project: Project, ml_staff: User) -> None:
    make_run(project, "dpo", name="A policy")
    make_run(project, "reward", name="A scorer", state="failed")
    client.force_login(ml_staff)
    page = text(client.get(url(project), {"kind": "reward"}))
    assert "A scorer" in page
    assert "A policy" not in page
    assert "No such run" in text(client.get(url(project), {"kind": "ppo"}))
    assert "A policy" in text(client.get(url(project), {"state": "queued", "kind": "nonsense"}))


def test_another_projects_runs_are_not_shown(client: Client, project: Project, ml_staff: User) -> None:
    make_run(name="Elsewhere's")
    client.force_login(ml_staff)
    page = text(client.get(url(project)))
    assert "Elsewhere" not in page
    assert "No run yet" in page
