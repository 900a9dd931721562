"""What the partial of a job needs besides the job."""

from __future__ import annotations

from django import template
from django.utils import timezone

from feedback import durations
from feedback.job_watching import Watched, watch
from feedback.models import Job

register = template.Library()


@register.filter
def watched(job: Job) -> Watched:
    return watch(job, timezone.now())


@register.filter
def duration(seconds: float | None) -> str:
    """Return 40 s, 12 min or 3 h 20 min; nothing for None."""
    return "" if seconds is None else durations.duration(seconds)
