"""What was measured, and what a person decided about another one on that evidence."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, OuterRef, Q, Subquery
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from feedback.models.append_only import AppendOnlyModel
from feedback.models.jobs import Job
from feedback.models.people import Project, new_id


class Report(models.Model):
    """Figures that were computed in the background, with what they were computed from and when.

    The latest report of a (kind, key) is shown, with its age and how many judgments came since.
    """

    class Kind(models.TextChoices):
        AGREEMENT = "agreement", "Agreement"
        PEOPLE = "people", "People"
        MODELS = "models", "Models"
        WHAT_IF = "what_if", "What if"
        DISPUTES = "disputes", "Disputes"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="reports")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    key = models.CharField(max_length=64, help_text="Digest of the params: the same question has the same key.")
    params = models.JSONField(default=dict)
    content = models.JSONField(default=dict)
    judgments = models.PositiveBigIntegerField(help_text="How many judgments it was computed from.")
    newest = models.UUIDField(null=True, blank=True, help_text="The newest of them.")
    seconds = models.FloatField(help_text="How long the computation took.")
    job = models.ForeignKey(Job, on_delete=models.PROTECT, null=True, blank=True, related_name="reports")
    computed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["project", "kind", "key", "-id"], name="report_latest")]


class StandingQuerySet(models.QuerySet["Standing"]):
    def on_tasks(self) -> StandingQuerySet:
        """Decisions on whether a person gets tasks; the latest one of them counts."""
        return self.filter(decision__in=[Standing.Decision.SUSPENDED, Standing.Decision.REINSTATED])

    def waiting(self) -> StandingQuerySet:
        """Those to which the annotator spoke last: a curator owes them an answer."""
        last = StandingAnswer.objects.filter(standing=OuterRef("pk")).order_by("-id").values("author")[:1]
        return self.annotate(last_author=Subquery(last)).filter(last_author=F("person"))


class Standing(AppendOnlyModel):
    """What a curator decided about a person's work in a project, on which evidence. The latest one counts.

    Only a person decides; the annotator sees the same evidence and can answer.
    """

    class Decision(models.TextChoices):
        NOTED = "noted", _("Noted")
        TALKED = "talked", _("Asked to read the guidelines again")
        SUSPENDED = "suspended", _("Gets no new tasks")
        REINSTATED = "reinstated", _("Gets tasks again")

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="standings")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="standings")
    decision = models.CharField(max_length=12, choices=Decision.choices)
    reason = models.TextField(help_text="The annotator reads it.")
    evidence = models.JSONField(default=dict, help_text="The figures that the curator saw.")
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = StandingQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(decision__in=["noted", "talked", "suspended", "reinstated"]),
                name="standing_decision_is_known",
            ),
        ]
        indexes = [models.Index(fields=["person", "project", "-id"], name="standing_latest")]


class StandingAnswer(AppendOnlyModel):
    """What the annotator, or a curator in turn, said to a decision."""

    standing = models.ForeignKey(Standing, on_delete=models.PROTECT, related_name="answers")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["id"]
