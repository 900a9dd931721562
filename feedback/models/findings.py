"""What a scan found in prompts and responses: personal data, a language that is not the one said, near-duplicates."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from feedback.models.people import Project
from feedback.models.prompts import Prompt, Response


class Finding(models.Model):
    """Something in one prompt or response that a curator should know of."""

    class Kind(models.TextChoices):
        PERSONAL_DATA = "personal_data", "Personal data"
        LANGUAGE = "language", "Another language than said"
        NEAR_DUPLICATE = "near_duplicate", "Near-duplicate"

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="findings")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, null=True, blank=True, related_name="findings")
    response = models.ForeignKey(Response, on_delete=models.CASCADE, null=True, blank=True, related_name="findings")
    detail = models.JSONField(default=dict, help_text="What and where: kinds and places of personal data, a language.")
    settlement = models.CharField(
        max_length=10, blank=True, choices=[("redact", "Redacted"), ("leave", "It may stay")], default=""
    )
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    settled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(prompt__isnull=False, response__isnull=True)
                | Q(prompt__isnull=True, response__isnull=False),
                name="finding_of_prompt_or_response",
            ),
            models.UniqueConstraint(
                fields=["kind", "prompt"], condition=Q(prompt__isnull=False), name="finding_once_per_prompt"
            ),
            models.UniqueConstraint(
                fields=["kind", "response"], condition=Q(response__isnull=False), name="finding_once_per_response"
            ),
        ]
        indexes = [models.Index(fields=["project", "kind", "settlement", "-id"], name="finding_waiting")]
