"""Who carries out which run: claims, renewals and endings.

A worker holds a run under a lease. Times are the database's, so workers' clocks do not matter. Every write names the
owner and the attempt: a worker that lost its lease, however late it wakes up, changes nothing.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Case, DateTimeField, ExpressionWrapper, F, PositiveIntegerField, When
from django.db.models.functions import Coalesce, Now

from training.models import Run, RunQuerySet


class LeaseLost(Exception):
    """The run is no longer this worker's: the lease ran out and another worker has taken it, or the run is over."""


@dataclass(frozen=True)
class Lease:
    run_id: uuid.UUID
    owner: str
    attempt: int

    def rows(self) -> RunQuerySet:
        """Return the run if it is still held under this lease, else nothing."""
        return Run.objects.filter(pk=self.run_id, lease_owner=self.owner, attempt=self.attempt, state=Run.State.RUNNING)


def lease_of(run: Run) -> Lease:
    return Lease(run.pk, run.lease_owner, run.attempt)


def lease_end() -> ExpressionWrapper:
    return ExpressionWrapper(Now() + timedelta(seconds=settings.RUN_LEASE_SECONDS), output_field=DateTimeField())


def claim_run(*, worker: str) -> Run | None:
    """Take the oldest run that waits or whose worker has gone silent; None when there is none.

    One conditional UPDATE decides between workers that want the same run. Taking over a run counts as a crash of the
    worker before.
    """
    while True:
        candidate = Run.objects.claimable().order_by("pk").values_list("pk", flat=True).first()
        if candidate is None:
            return None
        taken = (
            Run.objects.claimable()
            .filter(pk=candidate)
            .update(
                state=Run.State.RUNNING,
                lease_owner=worker,
                attempt=F("attempt") + 1,
                lease_expires_at=lease_end(),
                started_at=Coalesce("started_at", Now()),
                crashes=Case(
                    When(state=Run.State.RUNNING, then=F("crashes") + 1),
                    default=F("crashes"),
                    output_field=PositiveIntegerField(),
                ),
            )
        )
        if taken:
            return Run.objects.select_related("project", "policy", "reward", "snapshot", "queue").get(pk=candidate)


def renew_lease(lease: Lease) -> None:
    """Push the lease's end away. At the start of a transaction it fences the whole of it. Raises LeaseLost."""
    if not lease.rows().update(lease_expires_at=lease_end()):
        raise LeaseLost(f"run {lease.run_id} is no longer held by {lease.owner} (attempt {lease.attempt})")


def end_run(
    lease: Lease, *, state: str, error: str = "", outcome: dict[str, Any] | None = None, crashed: bool = False
) -> None:
    """Record how the run ended; `crashed` counts one more crash. Raises LeaseLost."""
    ended = lease.rows().update(
        state=state,
        error=error,
        outcome=outcome or {},
        finished_at=Now(),
        lease_expires_at=None,
        crashes=F("crashes") + int(crashed),
    )
    if not ended:
        raise LeaseLost(f"run {lease.run_id} was taken by another worker before it ended here")


def requeue_run(lease: Lease, *, crash: str = "") -> None:
    """Give the run back for any worker to resume; `crash` says what went wrong and counts. Raises LeaseLost."""
    given_back = lease.rows().update(
        state=Run.State.QUEUED,
        lease_owner="",
        lease_expires_at=None,
        crashes=F("crashes") + int(bool(crash)),
        error=crash,
    )
    if not given_back:
        raise LeaseLost(f"run {lease.run_id} was taken by another worker before it was given back")
