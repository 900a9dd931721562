"""Jobs: claimed once, fenced, cancelled, resumed; however one ends, its row says so in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import rules
from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from feedback import job_kinds
from feedback.clerk import Clerk
from feedback.jobs import (
    JobFailed,
    JobLost,
    JobNotWaiting,
    JobRun,
    cancel_job,
    carry_out,
    carry_out_claimed,
    claim_job,
    resume_job,
    start_and_carry_out,
    start_job,
)
from feedback.models import Job, Prompt
from feedback.refusals import Refusal
from tests.factories import make_member, make_project, make_prompt

pytestmark = pytest.mark.django_db

KIND = Job.Kind.SCAN


@pytest.fixture(autouse=True)
def _work_is_as_before() -> Iterator[None]:
    before = dict(job_kinds.WORK)
    yield
    job_kinds.WORK.clear()
    job_kinds.WORK.update(before)


def work(function: Callable[[JobRun], dict[str, Any]]) -> Callable[[JobRun], dict[str, Any]]:
    """Let `function` do the work of KIND."""
    globals()["_work"] = function
    job_kinds.WORK[KIND] = f"{__name__}._work"
    return function


def make_job(**params: Any) -> Job:
    return start_job(project=make_project(), kind=KIND, params=params, created_by=None)


def expire(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def count_to_ten(run: JobRun) -> dict[str, Any]:
    """Write one prompt per step and go on from the cursor."""
    for number in range(run.cursor.get("next", 0), 10):
        with run.step(cursor={"next": number + 1}, done=number + 1):
            make_prompt(run.job.project, text=f"{run.job.pk} {number}")
            if run.params.get("break_at") == number and run.job.attempt == 1:
                raise ZeroDivisionError
        run.progress(number + 1, 10, f"Prompt {number + 1}")
    return {"prompts": 10}


def test_a_job_is_started_claimed_and_done():
    work(count_to_ten)
    job = carry_out(make_job())
    assert (job.state, job.result, job.error, job.done, job.total) == ("succeeded", {"prompts": 10}, "", 10, 10)
    assert (job.attempt, job.crashes, job.lease_expires_at, job.lease_owner) == (1, 0, None, "")
    assert job.started_at <= job.finished_at
    assert job.percent == 100
    assert Prompt.objects.count() == 10


def test_the_oldest_waiting_job_is_taken_first_and_once():
    first, second = make_job(), make_job()
    assert claim_job(worker="one") == first
    assert claim_job(worker="two") == second
    assert claim_job(worker="three") is None


def test_a_reason_for_people_ends_the_job_with_it():
    @work
    def refuse(run: JobRun) -> dict[str, Any]:
        raise JobFailed("Row 17 has no prompt.")

    job = carry_out(make_job())
    assert (job.state, job.error) == ("failed", "Row 17 has no prompt.")
    assert job.finished_at is not None


def test_a_refusal_of_a_verb_ends_the_job_with_its_message():
    @work
    def refuse(run: JobRun) -> dict[str, Any]:
        raise Refusal("name", "There is a snapshot of this name.")

    assert carry_out(make_job()).error == "There is a snapshot of this name."


def test_what_nobody_foresaw_is_logged_whole_and_told_in_a_sentence(caplog):
    work(count_to_ten)
    job = carry_out(make_job(break_at=3))
    assert job.state == "failed"
    assert "nobody foresaw (ZeroDivisionError)" in job.error
    assert "Traceback" not in job.error
    assert "ZeroDivisionError" in caplog.text
    assert Prompt.objects.count() == 3, "the step that broke left nothing"
    assert job.cursor == {"next": 3}


def test_a_failed_job_resumed_goes_on_where_it_was():
    work(count_to_ten)
    job = carry_out(make_job(break_at=3))
    resume_job(job=job, by=make_member(job.project, "curator"))
    assert (job.state, job.error, job.cursor) == ("queued", "", {"next": 3})
    job = carry_out(job)
    assert job.state == "succeeded"
    assert Prompt.objects.count() == 10
    assert job.done_when_claimed == 3


def test_a_waiting_job_is_cancelled_at_once_and_can_be_resumed():
    work(count_to_ten)
    job, by = make_job(), None
    by = make_member(job.project, "curator")
    assert cancel_job(job=job, by=by).state == "cancelled"
    assert claim_job(worker="one") is None
    assert resume_job(job=job, by=by).state == "queued"
    assert carry_out(job).state == "succeeded"


def test_a_running_job_stops_at_its_next_step_and_writes_no_more():
    @work
    def cancelled_on_the_way(run: JobRun) -> dict[str, Any]:
        with run.step(cursor={"next": 1}):
            make_prompt(run.job.project, text="first")
        cancel_job(job=Job.objects.get(pk=run.job.pk), by=make_member(run.job.project, "curator"))
        with run.step(cursor={"next": 2}):
            make_prompt(run.job.project, text="second")
        return {}

    job = carry_out(make_job())
    assert (job.state, job.cursor, job.error) == ("cancelled", {"next": 1}, "")
    assert Prompt.objects.count() == 1


def test_a_job_whose_clerk_is_gone_is_cancelled_at_once():
    job = make_job()
    claim_job(worker="gone")
    expire(job)
    assert cancel_job(job=job, by=make_member(job.project, "curator")).state == "cancelled"


def test_a_job_that_is_over_cannot_be_cancelled_and_one_that_runs_cannot_be_resumed():
    work(count_to_ten)
    job = carry_out(make_job())
    by = make_member(job.project, "curator")
    with pytest.raises(JobNotWaiting, match=r"over \(done\)"):
        cancel_job(job=job, by=by)
    with pytest.raises(JobNotWaiting, match="this one is done"):
        resume_job(job=job, by=by)


def test_whoever_lost_a_job_writes_nothing_more():
    job = make_job()
    late = JobRun(claim_job(worker="one"))
    expire(job)
    claim_job(worker="two")
    stored = Job.objects.values().get()
    with pytest.raises(JobLost), late.step(cursor={"next": 1}):
        make_prompt(job.project)
    with pytest.raises(JobLost):
        late.progress(1, 10, "Nearly there")
    late.end_quietly(Job.State.FAILED, error="too late")
    assert Job.objects.values().get() == stored
    assert not Prompt.objects.exists()


def test_a_job_that_takes_down_its_processes_is_given_up_and_resume_tries_anew(settings):
    work(count_to_ten)
    job = make_job()
    for worker in range(settings.JOB_MAX_ATTEMPTS):
        assert claim_job(worker=str(worker)) == job
        expire(job)
    Clerk(poll=0.01).work(once=True)
    job.refresh_from_db()
    assert (job.state, job.crashes) == ("failed", settings.JOB_MAX_ATTEMPTS)
    assert "Given up" in job.error
    assert carry_out(resume_job(job=job, by=make_member(job.project, "curator"))).state == "succeeded"


def test_what_takes_longer_than_a_request_may_is_left_for_a_clerk():
    work(count_to_ten)
    job = start_and_carry_out(project=make_project(), kind=KIND, params={}, created_by=None, seconds=0)
    assert (job.state, job.done, job.error) == ("queued", 0, "")
    Clerk(poll=0.01).work(once=True)
    job.refresh_from_db()
    assert (job.state, job.crashes) == ("succeeded", 0)


def test_a_job_that_somebody_else_holds_is_left_be():
    work(count_to_ten)
    job = make_job()
    claim_job(worker="clerk")
    assert carry_out(job).state == "running"
    assert job.lease_owner == "clerk"


def test_a_clerk_that_has_to_stop_gives_the_job_back_as_no_crash():
    work(count_to_ten)
    clerk = Clerk()
    job = make_job()
    claimed = claim_job(worker="one")
    clerk.stop()
    carry_out_claimed(claimed, stopping=clerk.stopping)
    job.refresh_from_db()
    assert (job.state, job.crashes, job.lease_owner) == ("queued", 0, "")


def test_a_database_that_is_away_costs_an_attempt_and_is_told_in_the_end(settings):
    @work
    def cannot_reach(run: JobRun) -> dict[str, Any]:
        raise OperationalError("database is locked")

    job = make_job()
    Clerk(poll=0.01).work(once=True)
    job.refresh_from_db()
    assert (job.state, job.crashes) == ("failed", settings.JOB_MAX_ATTEMPTS)
    assert "database is locked" in job.error


@pytest.mark.parametrize("kind", Job.Kind.values)
def test_every_kind_of_job_has_its_work_and_its_permission(kind):
    assert callable(job_kinds.work_of(kind))
    assert rules.perm_exists(job_kinds.PERMISSIONS[kind])


def test_the_table_refuses_a_running_job_without_a_lease():
    job = make_job()
    with pytest.raises(IntegrityError, match="job_running_has_lease"), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(state="running")
