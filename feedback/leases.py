"""What a lease writes on a slot. A slot changes hands by one conditional UPDATE whose row count decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from feedback.lease_tokens import draw_token
from feedback.models import Arm, Assignment, Queue, User

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

    def take(self, slot: Assignment, *, arm: str, propensity: float, chosen: bool = False) -> Assignment | None:
        """Lease the slot; None when somebody else was faster. `chosen`: the queue's order gave it (feedback.places).

        Returns it with all that its page shows.
        """
        slot = Assignment.objects.with_task().get(pk=slot.pk)
        terms = self.terms(slot, arm, propensity, self.now if chosen else None)
        return self.write(slot, terms)

    def take_own(self, slot: Assignment) -> Assignment | None:
        """Lease once more what the person had before, or what is reserved for them; None when it was lost."""
        slot = Assignment.objects.with_task().get(pk=slot.pk)
        if slot.arm_propensity is None:
            terms = self.terms(slot, Arm.NAMED, 1.0, None)
        else:
            terms = self.terms(slot, slot.arm, slot.arm_propensity, slot.chosen_at)
        return self.write(slot, terms)

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
        mine = Q(reserved_for__isnull=True) | Q(reserved_for=self.annotator)
        if not Assignment.objects.claimable(self.now).filter(mine, pk=slot.pk).update(**terms):
            return None
        for name, value in terms.items():
            setattr(slot, name, value)
        assert slot.schema is not None, "an open queue has its label schema"
        slot.schema.queue = self.queue
        return slot
