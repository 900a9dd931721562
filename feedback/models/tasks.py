"""What is waiting to be judged: tasks, the slots that people take, and what they type on the way."""

from __future__ import annotations

import random
from datetime import datetime
from functools import cached_property

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from feedback.answers import draw_order
from feedback.models.imports import FileImport
from feedback.models.people import User, new_id, new_timeless_id
from feedback.models.prompts import Prompt, Response
from feedback.models.queues import Guideline, LabelSchema, Queue, QueuePolicy
from feedback.models.state_field import StateField


class Task(models.Model):
    """A prompt, and the responses to it that are judged together; of a demonstration or conversation, none."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="tasks")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="tasks")
    responses = models.ManyToManyField(Response, through="TaskResponse", related_name="tasks")
    key = models.CharField(
        max_length=64, editable=False, help_text="Digest of what is judged; the same thing is in a queue once."
    )
    propensity = models.FloatField(
        default=1.0,
        help_text="Probability with which these responses were drawn among all choices of the prompt's on offer.",
    )
    repeat_of = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="repeats",
        help_text="The task that one person is shown once more, with the sides swapped.",
    )
    file_import = models.ForeignKey(
        FileImport, on_delete=models.PROTECT, null=True, blank=True, db_index=False, related_name="tasks"
    )
    withdrawn_at = models.DateTimeField(
        null=True, blank=True, help_text="A curator has taken it out since then: nobody gets it anew."
    )
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["queue", "key"], name="task_once_per_queue"),
            models.CheckConstraint(condition=Q(propensity__gt=0, propensity__lte=1), name="task_propensity_in_range"),
        ]
        indexes = [
            models.Index(fields=["file_import"], condition=Q(file_import__isnull=False), name="task_by_import"),
        ]

    @cached_property
    def texts(self) -> list[Response]:
        """The responses by place; one query unless they were prefetched with `with_task`."""
        return [link.response for link in self.links.all()]

    def order_for(self, person: User) -> list[int]:
        """Return the order in which `person` sees the responses; of a repeat, the other way round than at first."""
        original = self.repeat_of_id or self.pk
        shown = self.__dict__.get("texts")  # when they are at hand; else their links are enough
        order = draw_order(
            salt=self.queue.project.salt,
            task=str(original),
            annotator=person.pk,
            responses=len(self.links.all() if shown is None else shown),
        )
        return order[::-1] if self.repeat_of_id else order


class TaskResponse(models.Model):
    """A response of a task. Places count from 0 in id order and say nothing about where a person sees it."""

    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="links")
    response = models.ForeignKey(Response, on_delete=models.PROTECT, related_name="links")
    place = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["place"]
        constraints = [
            models.UniqueConstraint(fields=["task", "place"], name="task_response_place_once"),
            models.UniqueConstraint(fields=["task", "response"], name="task_response_once"),
        ]


def draw_key() -> float:
    return random.random()


class Arm(models.TextChoices):
    """Why the queue gave somebody a slot. No annotator ever sees it."""

    PRIORITY = "priority", "By priority"
    RANDOM = "random", "Uniformly at random"
    GOLD = "gold", "Gold"
    REPEAT = "repeat", "Repeat"
    NAMED = "named", "Given to this person"
    ASKED = "asked", "The person asked for it again"
    IMPORTED = "imported", "Judged elsewhere and imported"


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    def claimable(self, now: datetime) -> AssignmentQuerySet:
        """Slots that nobody holds: open ones, and leased ones whose lease has run out.

        Said so that no database is led to read two indexes and sort; `assignment_claim_order` names the states too.
        """
        return self.filter(state__in=[Assignment.State.OPEN, Assignment.State.LEASED]).exclude(
            state=Assignment.State.LEASED, lease_expires_at__gt=now
        )

    def held_by(self, person: User, now: datetime) -> AssignmentQuerySet:
        return self.filter(state=Assignment.State.LEASED, annotator=person, lease_expires_at__gt=now)

    def with_task(self) -> AssignmentQuerySet:
        """Fetch along what the page or the answer of a held slot shows."""
        links = TaskResponse.objects.select_related("response")
        return self.select_related(
            "task__prompt", "task__queue__project", "guideline", "policy", "schema__queue"
        ).prefetch_related(models.Prefetch("task__links", queryset=links))

    def done(self) -> AssignmentQuerySet:
        return self.filter(state=Assignment.State.DONE)

    def waiting(self) -> AssignmentQuerySet:
        """Slots of open queues that somebody can still fill, held ones among them."""
        return self.filter(state__in=[Assignment.State.OPEN, Assignment.State.LEASED], queue__state=Queue.State.OPEN)


class Assignment(models.Model):
    """One slot for one judgment. An overlap of 3 is three slots; a claim is one conditional UPDATE of one slot."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        LEASED = "leased", "Leased"
        DONE = "done", "Done"
        WITHDRAWN = "withdrawn", "Withdrawn"

    id = models.UUIDField(primary_key=True, default=new_timeless_id, editable=False)
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="assignments")
    queue = models.ForeignKey(
        Queue, on_delete=models.PROTECT, related_name="assignments", help_text="The task's, for the claim's index."
    )
    slot = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="Number among the task's slots; empty for one made for a person (gold, repeat).",
    )
    priority = models.FloatField(default=0.0, help_text="Higher is claimed first.")
    order_key = models.FloatField(
        default=draw_key, help_text="Uniform draw that orders tasks of equal priority; the task's slots share it."
    )
    random_key = models.FloatField(
        default=draw_key, help_text="A second uniform draw, by which the uniform random arm finds its way."
    )
    language = models.CharField(max_length=20, blank=True, help_text="The prompt's, for routing.")
    reserved_for = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="reserved_assignments",
        help_text="The only person who can claim it: a curator gave it to them, or it was made for them.",
    )
    state = StateField(max_length=10, choices=State.choices, default=State.OPEN)
    opened_at = models.DateTimeField(
        default=timezone.now, help_text="When it was made, or became free again by anything but time."
    )
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="assignments",
    )
    lease_token = models.UUIDField(null=True, blank=True, help_text="Changes with every claim; fences late writers.")
    leased_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    display_order = models.JSONField(
        null=True,
        blank=True,
        help_text="Places of the responses from left to right (top to bottom), drawn by the server.",
    )
    guideline = models.ForeignKey(
        Guideline,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        help_text="In force at the claim.",
    )
    policy = models.ForeignKey(
        QueuePolicy,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        help_text="In force at the claim.",
    )
    schema = models.ForeignKey(
        LabelSchema,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        help_text="In force at the claim.",
    )
    chosen_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the queue's order gave it to the holder; empty when anything else did.",
    )
    arm = models.CharField(max_length=10, choices=Arm.choices, blank=True, help_text="Why the holder got this slot.")
    arm_propensity = models.FloatField(
        null=True, blank=True, help_text="Probability with which the queue chose that arm at the claim."
    )

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "slot"], condition=Q(slot__isnull=False), name="assignment_slot_once_per_task"
            ),
            models.UniqueConstraint(
                fields=["task", "annotator"],
                condition=Q(annotator__isnull=False),
                name="assignment_one_per_annotator",
            ),
            models.UniqueConstraint(
                fields=["task", "reserved_for"],
                condition=Q(reserved_for__isnull=False),
                name="assignment_reserved_once_per_task",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["open", "withdrawn"], annotator__isnull=True, lease_token__isnull=True)
                | Q(
                    state__in=["leased", "done"],
                    annotator__isnull=False,
                    lease_token__isnull=False,
                    lease_expires_at__isnull=False,
                    display_order__isnull=False,
                    guideline__isnull=False,
                    policy__isnull=False,
                    schema__isnull=False,
                    arm_propensity__isnull=False,
                ),
                name="assignment_holder_matches_state",
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "-priority", "order_key", "slot"],
                condition=Q(state__in=["open", "leased"], reserved_for__isnull=True),
                name="assignment_claim_order",
            ),
            models.Index(
                fields=["queue", "random_key"],
                condition=Q(state__in=["open", "leased"], reserved_for__isnull=True),
                name="assignment_random_order",
            ),
            models.Index(
                fields=["queue", "language", "-priority", "order_key", "slot"],
                condition=Q(state__in=["open", "leased"], reserved_for__isnull=True),
                name="assignment_language_order",
            ),
            models.Index(
                fields=["queue", "language", "random_key"],
                condition=Q(state__in=["open", "leased"], reserved_for__isnull=True),
                name="assignment_language_random",
            ),
            models.Index(
                fields=["queue", "opened_at"],
                condition=Q(state="open", reserved_for__isnull=True),
                name="assignment_opened",
            ),
            models.Index(
                fields=["queue", "lease_expires_at"], condition=Q(state="leased"), name="assignment_lease_end"
            ),
            models.Index(
                fields=["reserved_for", "queue"],
                condition=Q(state__in=["open", "leased"], reserved_for__isnull=False),
                name="assignment_reserved",
            ),
            # Without the slots that nobody holds: statistics that count them would say that it leads to all.
            models.Index(
                fields=["annotator", "queue", "state"],
                condition=Q(annotator__isnull=False),
                name="assignment_by_annotator",
            ),
        ]

    def is_claimable(self, now: datetime) -> bool:
        """As AssignmentQuerySet.claimable, of one slot that is at hand."""
        if self.state == self.State.LEASED:
            return self.lease_expires_at is not None and self.lease_expires_at <= now
        return self.state == self.State.OPEN

    @property
    def shown_responses(self) -> list[Response]:
        """The responses in the order in which the holder sees them."""
        texts = self.task.texts
        return [texts[place] for place in self.display_order or []]


class Draft(models.Model):
    """What a person has typed and not yet submitted. It outlives the lease."""

    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="drafts")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="drafts")
    preference = models.SmallIntegerField(null=True, blank=True, help_text="In response order, like a judgment's.")
    content = models.JSONField(default=dict, blank=True, help_text="In response order, like a judgment's.")
    rationale = models.TextField(blank=True)
    flags = models.JSONField(default=list, blank=True)
    active_seconds = models.FloatField(default=0.0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "annotator"], name="draft_one_per_annotator")]
