"""What reward models say of responses."""

from __future__ import annotations

from django.db import models

from feedback.models.people import Project
from feedback.models.prompts import Response


class Score(models.Model):
    """The reward that one reward model gives one response. Shown to curators, never to annotators."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="scores")
    response = models.ForeignKey(Response, on_delete=models.PROTECT, related_name="scores")
    scorer_id = models.UUIDField(help_text="training.Checkpoint that gave it.")
    scorer_name = models.CharField(max_length=200)
    value = models.FloatField()
    spread = models.FloatField(null=True, blank=True, help_text="Standard deviation over an ensemble's members.")
    attributes = models.JSONField(
        default=dict, blank=True, help_text="By key, where on its scale a head expects the response: 0 = low, 1 = high."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["response", "scorer_id"], name="score_once_per_scorer")]
        indexes = [models.Index(fields=["project", "scorer_id"], name="score_by_scorer")]
