"""Start, carry out, cancel and resume the work that takes longer than a request (`feedback.models.jobs.Job`).

A job is carried out by `manage.py clerk`, or at once in the request that starts it when it is small; both by
the same code. The work of a kind (`feedback.job_kinds`) reads outside of transactions and writes in short ones, each
under `JobRun.step`: it saves with the work how far the job is, and fails as a whole once the job is somebody else's.
So a job that was killed at any moment goes on where it was, and nothing is done twice.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from feedback.alive import DATABASE_AWAY
from feedback.job_kinds import work_of
from feedback.models import Job, Project, User
from feedback.models.people import new_id
from feedback.refusals import Refusal
from feedback.row_leases import Lease, LeaseLost, claiming

logger = logging.getLogger(__name__)

TELL_EVERY = 0.5
"""Seconds between two words of progress."""
WORDS_LIMIT = 200


class JobFailed(Exception):
    """The work cannot be done; the message says to people what was wrong, where, and what would be right."""


class JobLost(Exception):
    """The job is somebody else's now; nothing more is written here."""


class JobCancelled(Exception):
    """Somebody asked that the job be ended."""


class JobGivenBack(Exception):
    """This process has to stop, or has no more time for it; another one goes on with the job."""


class JobNotWaiting(Refusal):
    """What is asked of the job does not fit its state."""


# Starting ---------------------------------------------------------------------------------------------


def start_job(*, project: Project, kind: str, params: dict[str, Any], created_by: User | None) -> Job:
    """Put a job in line; the next clerk that is free takes it."""
    return Job.objects.create(project=project, kind=Job.Kind(kind), params=params, created_by=created_by)


def start_and_carry_out(
    *, project: Project, kind: str, params: dict[str, Any], created_by: User | None, seconds: float | None = None
) -> Job:
    """Start a job and carry it out here. What takes longer than `seconds` is left for a clerk to go on with."""
    job = start_job(project=project, kind=kind, params=params, created_by=created_by)
    return carry_out(job, seconds=settings.JOB_REQUEST_SECONDS if seconds is None else seconds)


def cancel_job(*, job: Job, by: User) -> Job:
    """End a job that nobody carries out, or ask whoever does to stop. Raises JobNotWaiting when it is over.

    What it has done stays done; `resume_job` goes on with it.
    """
    nobody = Q(state=Job.State.QUEUED) | Q(state=Job.State.RUNNING, lease_expires_at__lte=Now())
    this = Job.objects.filter(pk=job.pk)
    ended = this.filter(nobody).update(
        **END_OF_LEASE, state=Job.State.CANCELLED, cancel_requested_at=Now(), finished_at=Now()
    )
    if not ended and not this.unfinished().update(cancel_requested_at=Now()):
        raise JobNotWaiting("state", f"This job is over ({current_state(job)}); there is nothing to cancel.")
    logger.info("job %s: cancel asked by %s", job.pk, by.pk)
    job.refresh_from_db()
    return job


def resume_job(*, job: Job, by: User) -> Job:
    """Put a failed or cancelled job in line again; it goes on where it was. Raises JobNotWaiting."""
    put_back = Job.objects.filter(pk=job.pk, state__in=(Job.State.FAILED, Job.State.CANCELLED)).update(
        state=Job.State.QUEUED, error="", cancel_requested_at=None, finished_at=None, crashes=0
    )
    if not put_back:
        raise JobNotWaiting(
            "state", f"Only a failed or cancelled job can be resumed; this one is {current_state(job)}."
        )
    logger.info("job %s: resumed by %s", job.pk, by.pk)
    job.refresh_from_db()
    return job


def current_state(job: Job) -> str:
    return Job.objects.get(pk=job.pk).get_state_display().lower()


# Carrying out -----------------------------------------------------------------------------------------

END_OF_LEASE: dict[str, Any] = {"lease_owner": "", "lease_expires_at": None}


def claim_job(*, worker: str, only: uuid.UUID | None = None) -> Job | None:
    """Take the oldest job that waits or whose clerk has gone silent, or `only` that one; None when there is none.

    One conditional UPDATE decides between clerks that want the same job.
    """
    while True:
        claimable = Job.objects.claimable() if only is None else Job.objects.claimable().filter(pk=only)
        candidate = claimable.order_by("pk").values_list("pk", flat=True).first()
        if candidate is None:
            return None
        taken = (
            Job.objects.claimable()
            .filter(pk=candidate)
            .update(
                **claiming(worker=worker, seconds=settings.JOB_LEASE_SECONDS),
                claimed_at=Now(),
                done_when_claimed=F("done"),
            )
        )
        if taken:
            return Job.objects.select_related("project", "created_by").get(pk=candidate)


def carry_out(job: Job, *, seconds: float | None = None) -> Job:
    """Claim the job and do its work in this process, for at most `seconds`; a job that somebody else holds is left be.

    However the work ends, it is on the job: no exception of the work comes out of here.
    """
    claimed = claim_job(worker=f"request:{new_id()}", only=job.pk)
    if claimed is not None:
        carry_out_claimed(claimed, seconds=seconds)
    job.refresh_from_db()
    return job


