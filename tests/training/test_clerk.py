"""`manage.py clerk`: several at once, killed and stopped in the middle, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from feedback.jobs import claim_job, start_job
from feedback.models import Job, Prompt, Worker
from feedback.people import create_project
from tests.conftest import DATA_DIR
from tests.training.conftest import ROOT, SharedDatabase, wait_until

pytestmark = pytest.mark.slow

KIND = Job.Kind.SCAN


@pytest.fixture
def jobs(shared_database: SharedDatabase) -> Callable[..., list[Job]]:
    """Make so many jobs that each count to `to`, in a project of their own."""
    Job.objects.unfinished().update(state="cancelled", finished_at=None)
    Worker.objects.filter(work=Worker.Work.JOBS).delete()
    project = create_project(name=f"Clerks {os.urandom(4).hex()}")

    def make(count: int, to: int, pause: float = 0.02) -> list[Job]:
        params = {"to": to, "pause": pause}
        return [start_job(project=project, kind=KIND, params=params, created_by=None) for _ in range(count)]

    return make


@pytest.fixture
def start_clerk(shared_database: SharedDatabase, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, lease: int = 2) -> subprocess.Popen[bytes]:
        with open(tmp_path / f"clerk-{len(started)}.log", "ab") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.training.clerk_process", "--poll", "0.05", *arguments],
                    cwd=ROOT,
                    env={
                        **os.environ,
                        "DATABASE_URL": shared_database.url,
                        "CONCORD_DATA_DIR": str(DATA_DIR),
                        "JOB_LEASE_SECONDS": str(lease),
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def rows(*jobs: Job) -> int:
    return Prompt.objects.filter(project=jobs[0].project).count()


def state(job: Job) -> str:
    job.refresh_from_db()
    return str(job.state)


def test_a_clerk_killed_in_the_middle_loses_nothing_and_nothing_is_done_twice(jobs, start_clerk):
    (job,) = jobs(1, to=60)
    first = start_clerk()
    wait_until(lambda: rows(job) >= 5, "some rows")
    first.kill()
    first.wait()
    stopped_at = rows(job)
    assert stopped_at < 60
    start_clerk()
    wait_until(lambda: state(job) == "succeeded", "the end of the job")
    assert rows(job) == 60, "a row per step: one more would break the digest's uniqueness"
    assert (job.attempt, job.crashes, job.result) == (2, 1, {"rows": 60})
    assert job.done_when_claimed >= stopped_at - 1


def test_two_clerks_do_each_job_once(jobs, start_clerk):
    made = jobs(6, to=5)
    clerks = [start_clerk("--once"), start_clerk("--once")]
    assert [clerk.wait(120) for clerk in clerks] == [0, 0]
    assert {state(job) for job in made} == {"succeeded"}
    assert rows(*made) == 30
    assert {job.attempt for job in made} == {1}
    assert not Worker.objects.filter(work=Worker.Work.JOBS).exists(), "both have signed off"


def test_a_clerk_that_is_told_to_stop_gives_its_job_back(jobs, start_clerk):
    (job,) = jobs(1, to=400)
    clerk = start_clerk()
    wait_until(lambda: rows(job) >= 3, "some rows")
    clerk.send_signal(signal.SIGTERM)
    assert clerk.wait(60) == 0
    assert state(job) == "queued"
    assert (job.crashes, job.lease_owner) == (0, "")
    assert job.cursor["next"] == rows(job)


def test_a_running_job_is_cancelled_from_outside(jobs, start_clerk):
    from feedback.jobs import cancel_job
    from tests.factories import make_user

    (job,) = jobs(1, to=2_000)
    start_clerk()
    wait_until(lambda: rows(job) >= 3, "some rows")
    assert cancel_job(job=job, by=make_user(username=f"by-{os.urandom(4).hex()}")).state == "running"
    wait_until(lambda: state(job) == "cancelled", "the end of the job")
    assert job.cursor["next"] == rows(job)


def test_a_long_pause_between_two_words_loses_no_job_while_its_clerk_lives(jobs, start_clerk):
    (job,) = jobs(1, to=2, pause=5.0)
    start_clerk(lease=2)
    start_clerk(lease=2)
    wait_until(lambda: state(job) == "succeeded", "the end of the job")
    assert (job.attempt, job.crashes) == (1, 0)


def test_of_many_clerks_one_takes_each_job(jobs):
    made = jobs(12, to=1)
    taken: list[object] = []
    start = threading.Barrier(6)

    def work(name: str) -> None:
        try:
            start.wait()
            while (job := claim_job(worker=name)) is not None:
                taken.append(job.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(f"clerk-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, taken)) == sorted(str(job.pk) for job in made)


def test_a_poll_that_cannot_be_is_refused():
    with pytest.raises(CommandError, match="more than 0"):
        call_command("clerk", poll=0)
