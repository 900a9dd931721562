"""The process that carries out jobs, one at a time. What it holds in memory can be lost at any time."""

from __future__ import annotations

import logging
from datetime import datetime

from django.conf import settings

from feedback.alive import TakesInTurn
from feedback.jobs import carry_out_claimed, claim_job
from feedback.models import Job, Worker
from feedback.row_leases import Heartbeat, Lease

logger = logging.getLogger(__name__)


class Clerk(TakesInTurn[Job]):
    work_of = Worker.Work.JOBS
    called = "clerk"

    def __init__(self, *, name: str = "", poll: float = 0.5) -> None:
        super().__init__(name=name, poll=poll)

    def claim(self) -> Job | None:
        return claim_job(worker=self.name)

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
