"""The process that carries out jobs, one at a time. What it holds in memory can be lost at any time."""

from __future__ import annotations

import logging
import threading
from datetime import datetime

from django.conf import settings
from django.db import connection

from feedback.alive import DATABASE_AWAY, SignOfLife, new_name
from feedback.jobs import carry_out_claimed, claim_job
from feedback.models import Job, Worker
from feedback.row_leases import Heartbeat, Lease

logger = logging.getLogger(__name__)


class Clerk:
    def __init__(self, *, name: str = "", poll: float = 0.5) -> None:
        """`poll` is in seconds."""
        self.name = name or new_name()
        self.poll = poll
        self.stopping = threading.Event()
        self.alive = SignOfLife(self.name, Worker.Work.JOBS)

    def stop(self) -> None:
        """Ask the clerk to end: its job is given back at its next word of progress, for another clerk to go on with."""
        self.stopping.set()

    def work(self, *, once: bool = False) -> None:
        """Carry out jobs until stopped; with `once`, until none is waiting."""
        logger.info("clerk %s is ready", self.name)
        try:
            while not self.stopping.is_set():
                try:
                    self.alive.give()
                    job = claim_job(worker=self.name)
                    if job is not None:
                        self.carry_out(job)
                    elif once:
                        return
                    else:
                        self.stopping.wait(self.poll)
                except DATABASE_AWAY as error:
                    logger.warning("the database cannot be reached or is busy: %s", error)
                    connection.close()
                    self.stopping.wait(self.poll)
        finally:
            self.alive.end()

    def carry_out(self, job: Job) -> None:
        """Bring a claimed job to its end, or give it back. While it works, a thread renews the lease and says so."""
        logger.info("job %s (%s): attempt %d", job.pk, job.kind, job.attempt)
        lease = Lease(Job, job.pk, job.lease_owner, job.attempt, settings.JOB_LEASE_SECONDS)
        heartbeat = Heartbeat(lease, every=self.alive.give)
        heartbeat.start()
        try:
            carry_out_claimed(job, stopping=self.stopping, lost=heartbeat.lost)
        finally:
            heartbeat.stop()
        logger.info("job %s is left %s", job.pk, Job.objects.values_list("state", flat=True).get(pk=job.pk))


def clerk_is_alive(now: datetime) -> bool:
    """Tell whether somebody will take a job that waits."""
    return Worker.objects.alive(now).filter(work=Worker.Work.JOBS).exists()
