"""Claims, renewals and endings of runs: who holds one, who may write, who comes too late."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from tests.factories import make_project, make_run
from training.leases import LeaseLost, claim_run, end_run, lease_of, renew_lease, requeue_run
from training.models import Run


def expire(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.django_db
def test_the_oldest_waiting_run_is_taken_first():
    first, second = make_run(), make_run()
    taken = claim_run(worker="one")
    assert taken == first
    assert (taken.state, taken.lease_owner, taken.attempt, taken.crashes) == ("running", "one", 1, 0)
    assert timezone.now() < taken.lease_expires_at < timezone.now() + timedelta(seconds=31)
    assert taken.started_at is not None
    assert claim_run(worker="two") == second
    assert claim_run(worker="three") is None


@pytest.mark.django_db
def test_a_run_under_a_live_lease_is_left_alone():
    make_run(state="running")
    assert claim_run(worker="two") is None


@pytest.mark.django_db
def test_a_run_whose_worker_went_silent_is_taken_over_and_counts_as_a_crash():
    make_run()
    before = claim_run(worker="one")
    expire(before)
    after = claim_run(worker="two")
    assert after == before
    assert (after.lease_owner, after.attempt, after.crashes) == ("two", 2, 1)
    assert after.started_at == before.started_at


@pytest.mark.django_db
def test_whoever_lost_the_lease_changes_nothing():
    make_run()
    late = lease_of(claim_run(worker="one"))
    expire(Run.objects.get())
    claim_run(worker="two")
    stored = Run.objects.values().get()
    for write in (
        lambda: renew_lease(late),
        lambda: end_run(late, state="succeeded"),
        lambda: requeue_run(late),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert Run.objects.values().get() == stored


@pytest.mark.django_db
def test_the_same_worker_in_an_earlier_attempt_is_late_as_well():
    make_run()
    late = lease_of(claim_run(worker="one"))
    requeue_run(late)
    claim_run(worker="one")
    with pytest.raises(LeaseLost):
        end_run(late, state="succeeded")


@pytest.mark.django_db
def test_a_late_worker_that_nobody_replaced_may_go_on():
    make_run()
    lease = lease_of(claim_run(worker="one"))
    expire(Run.objects.get())
    renew_lease(lease)
    assert claim_run(worker="two") is None


@pytest.mark.django_db
def test_a_run_given_back_is_free_at_once_and_no_crash():
    make_run()
    requeue_run(lease_of(claim_run(worker="one")))
    again = claim_run(worker="two")
    assert (again.attempt, again.crashes) == (2, 0)


@pytest.mark.django_db
def test_a_crash_is_counted_and_told():
    make_run()
    requeue_run(lease_of(claim_run(worker="one")), crash="the trainer was killed")
    run = Run.objects.get()
    assert (run.state, run.crashes, run.error) == ("queued", 1, "the trainer was killed")


@pytest.mark.django_db
def test_a_run_ends_once():
    make_run()
    lease = lease_of(claim_run(worker="one"))
    end_run(lease, state="succeeded", outcome={"status": "succeeded"})
    run = Run.objects.get()
    assert (run.state, run.outcome, run.lease_expires_at) == ("succeeded", {"status": "succeeded"}, None)
    assert run.finished_at is not None
    with pytest.raises(LeaseLost):
        end_run(lease, state="failed", error="too late")


@pytest.mark.django_db
def test_the_table_refuses_a_running_run_without_lease_and_an_ended_one_without_time():
    run = make_run()
    with pytest.raises(IntegrityError, match="run_running_has_lease"), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(state="running")
    with pytest.raises(IntegrityError, match="run_ended_has_time"), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(state="failed")


def test_eight_workers_take_each_run_once(shared_database, settings):
    Run.objects.unfinished().update(state="cancelled", finished_at=timezone.now())
    project = make_project(name=f"Race on {connection.vendor}")
    wanted = {make_run(project).pk for _ in range(24)}
    taken: list[tuple[str, object]] = []
    start = threading.Barrier(8)

    def work(name: str) -> None:
        try:
            start.wait()
            while (run := claim_run(worker=name)) is not None:
                taken.append((name, run.pk))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 24
    assert {pk for _, pk in taken} == wanted
    assert set(project.runs.values_list("attempt", flat=True)) == {1}


def test_of_many_workers_one_takes_over_a_silent_ones_run(shared_database):
    Run.objects.unfinished().update(state="cancelled", finished_at=timezone.now())
    run = make_run()
    claim_run(worker="silent")
    expire(run)
    taken: list[str] = []
    start = threading.Barrier(8)

    def work(name: str) -> None:
        try:
            start.wait()
            if claim_run(worker=name) is not None:
                taken.append(name)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = Run.objects.get(pk=run.pk)
    assert taken == [stored.lease_owner]
    assert (stored.attempt, stored.crashes) == (2, 1)
