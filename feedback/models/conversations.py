"""Live talks: one person, two blind answers at every turn, the choice goes on."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from feedback.models.people import new_id
from feedback.models.prompts import Prompt, Response
from feedback.models.tasks import Task


class Turn(models.Model):
    """One turn of the conversation that a person holds over a task: what they wrote, two answers, their choice.

    A worker writes the answers (`feedback.conversations` has the verbs). Whatever fails, the person's words are here.
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
    policies = models.JSONField(help_text="Ids of the two checkpoints that answer, drawn into an order by the server.")
    sampling = models.JSONField(default=dict, help_text="Temperature, max_new_tokens, seed.")
    first = models.ForeignKey(
        Response, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="Shown first."
    )
    second = models.ForeignKey(Response, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    preference = models.SmallIntegerField(
        null=True, blank=True, help_text="Negative = the first, positive = the second, 0 = tie; size = strength."
    )
    went_on_with = models.ForeignKey(
        Response, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="The answer in the talk."
    )
    attempt = models.PositiveSmallIntegerField(default=0)
    lease_owner = models.CharField(max_length=100, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    chosen_at = models.DateTimeField(null=True, blank=True)

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
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state__in=["waiting", "running"]), name="turn_to_be_answered"),
        ]
