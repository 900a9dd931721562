"""A worker and runs that pause, go on, wait after their preflight, or end badly with something kept."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tests.factories import make_base_checkpoint, make_project, make_run
from tests.training.conftest import make_model_files, processes_with, wait_until, with_files
from training.models import Checkpoint, Run, RunMetric
from training.retrying import retry_run
from training.rundir import WHOLE, Outcome, RunDirectory, directory_digest
from training.stopping import cancel_run, pause_run, resume_run
from training.worker import RunWorker

pytestmark = pytest.mark.torch

OBEYS = """
cd {directory}
echo '{{"step": 1, "loss": 0.5}}' >> metrics.jsonl
while [ ! -e pause ] && [ ! -e cancel ]; do sleep 0.02; done
echo '{{"status": "paused", "step": 1}}' > outcome.json
"""
"""A trainer that takes a step and then waits for a word; for this test it pauses whatever the word."""


@pytest.fixture(autouse=True)
def _database(shared_sqlite) -> None:
    """Every test here has a database that threads and child processes see."""


def make_queued(kind: str = "dpo", **values) -> Run:
    project = make_project()
    return make_run(project, kind, policy=with_files(make_base_checkpoint(project)), **values)


def after(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


def shell(script: str):
    return lambda directory: ["/bin/sh", "-c", script.format(directory=directory.path)]


def work(script: str, **options) -> None:
    try:
        RunWorker(poll=0.02, launcher=shell(script), **options).work(once=True)
    finally:
        if threading.current_thread() is not threading.main_thread():
            connection.close()


def at_work(script: str, **options) -> threading.Thread:
    thread = threading.Thread(target=work, args=(script,), kwargs=options)
    thread.start()
    return thread


def test_a_run_that_pauses_rests_until_somebody_resumes_it():
    run = make_queued()
    worker = at_work(OBEYS)
    wait_until(lambda: RunMetric.objects.filter(run=run).exists(), "the first step")
    pause_run(run=run, now=timezone.now())
    worker.join(60)
    paused = after(run)
    assert (paused.state, paused.lease_owner, paused.lease_expires_at, paused.crashes) == ("paused", "", None, 0)
    work("exit 1")  # nobody takes it
    assert (after(run).state, after(run).attempt) == ("paused", 1)
    resume_run(run=run)
    work('cd {directory}; test ! -e pause && echo \'{{"status": "cancelled"}}\' > outcome.json')
    assert (after(run).state, after(run).attempt) == ("cancelled", 2)


def test_a_trainer_that_knows_no_pause_is_ended_and_what_it_wrote_stays():
    run = make_queued("sample", config={"temperatures": [1.0]})
    mark = f"deaf-{os.getpid()}"
    worker = at_work(f"cd {{directory}}; : {mark}; echo '{{{{\"step\": 1}}}}' > metrics.jsonl; sleep 600; :")
    wait_until(lambda: RunMetric.objects.filter(run=run).exists(), "the first line")
    pause_run(run=run, now=timezone.now())
    worker.join(60)
    assert after(run).state == "paused"
    assert not processes_with(mark)
    assert (run.directory / "metrics.jsonl").exists()


def test_a_run_cancelled_while_it_pauses_goes_to_a_worker_again():
    run = make_queued()
    directory = RunDirectory(run.directory)
    directory.path.mkdir(parents=True)
    directory.write_outcome(Outcome("paused", 1))  # a worker that died before it recorded this
    Run.objects.filter(pk=run.pk).update(
        state="running", attempt=1, lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
    cancel_run(run=after(run), now=timezone.now())
    work('cd {directory}; test -e cancel && echo \'{{"status": "cancelled"}}\' > outcome.json')
    assert after(run).state == "cancelled"


def test_a_run_whose_pause_nobody_recorded_is_found_paused():
    run = make_queued()
    directory = RunDirectory(run.directory)
    directory.path.mkdir(parents=True)
    directory.write_outcome(Outcome("paused", 1))
    Run.objects.filter(pk=run.pk).update(
        state="running",
        attempt=1,
        lease_expires_at=timezone.now() - timedelta(seconds=1),
        pause_requested_at=timezone.now(),
    )
    work("exit 1")
    assert after(run).state == "paused"


def test_a_run_that_was_given_back_while_it_should_pause_pauses_without_a_trainer():
    run = make_queued(attempt=1, pause_requested_at=timezone.now())
    work("exit 1")
    assert after(run).state == "paused"
    assert not (run.directory / "log.txt").exists()


def test_preflight_and_environment_land_with_the_run_and_it_waits_for_somebody_to_look():
    run = make_queued(waits_after_preflight=True)
    writes = """
    cd {directory}
    echo '{{"checks": [{{"name": "length", "verdict": "ok", "message": "Fine."}}]}}' > preflight.json
    echo '{{"commit": "abc"}}' > environment.json
    grep -q '"waits_after_preflight": true' run.json || exit 1
    if [ -e preflight-seen ]; then echo '{{"status": "cancelled"}}' > outcome.json
    else echo '{{"status": "paused"}}' > outcome.json; fi
    """
    work(writes)
    landed = after(run)
    assert (landed.state, landed.environment) == ("paused", {"commit": "abc"})
    assert landed.preflight["checks"][0]["message"] == "Fine."
    resume_run(run=run)
    work(writes)
    assert after(run).state == "cancelled"


def test_a_run_that_failed_keeps_what_its_last_good_checkpoint_had_learned():
    run = make_queued()
    directory = RunDirectory(run.directory)
    directory.path.mkdir(parents=True)
    make_model_files(directory.model_path)
    directory.write_error("The loss is not finite at step 7.")
    directory.write_outcome(Outcome("failed", 6, directory_digest(directory.model_path), "t" * 64))
    work("exit 1")
    assert (after(run).state, after(run).error) == ("failed", "The loss is not finite at step 7.")
    assert Checkpoint.objects.get(run=run).step == 6


def test_a_run_that_was_given_up_says_from_where_a_retry_goes_on_and_does(settings):
    settings.RUN_MAX_ATTEMPTS = 1
    run = make_queued()
    whole = f"mkdir -p {{directory}}/checkpoints/checkpoint-20; touch {{directory}}/checkpoints/checkpoint-20/{WHOLE}"
    work(f"{whole}; kill -9 $$")
    assert after(run).state == "failed"
    assert "The checkpoint of step 20 is kept: a retry goes on from there." in after(run).error
    retry_run(run=run)
    ends = 'cd {directory}; test -d checkpoints/checkpoint-20 && echo \'{{"status": "cancelled"}}\' > outcome.json'
    work(ends)
    assert (after(run).state, after(run).error, after(run).attempt) == ("cancelled", "", 2)


def test_a_broken_preflight_file_does_not_stop_the_worker():
    run = make_queued()
    work("cd {directory}; echo '{{\"checks\": [' > preflight.json; echo 'Bad.' > error.txt; exit 1")
    assert (after(run).state, after(run).preflight) == ("failed", {})
