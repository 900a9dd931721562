"""Cancel, pause and resume runs. What a worker does about it is `training.worker`'s work."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from feedback.audit import record
from feedback.models import User
from training.models import Run
from training.rundir import RunDirectory


class RunEnded(Exception):
    """The run is over; there is nothing left to cancel or pause."""


class NotPaused(Exception):
    """Only a run that is paused can be resumed."""


@transaction.atomic
def cancel_run(*, run: Run, now: datetime, by: User | None = None) -> Run:
    """Cancel `run`: at once where nothing has begun, else a worker leaves a checkpoint. Raises RunEnded.

    A paused run goes to a worker for that. A second request changes nothing, nor does one after it was cancelled.
    """
    asked = Run.objects.filter(pk=run.pk)
    not_begun = asked.filter(state__in=(Run.State.QUEUED, Run.State.PAUSED), attempt=0)
    paused = asked.filter(state=Run.State.PAUSED)
    at_work = asked.filter(state__in=(Run.State.QUEUED, Run.State.RUNNING))
    while True:  # it may pause or be resumed between two of these statements
        if not_begun.update(state=Run.State.CANCELLED, cancel_requested_at=now, finished_at=now):
            break
        if paused.update(state=Run.State.QUEUED, cancel_requested_at=now, pause_requested_at=None):
            RunDirectory(run.directory).forget_ending()
            break
        if at_work.filter(cancel_requested_at__isnull=True).update(cancel_requested_at=now):
            break
        if at_work.exists() or asked.filter(state=Run.State.CANCELLED).exists():
            return Run.objects.get(pk=run.pk)
        if not paused.exists():
            raise RunEnded(f"{run} is over: {state_in_words(run)}")
    record(project=run.project, actor=by, action="run.cancel", subject=run, now=now)
    return Run.objects.get(pk=run.pk)


@transaction.atomic
def pause_run(*, run: Run, now: datetime, by: User | None = None) -> Run:
    """Pause `run`: at once while it waits, else its worker saves a checkpoint after this step. Raises RunEnded.

    A second request changes nothing; nor does one on a run that is being cancelled.
    """
    unfinished = Run.objects.filter(pk=run.pk, state__in=Run.UNFINISHED, cancel_requested_at__isnull=True)
    waiting, at_work = unfinished.filter(state=Run.State.QUEUED), unfinished.filter(pause_requested_at__isnull=True)
    if waiting.update(state=Run.State.PAUSED, pause_requested_at=now) or at_work.update(pause_requested_at=now):
        record(project=run.project, actor=by, action="run.pause", subject=run, now=now)
    elif not Run.objects.filter(pk=run.pk, state__in=Run.UNFINISHED).exists():
        raise RunEnded(f"{run} is over: {state_in_words(run)}")
    return Run.objects.get(pk=run.pk)


@transaction.atomic
def resume_run(*, run: Run, by: User | None = None) -> Run:
    """Queue a paused run again; it goes on after its last checkpoint. Raises NotPaused.

    A run that had paused for somebody to look at its preflight has been looked at. A second request changes nothing.
    """
    paused = Run.objects.filter(pk=run.pk, state=Run.State.PAUSED)
    went_on = paused.update(state=Run.State.QUEUED, pause_requested_at=None, error="")
    resumed = Run.objects.get(pk=run.pk)
    if not went_on:
        if resumed.is_unfinished and resumed.attempt and resumed.pause_requested_at is None:
            return resumed
        raise NotPaused(f"{run} is not paused: {state_in_words(run)}")
    if resumed.preflight and resumed.waits_after_preflight:
        resumed.waits_after_preflight = False
        resumed.save(update_fields=["waits_after_preflight"])
    RunDirectory(run.directory).forget_ending()
    record(project=run.project, actor=by, action="run.resume", subject=run)
    return resumed


def state_in_words(run: Run) -> str:
    return Run.objects.get(pk=run.pk).get_state_display().lower()
