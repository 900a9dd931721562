"""Queues: what they ask of people, and by which rules, each version kept."""

from __future__ import annotations

import json
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from feedback.models.append_only import AppendOnlyModel
from feedback.models.people import Project, Role, new_id
from feedback.schemas import Schema, TaskKind, check_schema

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from feedback.models.people import User

OVERLAP_LIMIT = 20
LEASE_MINUTES_LIMIT = 24 * 60


class QueueQuerySet(models.QuerySet["Queue"]):
    def open(self) -> QueueQuerySet:
        return self.filter(state=Queue.State.OPEN)

    def for_annotator(self, person: User | AnonymousUser) -> QueueQuerySet:
        """Queues that `person` may label in; a simulated annotator's role counts like a person's."""
        if not person.is_authenticated:
            return self.none()
        return self.filter(project__memberships__user=person, project__memberships__role=Role.ANNOTATOR)

    def in_force(self) -> QueueQuerySet:
        """Fetch along the guidelines, policy and label schema that count now."""
        return self.select_related("project", "guideline", "policy", "schema")


class Queue(models.Model):
    class State(models.TextChoices):
        OPEN = "open", _("Open")
        PAUSED = "paused", _("Paused")
        CLOSED = "closed", _("Closed")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="queues")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=20, choices=TaskKind.choices, default=TaskKind.COMPARISON)
    is_qualification = models.BooleanField(
        default=False, help_text="A test: every task is gold, and who passes may label where it is required."
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    guideline = models.ForeignKey(
        "Guideline", on_delete=models.PROTECT, null=True, related_name="+", help_text="The version in force."
    )
    policy = models.ForeignKey(
        "QueuePolicy", on_delete=models.PROTECT, null=True, related_name="+", help_text="The version in force."
    )
    schema = models.ForeignKey(
        "LabelSchema", on_delete=models.PROTECT, null=True, related_name="+", help_text="The version in force."
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = QueueQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="queue_name_once_per_project"),
            models.CheckConstraint(condition=Q(kind__in=TaskKind.values), name="queue_kind_is_known"),
        ]

    def __str__(self) -> str:
        return self.name


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


class GuidelineReading(models.Model):
    """A person had this version of the guidelines open before them."""

    guideline = models.ForeignKey(Guideline, on_delete=models.PROTECT, related_name="readings")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["guideline", "person"], name="guideline_reading_once")]


@lru_cache(maxsize=1_000)
def checked(kind: str, content: str) -> Schema:
    return check_schema(kind, json.loads(content))


class LabelSchema(AppendOnlyModel):
    """One version of what a queue asks: scale, attributes, flags. Never changed: a new schema is a new version."""

    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="schemas")
    number = models.PositiveIntegerField()
    content = models.JSONField(help_text="As feedback.schemas.Schema.to_json gives it.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["queue", "number"], name="label_schema_number_once_per_queue")]

    def __str__(self) -> str:
        return f"{self.queue} label schema {self.number}"

    @cached_property
    def asks(self) -> Schema:
        """The content as a checked Schema; the same content is checked once."""
        return checked(self.queue.kind, json.dumps(self.content, sort_keys=True))


class QueuePolicy(AppendOnlyModel):
    """One version of a queue's rules (`feedback.queues.RULES`). Never changed: new rules are a new version."""

    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="policies")
    number = models.PositiveIntegerField()
    # How many people judge a task
    overlap = models.PositiveSmallIntegerField(default=1, help_text="Judgments of a task, by different people.")
    overlap_percent = models.PositiveSmallIntegerField(
        default=100, help_text="Share of tasks that get `overlap` judgments; the others get one."
    )
    evaluation_overlap = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Judgments of a task on the evaluation split; empty = as the others."
    )
    overlap_cap = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="While not more than half of the judgments agree, ask one more person, up to so many; empty = never.",
    )
    # For how long, and how much of it, a person has
    lease_minutes = models.PositiveIntegerField(default=30)
    annotator_cap = models.PositiveIntegerField(null=True, blank=True, help_text="Most judgments of one person.")
    daily_quota = models.PositiveIntegerField(null=True, blank=True, help_text="Most judgments of one person a day.")
    revise_hours = models.PositiveIntegerField(
        null=True, blank=True, help_text="For so long a judgment may be revised; empty = until the queue closes."
    )
    # What is mixed in unseen
    gold_percent = models.PositiveSmallIntegerField(default=0)
    newcomer_gold_percent = models.PositiveSmallIntegerField(
        default=0, help_text="For newcomers, where it is more than `gold_percent`."
    )
    newcomer_judgments = models.PositiveIntegerField(
        default=20, help_text="So many judgments in the queue make a person an old hand."
    )
    repeat_percent = models.PositiveSmallIntegerField(default=3, help_text="Own earlier tasks with the sides swapped.")
    repeat_after_hours = models.PositiveIntegerField(default=24)
    random_percent = models.PositiveSmallIntegerField(default=10, help_text="Drawn uniformly, whatever the priority.")
    # Who may label
    languages = models.JSONField(default=list, blank=True, help_text="A person needs one of them; empty = any.")
    route_by_language = models.BooleanField(
        default=False, help_text="Offer a task only to people whose profile has the language of its prompt."
    )
    expertise = models.CharField(max_length=60, blank=True, help_text="Verified domain that a person needs.")
    qualification = models.ForeignKey(
        Queue, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="Test to be passed first."
    )
    named_only = models.BooleanField(default=False, help_text="Only people whom a curator has named may label.")
    # A qualification queue's pass rule
    pass_judgments = models.PositiveIntegerField(default=10)
    pass_percent = models.PositiveSmallIntegerField(default=70)
    # What curators look at, and when gold is used up
    review_percent = models.PositiveSmallIntegerField(
        default=10, help_text="Share of a person's judgments that is drawn for review."
    )
    propose_disputes = models.BooleanField(
        default=True, help_text="Propose a task for adjudication when all its judgments are in and are not settled."
    )
    gold_exposure_percent = models.PositiveSmallIntegerField(
        default=60, help_text="Gold that a larger share of the queue's people have judged is retired; 100 = never."
    )
    gold_dispute_percent = models.PositiveSmallIntegerField(
        default=40, help_text="Gold that a larger share of five or more judgments contradicts is retired; 100 = never."
    )
    # What a person sees of their own evidence
    show_agreement = models.BooleanField(default=True)
    show_gold = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["queue", "number"], name="queue_policy_number_once_per_queue"),
            models.CheckConstraint(
                condition=Q(overlap__gte=1, overlap__lte=OVERLAP_LIMIT), name="queue_policy_overlap_in_range"
            ),
            models.CheckConstraint(
                condition=Q(lease_minutes__gte=1, lease_minutes__lte=LEASE_MINUTES_LIMIT),
                name="queue_policy_lease_in_range",
            ),
            models.CheckConstraint(
                condition=Q(
                    overlap_percent__lte=100,
                    gold_percent__lte=100,
                    newcomer_gold_percent__lte=100,
                    repeat_percent__lte=100,
                    random_percent__lte=100,
                    pass_percent__lte=100,
                    review_percent__lte=100,
                    gold_exposure_percent__lte=100,
                    gold_dispute_percent__lte=100,
                ),
                name="queue_policy_percent_in_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.queue} policy {self.number}"


class QueueMember(models.Model):
    """A person whom a curator named for a queue that only named people label (`QueuePolicy.named_only`)."""

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="named")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="named_for")
    named_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["queue", "person"], name="queue_member_once")]
