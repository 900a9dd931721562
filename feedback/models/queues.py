"""What is waiting to be judged: queues, their guidelines and policy, comparisons, and the slots that people take."""

from __future__ import annotations

import random
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from feedback.models.append_only import AppendOnlyModel
from feedback.models.people import Project, Role, new_id
from feedback.models.prompts import Prompt, Response

if TYPE_CHECKING:
    import uuid

    from django.contrib.auth.models import AnonymousUser

    from feedback.models.people import User


class QueueQuerySet(models.QuerySet["Queue"]):
    def open(self) -> QueueQuerySet:
        return self.filter(state=Queue.State.OPEN)

    def for_annotator(self, person: User | AnonymousUser) -> QueueQuerySet:
        """Queues that `person` may label in; a simulated annotator's role counts like a person's."""
        if not person.is_authenticated:
            return self.none()
        return self.filter(project__memberships__user=person, project__memberships__role=Role.ANNOTATOR)


class Queue(models.Model):
    class State(models.TextChoices):
        OPEN = "open", "Open"
        PAUSED = "paused", "Paused"
        CLOSED = "closed", "Closed"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="queues")
    name = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = QueueQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="queue_name_once_per_project"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def guideline(self) -> Guideline:
        """The version that annotators read now."""
        return self.guidelines.latest("number")

    @property
    def policy(self) -> QueuePolicy:
        """The version that claims follow now; a list of queues prefetches `policies`."""
        return max(self.policies.all(), key=lambda version: version.number)


class Guideline(AppendOnlyModel):
    """One version of what annotators are asked to do. Never changed: a new text is a new version."""

    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="guidelines")
    number = models.PositiveIntegerField()
    text = models.TextField(help_text="Markdown.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["queue", "number"], name="guideline_number_once_per_queue")]

    def __str__(self) -> str:
        return f"{self.queue} guidelines {self.number}"


class QueuePolicy(AppendOnlyModel):
    """One version of a queue's rules. Never changed: new rules are a new version."""

    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="policies")
    number = models.PositiveIntegerField()
    overlap = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(20)])
    lease_minutes = models.PositiveIntegerField(
        default=30, validators=[MinValueValidator(1), MaxValueValidator(24 * 60)]
    )
    allow_tie = models.BooleanField(default=True)
    require_rationale = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["queue", "number"], name="queue_policy_number_once_per_queue"),
            models.CheckConstraint(condition=Q(overlap__gte=1, overlap__lte=20), name="queue_policy_overlap_in_range"),
            models.CheckConstraint(
                condition=Q(lease_minutes__gte=1, lease_minutes__lte=24 * 60), name="queue_policy_lease_in_range"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.queue} policy {self.number}"


