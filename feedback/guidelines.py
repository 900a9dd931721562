"""Who has read which version of a queue's guidelines."""

from __future__ import annotations

from dataclasses import dataclass

from feedback.models import Guideline, GuidelineReading, User


@dataclass(frozen=True)
class News:
    is_new: bool
    """The person has not had this version before them."""
    has_changed: bool
    """They have read another version, so that something is not as they know it."""


def mark_read(*, guideline: Guideline, person: User) -> GuidelineReading:
    """Remember that the person had this version of the guidelines before them; again changes nothing."""
    reading, _ = GuidelineReading.objects.get_or_create(guideline=guideline, person=person)
    return reading


def news_of(*, guideline: Guideline, person: User) -> News:
    """Tell whether the guidelines are news to the person."""
    readings = GuidelineReading.objects.filter(guideline__queue=guideline.queue_id, person=person)
    read = set(readings.values_list("guideline_id", flat=True))
    return News(is_new=guideline.pk not in read, has_changed=bool(read) and guideline.pk not in read)
