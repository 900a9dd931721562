"""The pages of jobs: how far one is, what stands in its way, cancel and resume."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from feedback.models import Job, Worker
from tests.factories import make_job

HTMX = {"HX-Request": "true"}


def page(client, job: Job, name: str = "job", **query: str) -> str:
    answer = client.get(reverse(name, args=[job.project.slug, job.pk]), query, headers=HTMX if name != "job" else {})
    assert answer.status_code == 200
    return answer.content.decode()


def address(job: Job, verb: str) -> str:
    return reverse(verb, args=[job.project.slug, job.pk])


@pytest.fixture
def curating(client, curator, project):
    client.force_login(curator)
    return client


def test_a_running_job_says_how_far_it_is_and_how_long_it_will_take(curating, project):
    job = make_job(project, state="running", done=250, total=1000, words="Row 250")
    Job.objects.update(claimed_at=timezone.now() - timedelta(seconds=100), done_when_claimed=50)
    shown = page(curating, job)
    for words in ("Row 250", "250 of 1,000", "25 %", "about 6 min left", 'value="250"', "Cancel"):
        assert words in shown, words
    assert 'hx-trigger="every 2s"' in shown


def test_a_job_that_is_over_asks_no_more(curating, project):
    result = {"words": "1,000 prompts are in.", "url": "/p/x/prompts/", "label": "Show them"}
    job = make_job(project, state="succeeded", done=1000, total=1000, result=result, finished_at=timezone.now())
    for name in ("job", "job-live"):
        shown = page(curating, job, name)
        assert "every 2s" not in shown
        assert "1,000 prompts are in." in shown
        assert 'href="/p/x/prompts/">Show them</a>' in shown
        assert "<form" not in shown.split('id="job"')[1].split("</section>")[0]


def test_the_page_around_is_loaded_anew_when_it_wanted_that(curating, project):
    job = make_job(project, state="running")
    assert "HX-Refresh" not in curating.get(address(job, "job-live"), {"refresh": "1"}).headers
    Job.objects.update(state="succeeded", finished_at=timezone.now())
    assert curating.get(address(job, "job-live"), {"refresh": "1"}).headers["HX-Refresh"] == "true"
    assert "HX-Refresh" not in curating.get(address(job, "job-live")).headers


def test_a_failed_job_says_why_and_can_be_tried_again(curating, project):
    job = make_job(project, state="failed", error="Row 17 has <no> prompt.", finished_at=timezone.now())
    shown = page(curating, job)
    assert "Row 17 has &lt;no&gt; prompt." in shown
    assert "Try again" in shown
    answer = curating.post(address(job, "job-resume"), headers=HTMX)
    assert answer.status_code == 200
    assert 'data-state="queued"' in answer.content.decode()
    job.refresh_from_db()
    assert job.state == "queued"


def test_a_waiting_job_is_cancelled_with_and_without_scripts(curating, project):
    job = make_job(project)
    shown = curating.post(address(job, "job-cancel"), headers=HTMX).content.decode()
    assert 'data-state="cancelled"' in shown
    other = make_job(project)
    assert curating.post(address(other, "job-cancel"))["Location"] == address(other, "job")
    other.refresh_from_db()
    assert other.state == "cancelled"


def test_what_is_over_cannot_be_cancelled(curating, project):
    job = make_job(project, state="succeeded", finished_at=timezone.now())
    answer = curating.post(address(job, "job-cancel"), headers=HTMX)
    assert answer.status_code == 409
    assert "nothing to cancel" in answer.content.decode()
    followed = curating.post(address(job, "job-cancel"), follow=True)
    assert "nothing to cancel" in followed.content.decode()


def test_without_a_clerk_the_pages_say_so(curating, project):
    job = make_job(project)
    assert "No clerk is alive" in page(curating, job)
    assert "No clerk is alive" in curating.get(reverse("jobs", args=[project.slug])).content.decode()
    Worker.objects.create(name="clerk", work=Worker.Work.JOBS, last_seen_at=timezone.now())
    assert "No clerk is alive" not in page(curating, job)
    assert "No clerk is alive" not in curating.get(reverse("jobs", args=[project.slug])).content.decode()


def test_a_job_whose_clerk_went_silent_says_so(curating, project):
    Worker.objects.create(name="another", work=Worker.Work.JOBS, last_seen_at=timezone.now())
    job = make_job(project, state="running", lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert "has not been heard of" in page(curating, job)


def test_the_list_shows_and_filters_what_ones_roles_may_start(curating, client, ml_staff, project):
    make_job(project, kind="scan")
    make_job(project, kind="measure", state="failed", error="It broke.", finished_at=timezone.now())
    make_job(project, kind="erase")
    url = reverse("jobs", args=[project.slug])

    def rows(**query: str) -> list[str]:
        return [str(job.kind) for job in curating.get(url, query).context["page_obj"]]

    assert rows() == ["measure", "scan"]
    assert rows(kind="scan") == ["scan"]
    assert rows(state="failed") == ["measure"]
    assert rows(kind="nonsense", state="'") == ["measure", "scan"]
    client.force_login(ml_staff)
    assert rows() == ["measure"]


def test_an_erasure_is_for_admins(client, curator, project_admin, project):
    job = make_job(project, kind="erase")
    client.force_login(curator)
    assert client.get(address(job, "job")).status_code == 403
    client.force_login(project_admin)
    assert client.get(address(job, "job")).status_code == 200
