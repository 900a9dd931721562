"""How worn a queue's gold is: counted now where it is little, else as the latest report on people counted it."""

from __future__ import annotations

from feedback.gold_rotation import GoldUse, is_much_answered, uses_from, uses_of_gold
from feedback.models import Queue, Report
from feedback.quality.reports import Shown, shown_for


def uses_shown(queue: Queue) -> tuple[list[GoldUse], Shown | None]:
    """Return the uses, and the report from which they are; None when they were counted just now."""
    if not is_much_answered(queue):
        return uses_of_gold(queue), None
    shown = shown_for(project=queue.project, kind=Report.Kind.PEOPLE)
    kept = shown.content.get("gold", {}).get(str(queue.pk), {})
    return uses_from(queue, kept.get("uses", ())), shown
