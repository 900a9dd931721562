"""What a person who watches a job is shown: how far it is, how long it will take, whether anybody works on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from feedback.access import may
from feedback.clerk import clerk_is_alive
from feedback.job_kinds import PERMISSIONS
from feedback.models import Job, Project
from feedback.models.jobs import JobQuerySet

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from feedback.models import User

PACE_AFTER = 2.0
"""Seconds of an attempt before its pace says how long the rest will take."""


@dataclass(frozen=True)
class Watched:
    seconds: float | None
    """Since it was first taken until it ended or now; None before."""
    seconds_left: float | None
    """At this attempt's pace; None when nothing can be said."""
    silent: bool
    """The lease has run out: whoever carried it out is gone, and the next free clerk goes on."""
    no_clerk: bool
    """It waits, and there is nobody who would take it."""


def watch(job: Job, now: datetime) -> Watched:
    end = job.finished_at or now
    silent = job.state == Job.State.RUNNING and job.lease_expires_at is not None and job.lease_expires_at < now
    return Watched(
        seconds=(end - job.started_at).total_seconds() if job.started_at else None,
        seconds_left=seconds_left(job, now),
        silent=silent,
        no_clerk=(silent or job.state == Job.State.QUEUED) and not clerk_is_alive(now),
    )


def seconds_left(job: Job, now: datetime) -> float | None:
    if job.state != Job.State.RUNNING or not job.total or job.claimed_at is None:
        return None
    took = (now - job.claimed_at).total_seconds()
    done = job.done - job.done_when_claimed
    if took < PACE_AFTER or done <= 0 or job.done > job.total:
        return None
    return took / done * (job.total - job.done)


def jobs_for(person: User | AnonymousUser, project: Project) -> JobQuerySet:
    """Return the project's jobs whose kind is within the person's roles, the latest first."""
    kinds = [kind for kind, permission in PERMISSIONS.items() if may(person, permission, project)]
    return Job.objects.filter(project=project, kind__in=kinds).select_related("project", "created_by")
