"""Jobs over HTTP."""

from __future__ import annotations

import pytest
from django.utils import timezone

from tests.api.people import ApiClient
from tests.factories import make_job

pytestmark = pytest.mark.django_db


def test_a_job_is_asked_cancelled_and_resumed(project, curator):
    job = make_job(project, words="Row 3", done=3, total=10, created_by=curator)
    client = ApiClient(curator)
    asked = client.get(f"jobs/{job.pk}/").json()
    assert (asked["state"], asked["done"], asked["total"], asked["created_by"]) == ("queued", 3, 10, "curator")
    assert client.post(f"jobs/{job.pk}/cancel/").json()["state"] == "cancelled"
    assert client.post(f"jobs/{job.pk}/resume/").json()["state"] == "queued"


def test_what_does_not_fit_its_state_is_a_conflict(project, curator):
    job = make_job(project, state="succeeded", finished_at=timezone.now())
    for verb in ("cancel", "resume"):
        answer = ApiClient(curator).post(f"jobs/{job.pk}/{verb}/")
        assert answer.status_code == 409
        assert answer.json()["errors"][0]["code"] == "job_not_waiting"


def test_the_list_filters_and_refuses_what_is_no_kind(project, curator):
    make_job(project, "scan")
    make_job(project, "freeze")
    client = ApiClient(curator)
    path = f"projects/{project.slug}/jobs/"
    assert [job["kind"] for job in client.get(f"{path}?kind=freeze").json()["results"]] == ["freeze"]
    assert client.get(f"{path}?state=running").json()["count"] == 0
    assert client.get(f"{path}?kind=nonsense").status_code == 422
