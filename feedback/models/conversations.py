"""Live talks: one person, two blind answers at every turn, the choice goes on."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from feedback.models.people import User, new_id
from feedback.models.prompts import Prompt, Response
from feedback.models.tasks import Task


class TurnQuerySet(models.QuerySet["Turn"]):
    def of_talk(self, task: Task, person: User) -> TurnQuerySet:
        """The turns that `person` has over `task`, the first one first."""
        return self.filter(task=task, annotator=person).order_by("number")

    def answerable(self) -> TurnQuerySet:
        """Turns that wait for answers, the oldest words first; whose worker has vanished is for the sweep."""
        return self.filter(state=Turn.State.WAITING).order_by("id")

    def orphaned(self) -> TurnQuerySet:
        """Turns whose worker has not renewed its lease; in database time."""
        return self.filter(state=Turn.State.RUNNING, lease_expires_at__lte=Now())

    def unanswered(self) -> TurnQuerySet:
        """Turns of which somebody has been told that no answer could be had, the latest first."""
        held = Q(task__assignments__annotator=F("annotator"), task__assignments__state="leased")
        return self.filter(held, state=Turn.State.FAILED).order_by("-id").distinct()


class Turn(models.Model):
    """One turn of the conversation that a person holds over a task: what they wrote, two answers, their choice.

    The person's verbs are in `feedback.conversations`, those of the worker that writes the answers in
    `feedback.answering`. Whatever fails, the person's words are here. A chosen turn is a preference pair: `prompt` is
    the talk so far, `first` and `second` are the responses, `preference` says which one and how much.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting for answers"
        RUNNING = "running", "Answers are being written"
        READY = "ready", "Answers are there"
        FAILED = "failed", "No answer could be had"
        CHOSEN = "chosen", "An answer is chosen"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="turns")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="turns")
    number = models.PositiveSmallIntegerField(help_text="From 1.")
    prompt = models.ForeignKey(
        Prompt,
        on_delete=models.PROTECT,
        related_name="turns",
        help_text="The talk so far, ending with the person's words.",
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    policies = models.JSONField(
        help_text="Ids of the checkpoints that write the first and the second answer, in an order drawn by the server."
    )
    sampling = models.JSONField(
        default=dict, help_text="temperature, top_p, max_new_tokens, and seeds: one for each of the two answers."
    )
    first = models.ForeignKey(
        Response, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="Shown first."
    )
    second = models.ForeignKey(Response, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    preference = models.SmallIntegerField(
        null=True, blank=True, help_text="Negative = the first, positive = the second, 0 = tie; size = strength."
    )
    rationale = models.TextField(blank=True, help_text="Why, in the person's words.")
    flags = models.JSONField(default=list, blank=True, help_text="As a judgment's; response 0 = first, 1 = second.")
    went_on_with = models.ForeignKey(
        Response, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="The answer in the talk."
    )
    attempt = models.PositiveIntegerField(default=0, help_text="Counts claims; fences a worker that lost its lease.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Attempts in vain since the person last asked.")
    lease_owner = models.CharField(max_length=100, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, help_text="For curators and ML staff: it may name a model.")
    created_at = models.DateTimeField(auto_now_add=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    chosen_at = models.DateTimeField(null=True, blank=True)

    objects = TurnQuerySet.as_manager()

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["task", "annotator", "number"], name="turn_number_once"),
            models.CheckConstraint(
                condition=Q(preference__isnull=True) | Q(preference__gte=-3, preference__lte=3),
                name="turn_preference_in_range",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "running", "failed"], preference__isnull=True)
                | Q(state="ready", first__isnull=False, second__isnull=False, preference__isnull=True)
                | Q(state="chosen", preference__isnull=False, went_on_with__isnull=False),
                name="turn_content_matches_state",
            ),
            models.CheckConstraint(
                condition=~Q(state="running") | Q(lease_expires_at__isnull=False), name="turn_running_has_lease"
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state__in=["waiting", "running"]), name="turn_to_be_answered"),
        ]

    def __str__(self) -> str:
        return f"Turn {self.number}: {self.said[:80]}"

    @property
    def said(self) -> str:
        """What the person wrote."""
        return self.prompt.last_turn
