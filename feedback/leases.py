"""What a lease writes on a slot. A slot changes hands by one conditional UPDATE whose row count decides."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from feedback.lease_tokens import draw_token
from feedback.models import Arm, Assignment, Queue, TaskResponse, User
from feedback.prepared import prepared, prepared_update

FREED: dict[str, Any] = {
    "state": Assignment.State.OPEN,
    "annotator": None,
    "lease_token": None,
    "leased_at": None,
    "lease_expires_at": None,
    "display_order": None,
    "guideline": None,
    "policy": None,
    "schema": None,
    "chosen_at": None,
    "arm": "",
    "arm_propensity": None,
}
"""What an update sets on a slot that goes back to the queue, beside `opened_at`."""

FREED_FOR_ONE = {name: value for name, value in FREED.items() if name not in ("arm", "arm_propensity")}
"""As FREED, of a slot that was made for one person: why they got it stays true when they get it again."""


@dataclass(frozen=True)
class Lease:
    """The lease that `annotator` is about to get in `queue`, which comes with what is in force (`in_force`)."""

    queue: Queue
    annotator: User
    now: datetime

    def take(self, slot_id: uuid.UUID, *, arm: str, propensity: float, chosen: bool = False) -> Assignment | None:
        """Lease the slot; None when somebody else was faster. `chosen`: the queue's order gave it (feedback.places).

        Returns it with all that its page shows.
        """
        slot = self.read(slot_id)
        return self.write(slot, self.terms(slot, arm, propensity, self.now if chosen else None))

    def take_own(self, slot_id: uuid.UUID) -> Assignment | None:
        """Lease once more what the person had before, or what is reserved for them; None when it was lost."""
        slot = self.read(slot_id)
        if slot.arm_propensity is None:
            return self.write(slot, self.terms(slot, Arm.NAMED, 1.0, None))
        return self.write(slot, self.terms(slot, slot.arm, slot.arm_propensity, slot.chosen_at))

    def read(self, slot_id: uuid.UUID) -> Assignment:
        """Read a free slot with its task, and what that shows."""
        slot = slot_with_task.first(slot=slot_id)
        assert slot is not None, "a slot is never deleted"
        slot.queue = slot.task.queue = self.queue
        slot.task.texts = [link.response for link in links_by_place.all(task=slot.task_id)]
        return slot

    def start(self, slot: Assignment, *, arm: str, propensity: float) -> Assignment:
        """Store a slot that was made for the person (gold, a repeat), leased to them."""
        for name, value in self.terms(slot, arm, propensity, None).items():
            setattr(slot, name, value)
        slot.save(force_insert=True)
        return Assignment.objects.with_task().get(pk=slot.pk)

    def terms(self, slot: Assignment, arm: str, propensity: float, chosen_at: datetime | None) -> dict[str, Any]:
        policy = self.queue.policy
        assert policy is not None, "an open queue has its policy"
        return {
            "state": Assignment.State.LEASED,
            "annotator": self.annotator,
            "lease_token": draw_token(salt=self.queue.project.salt, assignment_id=slot.pk, person=self.annotator.pk),
            "leased_at": self.now,
            "lease_expires_at": self.now + timedelta(minutes=policy.lease_minutes),
            "display_order": slot.task.order_for(self.annotator),
            "guideline": self.queue.guideline,
            "policy": policy,
            "schema": self.queue.schema,
            "chosen_at": chosen_at,
            "arm": arm,
            "arm_propensity": propensity,
        }

    def write(self, slot: Assignment, terms: dict[str, Any]) -> Assignment | None:
        given = {**terms, "display_order": json.dumps(terms["display_order"])}
        if not lease_slot(slot=slot.pk, now=self.now, **given):
            return None
        for name, value in terms.items():
            setattr(slot, name, value)
        return slot


@prepared
def queue_in_force(*, queue: Any) -> QuerySet[Queue]:
    return Queue.objects.in_force().filter(pk=queue)


@prepared
def slot_with_task(*, slot: Any) -> QuerySet[Assignment]:
    return Assignment.objects.select_related("task__prompt").filter(pk=slot)


@prepared
def links_by_place(*, task: Any) -> QuerySet[TaskResponse]:
    return TaskResponse.objects.select_related("response").filter(task=task).order_by("place")


@prepared_update
def lease_slot(
    *,
    slot: Any,
    now: Any,
    annotator: Any,
    lease_token: Any,
    leased_at: Any,
    lease_expires_at: Any,
    display_order: Any,
    guideline: Any,
    policy: Any,
    schema: Any,
    chosen_at: Any,
    arm: Any,
    arm_propensity: Any,
    state: Any,
) -> tuple[QuerySet[Assignment], dict[str, Any]]:
    """Lease a slot that is still free, and reserved for nobody else."""
    free = Assignment.objects.claimable(now).filter(Q(reserved_for__isnull=True) | Q(reserved_for=annotator), pk=slot)
    return free, {
        "state": state,
        "annotator": annotator,
        "lease_token": lease_token,
        "leased_at": leased_at,
        "lease_expires_at": lease_expires_at,
        "display_order": display_order,
        "guideline": guideline,
        "policy": policy,
        "schema": schema,
        "chosen_at": chosen_at,
        "arm": arm,
        "arm_propensity": arm_propensity,
    }


def read_queue(queue_id: uuid.UUID) -> Queue:
    """Read a queue anew, with what is in force."""
    queue = queue_in_force.first(queue=queue_id)
    assert queue is not None, "a queue is never deleted"
    for version in (queue.guideline, queue.policy, queue.schema):
        assert version is not None, "an open queue has what is in force"
        version.queue = queue
    return queue
