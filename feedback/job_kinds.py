"""Which function does the work of which kind of job. It is given a `feedback.jobs.JobRun` and returns the job's result.

Names instead of functions, so that a page which only starts a job does not import what carries it out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.utils.module_loading import import_string

from feedback.models import Job

if TYPE_CHECKING:
    from feedback.jobs import JobRun

WORK: dict[str, str] = {}
"""Dotted names; one line per kind."""


def work_of(kind: str) -> Callable[[JobRun], dict[str, Any]]:
    """Return the function that does this kind of work."""
    work: Callable[[JobRun], dict[str, Any]] = import_string(WORK[Job.Kind(kind)])
    return work
