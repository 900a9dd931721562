"""Who may label where a passed test is required."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from feedback.models.append_only import AppendOnlyModel
from feedback.models.queues import Queue, QueuePolicy


class Qualification(AppendOnlyModel):
    """A person passed or failed a qualification queue, by its pass rule or a curator's word. The latest counts."""

    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="qualifications")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="qualifications")
    passed = models.BooleanField()
    right = models.PositiveIntegerField(null=True, help_text="Judgments that were right, of `judged`; empty by word.")
    judged = models.PositiveIntegerField(null=True)
    policy = models.ForeignKey(QueuePolicy, on_delete=models.PROTECT, related_name="+", help_text="Held the pass rule.")
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="Empty = by the rule.",
    )
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["queue", "person"],
                condition=models.Q(decided_by__isnull=True),
                name="qualification_decided_by_rule_once",
            ),
        ]
