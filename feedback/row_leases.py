"""Leases of processes over rows: a run, a turn of a talk, a job.

The row names its owner, counts its claims in `attempt`, and says when the lease ends, in the database's time, so that
clocks do not matter. Every write names owner and attempt: a process that lost its lease, however late it wakes up,
changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, models
from django.db.models import Case, DateTimeField, ExpressionWrapper, F, PositiveIntegerField, When
from django.db.models.functions import Coalesce, Now

from feedback.alive import DATABASE_AWAY

logger = logging.getLogger(__name__)


class LeaseLost(Exception):
    """The row is no longer this process's: its lease ran out and another one has taken it, or it has ended."""


@dataclass(frozen=True)
class Lease:
    """What a process holds: one row, as this owner, in this attempt."""

    model: type[models.Model]
    pk: uuid.UUID
    owner: str
    attempt: int
    seconds: int

    def rows(self) -> models.QuerySet[Any]:
        """Return the row if it is still held under this lease, else nothing."""
        return self.model._default_manager.filter(
            pk=self.pk, lease_owner=self.owner, attempt=self.attempt, state="running"
        )

    def write(self, **values: Any) -> None:
        """Change the row. At the start of a transaction it fences the whole of it. Raises LeaseLost."""
        if not self.rows().update(**values):
            raise self.lost()

    def lost(self) -> LeaseLost:
        return LeaseLost(
            f"{self.model._meta.verbose_name} {self.pk} is no longer held by {self.owner} (attempt {self.attempt})"
        )

    def renew(self, **also: Any) -> None:
        """Push the lease's end away, and change `also` in the same statement. Raises LeaseLost."""
        self.write(lease_expires_at=lease_end(self.seconds), **also)


def lease_end(seconds: int) -> ExpressionWrapper:
    return ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())


def claiming(*, worker: str, seconds: int) -> dict[str, Any]:
    """Return what a claim writes. Taking over a running row counts as a crash of the process before."""
    return {
        "state": "running",
        "lease_owner": worker,
        "attempt": F("attempt") + 1,
        "lease_expires_at": lease_end(seconds),
        "started_at": Coalesce("started_at", Now()),
        "crashes": Case(
            When(state="running", then=F("crashes") + 1), default=F("crashes"), output_field=PositiveIntegerField()
        ),
    }


class Heartbeat(threading.Thread):
    """Renews a lease every third of it. `lost` is set once the row is, or may be, another process's."""

    def __init__(self, lease: Lease, *, every: Callable[[], None] | None = None) -> None:
        """`every` is called at each look: what else has to be told while the work is busy."""
        super().__init__(name=f"heartbeat-{lease.pk}", daemon=True)
        self.lease = lease
        self.every = every
        self.lost = threading.Event()
        self.stopping = threading.Event()

    def run(self) -> None:
        renewed = time.monotonic()
        while not self.stopping.wait(self.lease.seconds / 3):
            asked = time.monotonic()
            try:
                self.lease.renew()
                renewed = asked
                if self.every is not None:
                    self.every()
            except LeaseLost:
                self.lost.set()
                break
            except DATABASE_AWAY as error:
                logger.warning("cannot renew the lease of %s: %s", self.lease.pk, error)
                connection.close()
                if time.monotonic() - renewed > self.lease.seconds:
                    self.lost.set()
                    break
        connection.close()

    def stop(self) -> None:
        self.stopping.set()
        self.join()
