"""A person's queues by what waits for them there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from feedback.claims import held_slot
from feedback.eligibility import NotEligible, check_eligible
from feedback.models import Assignment, Queue, User
from feedback.own_work import OwnProgress, own_progress


@dataclass(frozen=True)
class OwnQueue:
    queue: Queue
    held: Assignment | None
    """The task that the person holds."""
    progress: OwnProgress
    refusal: NotEligible | None
    """Why the person may take nothing new."""

    @property
    def has_work(self) -> bool:
        """Tell whether the person could judge something here now."""
        return self.held is not None or (self.refusal is None and self.progress.left > 0)


def own_queues(*, queues: Iterable[Queue], annotator: User, now: datetime) -> list[OwnQueue]:
    """Return the queues (with what is in force) in the order in which they are worth opening.

    First those where the person holds a task, then by how many tasks wait, then those that are shut to them. Of a queue
    that is not open, only what is held counts.
    """
    found = []
    for queue in queues:
        held = held_slot(queue=queue, annotator=annotator, now=now)
        if held is None and queue.state != Queue.State.OPEN:
            continue
        try:
            check_eligible(queue=queue, annotator=annotator, now=now)
            refusal = None
        except NotEligible as error:
            refusal = error
        progress = own_progress(queue=queue, annotator=annotator, now=now)
        found.append(OwnQueue(queue, held, progress, refusal))
    return sorted(found, key=lambda one: (one.held is None, not one.has_work, -one.progress.left))
