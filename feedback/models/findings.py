"""What was found in texts: personal data, another language than said, near-duplicates, leaks between splits."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from feedback.models.judgments import Judgment
from feedback.models.people import Project
from feedback.models.prompts import Prompt, Response


class FindingQuerySet(models.QuerySet["Finding"]):
    def unsettled(self) -> FindingQuerySet:
        return self.filter(settlement="")


class Finding(models.Model):
    """Something in one prompt, response or judgment that a curator should know of.

    What `detail` holds: of personal data `spans`, each {place, start, end, kind}, where place says which text of it;
    of a language `said` and `found`; of a near-duplicate `of` (a prompt's id) and `similarity`; of a leak `near`, a
    list of {prompt, split, similarity}. Never the words themselves, so that what is redacted is gone.
    """

    class Kind(models.TextChoices):
        PERSONAL_DATA = "personal_data", "Personal data"
        LANGUAGE = "language", "Another language than said"
        NEAR_DUPLICATE = "near_duplicate", "Near-duplicate"
        LEAK = "leak", "Near-duplicate in another split"

    class Settlement(models.TextChoices):
        REDACT = "redact", "Redacted"
        LEAVE = "leave", "It may stay"
        LEAVE_OUT = "leave_out", "Left out for good"

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="findings")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, null=True, blank=True, related_name="findings")
    response = models.ForeignKey(Response, on_delete=models.CASCADE, null=True, blank=True, related_name="findings")
    judgment = models.ForeignKey(
        Judgment, on_delete=models.CASCADE, null=True, blank=True, db_index=False, related_name="findings"
    )
    detail = models.JSONField(default=dict, help_text="What and where: kinds and places of personal data, a language.")
    settlement = models.CharField(
        max_length=10, blank=True, choices=Settlement.choices, default="", help_text="Empty while nobody has decided."
    )
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    settled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = FindingQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(prompt__isnull=False, response__isnull=True, judgment__isnull=True)
                | Q(prompt__isnull=True, response__isnull=False, judgment__isnull=True)
                | Q(prompt__isnull=True, response__isnull=True, judgment__isnull=False),
                name="finding_of_one_thing",
            ),
            *(
                models.UniqueConstraint(
                    fields=["kind", name], condition=Q(**{f"{name}__isnull": False}), name=f"finding_once_per_{name}"
                )
                for name in ("prompt", "response", "judgment")
            ),
        ]
        indexes = [models.Index(fields=["project", "kind", "settlement", "-id"], name="finding_waiting")]
