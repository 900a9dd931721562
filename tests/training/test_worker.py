"""A worker without torch: what it does with runs that cannot start, have ended, or were lost."""

from __future__ import annotations

import os
import shutil
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from feedback.models import Worker
from feedback.row_leases import Heartbeat
from tests.factories import make_base_checkpoint, make_project, make_prompt, make_queue, make_run
from tests.training.conftest import make_model_files, processes_with, wait_until, with_files
from training.models import Checkpoint, Run, RunMetric
from training.rundir import Outcome, RunDirectory, directory_digest
from training.worker import RunWorker, lease_of

BAD_CONFIG = {"no_such_setting": 1}
"""The trainer refuses it before it loads anything."""


@pytest.fixture(autouse=True)
def _database(shared_sqlite) -> None:
    """Every test here has a database that threads and child processes see."""


def dpo_run(**values) -> Run:
    project = make_project()
    return make_run(project, "dpo", policy=with_files(make_base_checkpoint(project)), **values)


def work(**options) -> None:
    RunWorker(poll=0.05, **options).work(once=True)


def after(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


def directory_of(run: Run) -> RunDirectory:
    directory = RunDirectory(run.directory)
    directory.path.mkdir(parents=True)
    return directory


@pytest.mark.torch
def test_a_trainers_refusal_is_the_runs_error_and_is_not_tried_again():
    run = dpo_run(config=BAD_CONFIG)
    work()
    done = after(run)
    assert (done.state, done.attempt, done.crashes) == ("failed", 1, 0)
    assert "no_such_setting" in done.error


@pytest.mark.torch
def test_files_that_are_gone_fail_the_run_with_their_name():
    run = dpo_run()
    shutil.rmtree(Path(django_settings.DATA_DIR) / run.policy.path)
    work()
    assert after(run).state == "failed"
    assert "gone" in after(run).error


@pytest.mark.torch
def test_a_run_directory_that_cannot_be_made_fails_the_run(settings, tmp_path):
    run = dpo_run()
    settings.DATA_DIR = tmp_path / "data"
    make_model_files(settings.DATA_DIR / run.policy.path)
    (settings.DATA_DIR / "runs").write_text("in the way")
    work()
    assert after(run).state == "failed"
    assert "cannot be used" in after(run).error


def test_the_run_directory_says_all_that_the_trainer_needs():
    from training.run_inputs import write_inputs

    project = make_project()
    base = with_files(make_base_checkpoint(project))
    prompts = [make_prompt(project), make_prompt(project, split="evaluation")]
    sample = make_run(project, "sample", policy=base, queue=make_queue(project), config={"temperatures": [1.0]})
    spec = write_inputs(sample)
    directory = RunDirectory(sample.directory)
    assert spec == directory.spec()
    assert (spec.kind, spec.policy.base) == ("sample", str(Path(django_settings.DATA_DIR) / base.path))
    rows = directory.prompts_path.read_text()
    assert all(str(prompt.pk) in rows for prompt in prompts)
    make_prompt(project)
    write_inputs(sample)
    assert directory.prompts_path.read_text() == rows


def test_what_ended_while_nobody_watched_is_recorded_without_a_new_trainer():
    run = dpo_run()
    directory = directory_of(run)
    directory.append_metrics({"step": 1, "loss": 0.5})
    make_model_files(directory.model_path)
    directory.write_outcome(Outcome("succeeded", 1, directory_digest(directory.model_path), "t" * 64))
    work()
    assert after(run).state == "succeeded"
    assert Checkpoint.objects.get(run=run).name == "dpo-1"
    assert RunMetric.objects.get(run=run).values == {"loss": 0.5}
    assert not directory.log_path.exists()


def test_an_outcome_that_fits_nothing_fails_the_run():
    run = dpo_run()
    directory_of(run).write_outcome(Outcome("succeeded", 1, "0" * 64))
    work()
    assert after(run).state == "failed"
    assert "gone" in after(run).error


def test_a_cancelled_run_that_had_nothing_to_keep_ends_without_a_trainer():
    run = dpo_run(attempt=1, cancel_requested_at=timezone.now())
    work()
    assert after(run).state == "cancelled"
    assert not (run.directory / "log.txt").exists()


def test_a_run_whose_workers_keep_vanishing_is_given_up(settings):
    settings.RUN_MAX_ATTEMPTS = 3
    run = dpo_run(state="running", crashes=2, attempt=3, lease_expires_at=timezone.now() - timedelta(seconds=1))
    work()
    assert after(run).state == "failed"
    assert "3 attempts" in after(run).error


@pytest.mark.torch
def test_a_trainer_that_keeps_crashing_is_tried_again_and_then_given_up(settings):
    settings.RUN_MAX_ATTEMPTS = 2
    run = dpo_run()
    work(launcher=lambda directory: ["/bin/sh", "-c", "echo out of luck; kill -9 $$"])
    done = after(run)
    assert (done.state, done.attempt, done.crashes) == ("failed", 2, 2)
    assert "2 attempts" in done.error
    assert "SIGKILL" in done.error
    assert "out of luck" in done.error


@pytest.mark.torch
def test_a_cancel_that_the_trainer_does_not_hear_ends_it_all_the_same():
    run = dpo_run()
    worker = RunWorker(poll=0.05, cancel_grace=0.2, launcher=lambda directory: ["/bin/sh", "-c", "sleep 600"])
    thread = threading.Thread(target=in_thread, args=(worker,))
    thread.start()
    wait_until(lambda: (run.directory / "child.json").exists(), "the trainer's start")
    Run.objects.filter(pk=run.pk).update(cancel_requested_at=timezone.now())
    thread.join(60)
    assert after(run).state == "cancelled"
    assert (run.directory / "cancel").exists()


@pytest.mark.torch
def test_a_worker_that_lost_its_lease_ends_its_trainer_and_writes_nothing(settings):
    settings.RUN_LEASE_SECONDS = 1
    mark = f"lost-{os.getpid()}"
    run = dpo_run()
    worker = RunWorker(poll=0.05, launcher=lambda directory: ["/bin/sh", "-c", f": {mark}; sleep 600; :"])
    thread = threading.Thread(target=in_thread, args=(worker, False))
    thread.start()
    wait_until(lambda: processes_with(mark), "the trainer's start")
    Run.objects.filter(pk=run.pk).update(
        lease_owner="another", attempt=9, lease_expires_at=timezone.now() + timedelta(hours=1)
    )
    taken = Run.objects.values().get(pk=run.pk)
    wait_until(lambda: not processes_with(mark), "the trainer's end")
    worker.stop()
    thread.join(60)
    assert Run.objects.values().get(pk=run.pk) == taken


def in_thread(worker: RunWorker, once: bool = True) -> None:
    try:
        worker.work(once=once)
    finally:
        connection.close()


def test_the_heartbeat_keeps_a_lease_alive_and_notices_its_loss(settings):
    settings.RUN_LEASE_SECONDS = 0.6
    run = dpo_run(state="running", attempt=1, lease_owner="one")
    heartbeat = Heartbeat(lease_of(run))
    heartbeat.start()
    wait_until(lambda: after(run).lease_expires_at < run.lease_expires_at, "a renewal")
    Run.objects.filter(pk=run.pk).update(attempt=2)
    assert heartbeat.lost.wait(60)
    heartbeat.stop()


def test_a_worker_signs_on_and_off():
    worker = RunWorker(name="here:1:abc", poll=0.05)
    Worker.objects.create(name="long gone", last_seen_at=timezone.now() - timedelta(days=2))
    thread = threading.Thread(target=in_thread, args=(worker, False))
    thread.start()
    wait_until(lambda: list(Worker.objects.values_list("name", flat=True)) == ["here:1:abc"], "the sign of life")
    worker.stop()
    thread.join(60)
    assert not Worker.objects.exists()


@pytest.mark.torch
def test_settings_that_are_no_longer_known_fail_the_run_and_the_worker_goes_on():
    lost, other = dpo_run(launch={"launcher": "balloon"}), dpo_run(launch={"no_such_setting": 1})
    work()
    assert (after(lost).state, after(other).state) == ("failed", "failed")
    assert "Its settings are no longer known here: launcher: 'balloon' is not one of local" in after(lost).error
    assert "no_such_setting" in after(other).error


@pytest.mark.torch
def test_what_nobody_foresaw_fails_the_run_and_the_worker_goes_on():
    run, other = dpo_run(), dpo_run()
    directory = directory_of(run)
    directory.spec_path.write_text("{")
    work(launcher=lambda directory: ["/bin/sh", "-c", f"echo Bad. > {directory.path}/error.txt; exit 1"])
    assert (after(run).state, after(other).state) == ("failed", "failed")
    assert "Something went wrong that nobody foresaw (JSONDecodeError" in after(run).error
    assert after(other).error == "Bad.\n"


@pytest.mark.torch
def test_what_no_database_keeps_is_mended_in_an_error_and_a_preflight():
    run = dpo_run()
    script = r"""cd {0}; printf 'Bad\000.' > error.txt; echo '[1]' > environment.json; echo '{{' > progress.json
        printf '{{"checks": [], "n": NaN, "t": "\\u0000"}}' > preflight.json; exit 1"""
    work(launcher=lambda directory: ["/bin/sh", "-c", script.format(directory.path)])
    assert after(run).error == "Bad\ufffd."
    assert after(run).preflight == {"checks": [], "n": None, "t": "\ufffd"}
    assert (after(run).environment, after(run).progress) == ({}, {})


@pytest.mark.torch
def test_a_step_is_in_the_database_before_the_next_poll():
    run = dpo_run()
    script = """cd {0}; echo '{{"step": 1, "loss": 1}}' > metrics.jsonl; sleep 1
        while [ ! -e cancel ]; do sleep 0.05; done; echo '{{"status": "cancelled"}}' > outcome.json"""
    worker = RunWorker(poll=60.0, launcher=lambda directory: ["/bin/sh", "-c", script.format(directory.path)])
    thread = threading.Thread(target=in_thread, args=(worker,))
    thread.start()
    wait_until(lambda: RunMetric.objects.filter(run=run, step=1).exists(), "the first step", 30)
    RunDirectory(run.directory).request_cancel()
    wait_until(lambda: after(run).state == "cancelled", "the end", 30)
    thread.join(30)
