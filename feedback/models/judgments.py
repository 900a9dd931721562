"""What people said, and what a curator said of it. Both are append-only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Case, Exists, F, OuterRef, Q, Subquery, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Sign
from django.utils import timezone

from feedback.answers import Answer, to_shown
from feedback.models.append_only import AppendOnlyModel
from feedback.models.audit import BulkAction
from feedback.models.consent import Erasure
from feedback.models.conversations import Turn
from feedback.models.gold import Gold
from feedback.models.imports import FileImport
from feedback.models.people import Project, new_id
from feedback.models.queues import Guideline, LabelSchema, Queue, QueuePolicy
from feedback.models.tasks import Arm, Assignment, Task, draw_key
from feedback.schemas import TaskKind

if TYPE_CHECKING:
    import uuid
    from datetime import datetime

SEARCH_LIMIT = 200


class JudgmentQuerySet(models.QuerySet["Judgment"]):
    def current(self) -> JudgmentQuerySet:
        """Latest revisions only, without what was erased."""
        return self.filter(superseded_by__isnull=True, erased_by__isnull=True)

    def by_people(self) -> JudgmentQuerySet:
        """Without those of simulated annotators."""
        return self.filter(simulation_rule="")

    def simulated(self) -> JudgmentQuerySet:
        return self.exclude(simulation_rule="")

    def unreviewed(self) -> JudgmentQuerySet:
        """Those that nobody has reviewed, or whose review was taken back, the oldest first."""
        return self.with_review().filter(Q(review_accepted__isnull=True)).order_by("id")

    def with_review(self) -> JudgmentQuerySet:
        """Annotate `review_accepted`: what the latest review says, None without a review."""
        latest = Review.objects.filter(judgment=OuterRef("pk")).order_by("-id").values("accepted")[:1]
        return self.annotate(review_accepted=Subquery(latest))

    def with_review_state(self) -> JudgmentQuerySet:
        """Annotate `review_state`: accepted, fixed, rejected, or "" where no review counts (`Review.state`)."""
        state = Case(
            When(fixed__isnull=False, then=Value("fixed")),
            When(accepted=True, then=Value("accepted")),
            When(accepted=False, then=Value("rejected")),
            default=Value(""),
            output_field=models.CharField(),
        )
        latest = Review.objects.filter(judgment=OuterRef("pk")).order_by("-id").annotate(said=state).values("said")[:1]
        return self.annotate(review_state=Coalesce(Subquery(latest), Value("")))

    def in_review_state(self, *states: str) -> JudgmentQuerySet:
        """Those whose review says one of `states`, as `with_review_state` names them."""
        return self.with_review_state().filter(Q(review_state__in=states))

    def rejected(self) -> JudgmentQuerySet:
        """Those whose latest review rejects them."""
        return self.with_review().filter(Q(review_accepted=False))

    def in_project(self, project: Project) -> JudgmentQuerySet:
        return self.filter(queue__project=project)

    def flagged(self, flag: str = "") -> JudgmentQuerySet:
        """Those that raise `flag` on anything, or any flag."""
        if not flag:
            return self.exclude(flags=[])
        return self.filter(flags__icontains=f'"flag": {json.dumps(flag)}')

    def differing(self) -> JudgmentQuerySet:
        """Those whose task somebody judged otherwise.

        Of a comparison: another side. Of a ranking or rating, those that anybody else judged, too: whether the two
        contradict each other is decided by `feedback.overlap.disagree`.
        """
        others = Judgment.objects.current().filter(task=OuterRef("task")).exclude(assignment=OuterRef("assignment"))
        other_side = others.annotate(side=Sign("preference")).exclude(side=OuterRef("side"))
        compared = Q(preference__isnull=False) & Exists(other_side)
        return self.annotate(side=Sign("preference")).filter(
            compared | (Q(queue__kind__in=[TaskKind.RANKING, TaskKind.RATING]) & Exists(others))
        )

    def on_gold(self) -> JudgmentQuerySet:
        """Those of a task whose good answer is known."""
        return self.filter(Exists(Gold.objects.filter(task=OuterRef("task"))))

    def failing_gold(self) -> JudgmentQuerySet:
        """Those of a comparison that say another side than its gold; all of other kinds (`feedback.gold.is_right`)."""
        gold = Gold.objects.filter(task=OuterRef("task"))
        known = gold.annotate(known=Sign(Cast(KT("answer__preference"), models.IntegerField())))
        wrong = Q(preference__isnull=False) & Exists(known.exclude(known=OuterRef("side")))
        other = Q(preference__isnull=True) & Exists(gold)
        return self.annotate(side=Sign("preference")).filter(wrong | other)

    def drawn_for_review(self) -> JudgmentQuerySet:
        """The share of each person's work that curators look at: the person's own rate, else the queue's."""
        from feedback.models.reviews import ReviewRate  # it names judgments

        own = ReviewRate.objects.filter(project=OuterRef("queue__project"), person=OuterRef("annotator"))
        rate = Coalesce(Subquery(own.values("percent")[:1]), F("queue__policy__review_percent"))
        return self.annotate(rate=rate).filter(review_draw__lt=F("rate") / Value(100.0))

    def of_strength(self, strength: int) -> JudgmentQuerySet:
        """Comparisons that prefer so strongly, whichever; 0 = ties."""
        return self.filter(preference__in={strength, -strength})

    def between(self, since: datetime | None, until: datetime | None) -> JudgmentQuerySet:
        """From `since` up to but not including `until`; None leaves that side open."""
        found = self if since is None else self.filter(created_at__gte=since)
        return found if until is None else found.filter(created_at__lt=until)

    def imported(self) -> JudgmentQuerySet:
        return self.filter(file_import__isnull=False)

    def commented(self) -> JudgmentQuerySet:
        """Those of which somebody has said something."""
        from feedback.models.reviews import Comment  # it names judgments

        return self.filter(Exists(Comment.objects.filter(judgment=OuterRef("pk"))))

    def mentioning(self, words: str) -> JudgmentQuerySet:
        """Those whose prompt, reason, written text or talk has `words` in it; all for no words."""
        words = words.strip()[:SEARCH_LIMIT]
        if not words or "\x00" in words:
            return self
        escaped = json.dumps(words)[1:-1]  # SQLite stores JSON with escapes, PostgreSQL as the characters themselves
        wanted = Q(rationale__icontains=words)
        own_turns = Turn.objects.filter(task=OuterRef("task"), annotator=OuterRef("annotator"))
        for each in {words, escaped}:
            wanted |= Q(Exists(own_turns.filter(prompt__messages__icontains=each)))
            wanted |= Q(task__prompt__messages__icontains=each) | Q(content__icontains=each)
        return self.filter(wanted)