class Comparison(models.Model):
    """Two responses to one prompt, waiting for judgments. `a` and `b` say nothing about where a person sees them."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="comparisons")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="comparisons")
    response_a = models.ForeignKey(Response, on_delete=models.PROTECT, related_name="+")
    response_b = models.ForeignKey(Response, on_delete=models.PROTECT, related_name="+")
    propensity = models.FloatField(
        default=1.0,
        help_text="Probability with which this pair was drawn among all pairs of the prompt's responses on offer.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["queue", "response_a", "response_b"], name="comparison_pair_once_per_queue"
            ),
            models.CheckConstraint(
                condition=Q(response_a__lt=F("response_b")), name="comparison_responses_are_two_and_in_id_order"
            ),
            models.CheckConstraint(
                condition=Q(propensity__gt=0, propensity__lte=1), name="comparison_propensity_in_range"
            ),
        ]

    def shown(self, first_id: uuid.UUID | None) -> tuple[Response, Response]:
        """The two responses in the order in which the one with `first_id` stands first."""
        pair = (self.response_a, self.response_b)
        return pair if first_id == self.response_a_id else pair[::-1]

    def turn(self, preference: int, first_id: uuid.UUID | None) -> int:
        """Turn a preference from that display order into response coordinates, or back; it is its own inverse.

        In display order negative = the response shown first; in response coordinates negative = response a.
        """
        return preference if first_id == self.response_a_id else -preference


def draw_order_key() -> float:
    return random.random()


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    def claimable(self, now: datetime) -> AssignmentQuerySet:
        """Slots that nobody holds: open ones, and leased ones whose lease has run out."""
        return self.filter(Q(state=Assignment.State.OPEN) | Q(state=Assignment.State.LEASED, lease_expires_at__lte=now))

    def held_by(self, person: User, now: datetime) -> AssignmentQuerySet:
        return self.filter(state=Assignment.State.LEASED, annotator=person, lease_expires_at__gt=now)

    def with_task(self) -> AssignmentQuerySet:
        """Fetch along what the page or the answer of a held slot shows."""
        return self.select_related(
            "comparison__prompt", "comparison__response_a", "comparison__response_b", "guideline", "policy"
        )

    def done(self) -> AssignmentQuerySet:
        return self.filter(state=Assignment.State.DONE)


class Assignment(models.Model):
    """One slot for one judgment. An overlap of 3 is three slots; a claim is one conditional UPDATE of one slot."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        LEASED = "leased", "Leased"
        DONE = "done", "Done"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="assignments")
    queue = models.ForeignKey(
        Queue,
        on_delete=models.PROTECT,
        related_name="assignments",
        help_text="The comparison's, for the claim's index.",
    )
    slot = models.PositiveSmallIntegerField()
    priority = models.FloatField(default=0.0, help_text="Higher is claimed first.")
    order_key = models.FloatField(default=draw_order_key, help_text="Uniform draw that orders slots of equal priority.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="assignments"
    )
    lease_token = models.UUIDField(null=True, blank=True, help_text="Changes with every claim; fences late writers.")
    leased_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    shown_first = models.ForeignKey(
        Response,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The response on the left (on top on a phone), drawn by the server when the slot was claimed.",
    )
    guideline = models.ForeignKey(
        Guideline,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The version on the page when the slot was claimed.",
    )
    policy = models.ForeignKey(
        QueuePolicy,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The version under which the slot was claimed.",
    )

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["comparison", "slot"], name="assignment_slot_once_per_comparison"),
            models.UniqueConstraint(
                fields=["comparison", "annotator"],
                condition=Q(annotator__isnull=False),
                name="assignment_one_per_annotator",
            ),
            models.CheckConstraint(
                condition=Q(state="open", annotator__isnull=True, lease_token__isnull=True)
                | Q(
                    state__in=["leased", "done"],
                    annotator__isnull=False,
                    lease_token__isnull=False,
                    lease_expires_at__isnull=False,
                    shown_first__isnull=False,
                    guideline__isnull=False,
                    policy__isnull=False,
                ),
                name="assignment_holder_matches_state",
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "-priority", "order_key"],
                condition=~Q(state="done"),
                name="assignment_claim_order",
            ),
        ]

    def is_claimable(self, now: datetime) -> bool:
        """As AssignmentQuerySet.claimable, of one slot that is at hand."""
        if self.state == self.State.LEASED:
            return self.lease_expires_at is not None and self.lease_expires_at <= now
        return self.state == self.State.OPEN

    @property
    def shown_responses(self) -> tuple[Response, Response]:
        """The two responses in the order in which the holder sees them."""
        return self.comparison.shown(self.shown_first_id)

    def turn(self, preference: int) -> int:
        """Turn a preference from the holder's display order into response coordinates, or back."""
        return self.comparison.turn(preference, self.shown_first_id)


class Draft(models.Model):
    """What a person has typed and not yet submitted. It outlives the lease."""

    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="drafts")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="drafts")
    preference = models.SmallIntegerField(
        null=True, blank=True, help_text="In response coordinates, like a judgment's."
    )
    rationale = models.TextField(blank=True)
    flags = models.JSONField(default=list, blank=True)
    active_seconds = models.FloatField(default=0.0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["comparison", "annotator"], name="draft_one_per_annotator")]


class Skip(models.Model):
    """A person passed over a comparison; it is not offered to them again."""

    class Reason(models.TextChoices):
        CANNOT_DECIDE = "cannot_decide", "I cannot decide"
        EXPERTISE = "expertise", "Outside my expertise"
        UNCOMFORTABLE = "uncomfortable", "The content is distressing"
        BROKEN = "broken", "The prompt or a response is broken"
        OTHER = "other", "Something else"

    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="skips")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="skips")
    reason = models.CharField(max_length=20, choices=Reason.choices)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["comparison", "annotator"], name="skip_one_per_annotator")]