def carry_out_claimed(
    job: Job,
    *,
    seconds: float | None = None,
    stopping: threading.Event | None = None,
    lost: threading.Event | None = None,
) -> None:
    """Bring a job that this process holds to its end, or give it back. Raises only when the database is away."""
    run = JobRun(job, seconds=seconds, stopping=stopping, lost=lost)
    try:
        if job.cancel_requested_at:
            raise JobCancelled
        if job.crashes >= settings.JOB_MAX_ATTEMPTS:
            raise JobFailed(
                f"Given up after {job.crashes} attempts that ended without saying why (out of memory, perhaps). "
                f"{job.error} Resume tries again.".replace("  ", " ")
            )
        result = work_of(job.kind)(run)
        run.end(Job.State.SUCCEEDED, result=result, done=F("done") if run.total is None else run.total)
    except (JobLost, LeaseLost):
        logger.warning("job %s is somebody else's now; nothing more is written", job.pk)
    except JobCancelled:
        run.end_quietly(Job.State.CANCELLED)
    except JobGivenBack:
        run.end_quietly(Job.State.QUEUED)
    except DATABASE_AWAY as error:
        logger.warning("job %s: the database cannot be reached or is busy: %s", job.pk, error)
        run.end_quietly(Job.State.QUEUED, error=f"The database could not be reached: {error}", crashed=True)
    except JobFailed as failure:
        run.end_quietly(Job.State.FAILED, error=str(failure))
    except Refusal as refusal:
        run.end_quietly(Job.State.FAILED, error=refusal.message)
    except Exception as error:  # whatever goes wrong in the work of one job, the clerk goes on and people are told
        logger.exception("job %s (%s) failed", job.pk, job.kind)
        run.end_quietly(Job.State.FAILED, error=sentence_of(error))


def sentence_of(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "There was not enough memory. Resume goes on where it was."
    if isinstance(error, OSError):
        return f"A file could not be read or written: {error.strerror or error}. Resume goes on where it was."
    return (
        f"Something went wrong that nobody foresaw ({type(error).__name__}); the clerk's log has the details. "
        "Resume goes on where it was."
    )


class JobRun:
    """One process's attempt at one job, in the hands of the work."""

    def __init__(
        self,
        job: Job,
        *,
        seconds: float | None = None,
        stopping: threading.Event | None = None,
        lost: threading.Event | None = None,
    ) -> None:
        self.job = job
        self.params: dict[str, Any] = job.params
        self.cursor: dict[str, Any] = job.cursor
        """How far the job is, as the last step saved it; empty for a job that begins."""
        self.done, self.total, self.words = job.done, job.total, job.words
        self.lease = Lease(Job, job.pk, job.lease_owner, job.attempt, settings.JOB_LEASE_SECONDS)
        self.stopping, self.lost = stopping, lost
        self.ends = None if seconds is None else time.monotonic() + seconds
        self.told = time.monotonic()

    def progress(self, done: int, total: int | None = None, words: str = "") -> None:
        """Say how far the work is; costs nothing when called too often. `total` and `words` stay until said anew.

        Raises JobCancelled, JobLost or JobGivenBack, which the work lets through: what it did outside of steps is
        lost then, what it did in steps is not.
        """
        news = bool(words) and words[:WORDS_LIMIT] != self.words
        self.done, self.total = done, self.total if total is None else total
        self.words = words[:WORDS_LIMIT] or self.words
        if news or time.monotonic() - self.told >= TELL_EVERY:
            self.renew()
        self.look_up()

    @contextmanager
    def step(self, *, cursor: dict[str, Any], done: int | None = None) -> Iterator[None]:
        """One transaction of the work, which also saves `cursor`; nothing of it is written if the job was lost.

        Keep it short, about 0.3 s: on SQLite nobody else can write meanwhile. Raises as `progress` does, before it
        begins.
        """
        self.look_up()
        with transaction.atomic():
            self.done = self.done if done is None else done
            self.renew(cursor=cursor)
            yield
        self.cursor = cursor

    def renew(self, **also: Any) -> None:
        try:
            self.lease.renew(done=self.done, total=self.total, words=self.words, **also)
        except LeaseLost as error:
            raise JobLost(str(error)) from error
        self.told = time.monotonic()
        if self.lease.rows().filter(cancel_requested_at__isnull=False).exists():
            raise JobCancelled

    def look_up(self) -> None:
        """Raise if the work has to end here."""
        if self.lost is not None and self.lost.is_set():
            raise JobLost(f"job {self.job.pk} was taken by another process")
        if self.stopping is not None and self.stopping.is_set():
            raise JobGivenBack
        if self.ends is not None and time.monotonic() > self.ends:
            raise JobGivenBack

    def end(
        self,
        state: Job.State,
        *,
        error: str = "",
        result: dict[str, Any] | None = None,
        crashed: bool = False,
        **also: Any,
    ) -> None:
        finished = None if state == Job.State.QUEUED else Now()
        self.lease.write(
            **END_OF_LEASE,
            state=state,
            error=error,
            result=result or {},
            finished_at=finished,
            words="",
            crashes=F("crashes") + int(crashed),
            **also,
        )

    def end_quietly(self, state: Job.State, *, error: str = "", crashed: bool = False) -> None:
        try:
            self.end(state, error=error, crashed=crashed)
        except LeaseLost as lost:
            logger.warning("%s; nothing more is written", lost)


Work = Callable[[JobRun], dict[str, Any]]