class Judgment(AppendOnlyModel):
    """What one person said of one task, with everything needed to trust it later."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, db_index=False, related_name="judgments")
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="judgments")
    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, db_index=False, related_name="judgments")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, db_index=False, related_name="judgments"
    )
    submission_id = models.UUIDField(unique=True, help_text="Made by the client; the same submission stores one row.")
    revision = models.PositiveIntegerField(default=1)
    supersedes = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="superseded_by"
    )
    preference = models.SmallIntegerField(
        null=True,
        help_text="Of a comparison: negative = the response at place 0, positive = place 1, 0 = tie; size = strength.",
    )
    content = models.JSONField(default=dict, help_text="What else the answer holds, in response order.")
    rationale = models.TextField(blank=True)
    flags = models.JSONField(default=list, blank=True)
    active_seconds = models.FloatField(
        null=True,
        help_text="Time with the task in view and the person not idle; empty where nobody measured it (imported).",
    )
    display_order = models.JSONField(
        help_text="Places of the responses in the order in which the person saw them; empty where nobody knows it."
    )
    guideline = models.ForeignKey(Guideline, on_delete=models.PROTECT, db_index=False, related_name="judgments")
    policy = models.ForeignKey(QueuePolicy, on_delete=models.PROTECT, db_index=False, related_name="judgments")
    schema = models.ForeignKey(LabelSchema, on_delete=models.PROTECT, db_index=False, related_name="judgments")
    propensity = models.FloatField(help_text="The task's, at the time of the claim.")
    arm = models.CharField(max_length=10, choices=Arm.choices, help_text="Why the queue gave the person this task.")
    arm_propensity = models.FloatField(help_text="Probability with which the queue chose that arm.")
    interface = models.CharField(max_length=20, help_text="Where it was made: page or api; or import.")
    review_draw = models.FloatField(
        default=draw_key, editable=False, help_text="Uniform draw by which a share of a person's work is reviewed."
    )
    file_import = models.ForeignKey(
        FileImport, on_delete=models.PROTECT, null=True, blank=True, db_index=False, related_name="judgments"
    )
    erased_by = models.ForeignKey(
        Erasure,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="judgments",
        help_text="What the person said is gone; that they judged, and when, is still known.",
    )
    simulation_rule = models.CharField(max_length=200, blank=True, help_text="Empty when a person judged.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = JudgmentQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["assignment", "revision"], name="judgment_one_per_revision"),
            models.CheckConstraint(
                condition=Q(preference__gte=-3, preference__lte=3), name="judgment_preference_in_range"
            ),
            models.CheckConstraint(condition=Q(active_seconds__gte=0), name="judgment_active_seconds_not_negative"),
            models.CheckConstraint(
                condition=Q(propensity__gt=0, propensity__lte=1, arm_propensity__gt=0, arm_propensity__lte=1),
                name="judgment_propensity_in_range",
            ),
        ]
        indexes = [
            models.Index(fields=["queue", "-id"], name="judgment_by_queue"),
            models.Index(fields=["annotator", "queue", "-id"], name="judgment_by_annotator"),
            models.Index(fields=["annotator", "queue", "created_at"], name="judgment_by_day"),
            models.Index(fields=["file_import"], condition=Q(file_import__isnull=False), name="judgment_by_import"),
        ]

    @property
    def chosen_id(self) -> uuid.UUID | None:
        """The preferred response; None for a tie and for other kinds than a comparison."""
        if not self.preference:
            return None
        return self.task.texts[1 if self.preference > 0 else 0].pk

    @property
    def answer(self) -> Answer:
        """What was said, in response order."""
        return Answer(self.preference, self.content, self.rationale, self.flags)

    @property
    def shown_answer(self) -> Answer:
        """What was said, in the order in which the person saw the responses."""
        return to_shown(self.answer, self.display_order)

    @property
    def is_simulated(self) -> bool:
        return bool(self.simulation_rule)


class Review(AppendOnlyModel):
    """A curator accepted or rejected one judgment, or took that back. The latest review of a judgment counts."""

    judgment = models.ForeignKey(Judgment, on_delete=models.PROTECT, related_name="reviews")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        db_index=False,
        editable=False,
        related_name="+",
        help_text="The judgment's, so that the database can refuse that they review themselves.",
    )
    accepted = models.BooleanField(null=True, help_text="Empty = taken back: as if nobody had reviewed it.")
    fixed = models.JSONField(
        null=True,
        blank=True,
        help_text="What the reviewer put in place of the answer, {preference, content, flags} in response order.",
    )
    reason = models.TextField(blank=True)
    slot = models.ForeignKey(
        Assignment,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        help_text="One more slot of the task for somebody else, where the rejection asked for it.",
    )
    undoes = models.OneToOneField(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="undone_by",
        help_text="The review that this one takes back: it says again what counted before.",
    )
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews")
    bulk = models.ForeignKey(BulkAction, on_delete=models.PROTECT, null=True, blank=True, related_name="reviews")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(reviewer=F("annotator")), name="review_by_somebody_else"),
            models.CheckConstraint(
                condition=Q(fixed__isnull=True) | Q(accepted=True), name="review_fix_is_an_acceptance"
            ),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.annotator_id = self.judgment.annotator_id
        super().save(*args, **kwargs)

    @property
    def state(self) -> str:
        """What it says of the judgment: accepted, fixed, rejected, or nothing."""
        if self.accepted is None:
            return ""
        return "fixed" if self.fixed is not None else "accepted" if self.accepted else "rejected"
