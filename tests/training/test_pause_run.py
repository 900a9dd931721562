"""`pause_run`, `resume_run` and `retry_run`: what waits, what runs, what is over, and what lies in the directory."""

from __future__ import annotations

import pytest
from django.utils import timezone

from feedback.models import Snapshot
from tests.factories import make_policy_checkpoint, make_project, make_run, make_snapshot, make_trained_checkpoint
from training.leases import claim_run, lease_of, rest_run
from training.models import Run
from training.retrying import NoRetry, retry_run
from training.rundir import Outcome, RunDirectory
from training.stopping import NotPaused, RunEnded, cancel_run, pause_run, resume_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _data_of_its_own(settings, tmp_path):
    settings.DATA_DIR = tmp_path


def with_directory(run: Run) -> RunDirectory:
    directory = RunDirectory(run.directory)
    directory.path.mkdir(parents=True)
    return directory


def test_a_waiting_run_pauses_at_once_and_no_worker_takes_it():
    now = timezone.now()
    run = pause_run(run=make_run(), now=now)
    assert (run.state, run.pause_requested_at) == ("paused", now)
    assert claim_run(worker="one") is None


def test_a_running_run_is_asked_to_pause():
    now = timezone.now()
    run = pause_run(run=make_run(state="running"), now=now)
    assert (run.state, run.pause_requested_at) == ("running", now)


def test_asking_again_changes_nothing():
    now = timezone.now()
    run = pause_run(run=make_run(state="running"), now=now)
    assert pause_run(run=run, now=timezone.now()).pause_requested_at == now


def test_a_run_that_is_being_cancelled_does_not_pause():
    run = make_run(state="running", cancel_requested_at=timezone.now())
    assert pause_run(run=run, now=timezone.now()).pause_requested_at is None


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_a_run_that_is_over_cannot_pause(state):
    with pytest.raises(RunEnded, match=Run.State(state).label.lower()):
        pause_run(run=make_run(state=state), now=timezone.now())


def test_a_resumed_run_waits_for_a_worker_and_its_directory_says_nothing_of_the_pause():
    run = make_run(state="paused", pause_requested_at=timezone.now(), attempt=1)
    directory = with_directory(run)
    directory.request_pause()
    directory.write_outcome(Outcome("paused", 3))
    resumed = resume_run(run=run)
    assert (resumed.state, resumed.pause_requested_at) == ("queued", None)
    assert (directory.outcome(), directory.pause_requested()) == (None, False)
    assert claim_run(worker="one") == run


@pytest.mark.parametrize("state", ["queued", "succeeded", "failed", "cancelled"])
def test_only_a_paused_run_is_resumed(state):
    run = make_run(state=state)
    with pytest.raises(NotPaused, match=Run.State(state).label.lower()):
        resume_run(run=run)
    assert Run.objects.get(pk=run.pk).state == state


def test_a_second_resume_changes_nothing():
    run = resume_run(run=make_run(state="paused", attempt=1))
    assert resume_run(run=run).state == "queued"
    assert claim_run(worker="one") == run
    assert resume_run(run=run).state == "running"


def test_a_run_that_is_about_to_pause_is_not_resumed():
    run = make_run(state="running", attempt=1, pause_requested_at=timezone.now())
    with pytest.raises(NotPaused):
        resume_run(run=run)


def test_a_run_that_waited_for_somebody_to_see_its_preflight_waits_no_more():
    run = make_run(state="paused", waits_after_preflight=True, preflight={"checks": []})
    assert not resume_run(run=run).waits_after_preflight


def test_a_run_that_was_paused_before_its_preflight_will_still_wait_for_that():
    run = make_run(state="paused", waits_after_preflight=True)
    assert resume_run(run=run).waits_after_preflight


def test_a_paused_run_that_had_not_begun_is_cancelled_at_once():
    run = cancel_run(run=make_run(state="paused"), now=timezone.now())
    assert (run.state, run.finished_at is None) == ("cancelled", False)


def test_a_paused_run_that_has_learned_goes_to_a_worker_that_keeps_its_checkpoint():
    run = make_run(state="paused", attempt=1, pause_requested_at=timezone.now())
    directory = with_directory(run)
    directory.write_outcome(Outcome("paused", 3))
    asked = cancel_run(run=run, now=timezone.now())
    assert (asked.state, asked.pause_requested_at, asked.cancel_requested_at is None) == ("queued", None, False)
    assert directory.outcome() is None


def test_a_run_that_was_cancelled_while_it_paused_does_not_rest():
    make_run()
    lease = lease_of(claim_run(worker="one"))
    cancel_run(run=Run.objects.get(), now=timezone.now())
    assert not rest_run(lease)
    assert Run.objects.get().state == "running"


def test_a_failed_run_is_tried_again_as_one_that_never_crashed():
    run = make_run(state="failed", attempt=3, crashes=3, error="Out of memory.", outcome={"status": "failed"})
    directory = with_directory(run)
    directory.write_error("Out of memory.")
    again = retry_run(run=run)
    assert (again.state, again.crashes, again.error, again.outcome) == ("queued", 0, "", {})
    assert again.finished_at is None
    assert directory.error() == ""


@pytest.mark.parametrize("state", ["queued", "running", "paused", "succeeded", "cancelled"])
def test_only_a_failed_run_is_tried_again(state):
    run = make_run(state=state)
    with pytest.raises(NoRetry, match="has not failed"):
        retry_run(run=run)
    assert Run.objects.get(pk=run.pk).state == state


def test_a_failed_run_that_left_a_checkpoint_is_not_tried_again():
    run = make_run(state="failed")
    make_trained_checkpoint(run.project, "policy", "dpo", run=run)
    with pytest.raises(NoRetry, match="start a new run"):
        retry_run(run=run)


def test_a_run_whose_model_or_snapshot_is_gone_is_not_tried_again():
    policy = make_policy_checkpoint(files_deleted_at=timezone.now())
    run = make_run(policy.project, state="failed", policy=policy)
    with pytest.raises(NoRetry, match="were deleted on"):
        retry_run(run=run)
    snapshot = make_snapshot(make_project())
    Snapshot.objects.filter(pk=snapshot.pk).update(withdrawn_at=timezone.now())
    other = make_run(snapshot.project, state="failed", snapshot=snapshot)
    with pytest.raises(NoRetry, match="was withdrawn"):
        retry_run(run=other)
    assert {one.state for one in Run.objects.filter(pk__in=[run.pk, other.pk])} == {"failed"}
