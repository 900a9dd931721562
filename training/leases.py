"""Who carries out which run: claims, renewals and endings.

A worker holds a run under a lease. Times are the database's, so workers' clocks do not matter. Every write names the
owner and the attempt: a worker that lost its lease, however late it wakes up, changes nothing.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now

from feedback.responses import storable
from feedback.row_leases import Lease, LeaseLost, claiming
from training.capabilities import Capabilities, can_carry
from training.models import Run

__all__ = ["Lease", "LeaseLost", "claim_run", "end_run", "lease_of", "renew_lease", "requeue_run", "rest_run"]


def lease_of(run: Run) -> Lease:
    return Lease(Run, run.pk, run.lease_owner, run.attempt, settings.RUN_LEASE_SECONDS)


def claim_run(*, worker: str, capabilities: Capabilities | None = None) -> Run | None:
    """Take the oldest run that waits or whose worker has gone silent; None when there is none.

    With `capabilities` only a run that they are enough for. One conditional UPDATE decides between workers that want
    the same run. Taking over a run counts as a crash of the worker before.
    """
    while True:
        waiting = Run.objects.claimable().order_by("pk").values_list("pk", "launch", "needs")
        candidate = next(
            (pk for pk, *asks in waiting.iterator() if capabilities is None or can_carry(capabilities, *asks)), None
        )
        if candidate is None:
            return None
        taken = (
            Run.objects.claimable()
            .filter(pk=candidate)
            .update(**claiming(worker=worker, seconds=settings.RUN_LEASE_SECONDS))
        )
        if taken:
            return Run.objects.select_related("project", "policy", "reward", "snapshot", "queue").get(pk=candidate)


def renew_lease(lease: Lease) -> None:
    """Push the lease's end away. At the start of a transaction it fences the whole of it. Raises LeaseLost."""
    lease.renew()


def end_run(
    lease: Lease, *, state: str, error: str = "", outcome: dict[str, Any] | None = None, crashed: bool = False
) -> None:
    """Record how the run ended; `crashed` counts one more crash. Raises LeaseLost."""
    lease.write(
        state=state,
        error=storable(error),
        outcome=outcome or {},
        finished_at=Now(),
        lease_expires_at=None,
        crashes=F("crashes") + int(crashed),
    )


def rest_run(lease: Lease) -> bool:
    """Record that the run has paused: no worker takes it until somebody resumes it.

    False, and nothing is changed, where somebody has cancelled the run or the lease is lost.
    """
    held = lease.rows().filter(cancel_requested_at__isnull=True)
    return bool(held.update(state=Run.State.PAUSED, lease_owner="", lease_expires_at=None, error=""))


def requeue_run(lease: Lease, *, crash: str = "") -> None:
    """Give the run back for any worker to resume; `crash` says what went wrong and counts. Raises LeaseLost."""
    lease.write(
        state=Run.State.QUEUED,
        lease_owner="",
        lease_expires_at=None,
        crashes=F("crashes") + int(bool(crash)),
        error=crash,
    )
