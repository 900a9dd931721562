"""`cancel_run`: what waits ends at once, what runs is asked, what is over stays as it is."""

from __future__ import annotations

import pytest
from django.utils import timezone

from feedback.models import AuditEvent
from tests.factories import make_run
from training.models import Run
from training.stopping import RunEnded, cancel_run

pytestmark = pytest.mark.django_db


def test_a_queued_run_is_cancelled_at_once():
    now = timezone.now()
    run = cancel_run(run=make_run(), now=now)
    assert (run.state, run.finished_at) == ("cancelled", now)


def test_a_running_run_is_asked_to_stop():
    now = timezone.now()
    run = cancel_run(run=make_run(state="running"), now=now)
    assert (run.state, run.cancel_requested_at, run.finished_at) == ("running", now, None)


def test_asking_again_changes_nothing():
    now = timezone.now()
    run = cancel_run(run=make_run(state="running"), now=now)
    again = cancel_run(run=run, now=timezone.now())
    assert again.cancel_requested_at == now


def test_a_run_that_was_given_back_is_left_to_a_worker_that_can_keep_its_checkpoint():
    run = cancel_run(run=make_run(attempt=1), now=timezone.now())
    assert run.state == "queued"
    assert run.cancel_requested_at is not None


def test_the_audit_log_says_who_asked_for_what_and_each_once(ml_staff):
    run = make_run(state="running", attempt=1)
    for _ in range(2):
        cancel_run(run=run, now=timezone.now(), by=ml_staff)
    told = AuditEvent.objects.filter(subject="run").values_list("action", "actor", "subject_id")
    assert list(told) == [("run.cancel", ml_staff.pk, str(run.pk))]


def test_a_cancelled_run_stays_as_it_was_cancelled():
    then = timezone.now()
    run = make_run(state="cancelled", cancel_requested_at=then, finished_at=then)
    again = cancel_run(run=run, now=timezone.now())
    assert (again.state, again.cancel_requested_at, again.finished_at) == ("cancelled", then, then)


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_a_run_that_is_over_cannot_be_cancelled(state):
    run = make_run(state=state)
    with pytest.raises(RunEnded, match=Run.State(state).label.lower()):
        cancel_run(run=run, now=timezone.now())
    run.refresh_from_db()
    assert (run.state, run.cancel_requested_at) == (state, None)


def test_the_stored_row_counts_not_the_one_in_hand():
    run = make_run()
    Run.objects.filter(pk=run.pk).update(state="running", attempt=1, lease_expires_at=timezone.now())
    assert cancel_run(run=run, now=timezone.now()).state == "running"
