"""Reviews, adjudications, comments, bulk actions and the audit log, as they go out and come in."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from feedback.api.answer_serializers import AnswerField, FlagsField, RationaleField
from feedback.bulk import ACTIONS
from feedback.models import Adjudication, AuditEvent, BulkAction, Comment, Review


class SeenField(serializers.IntegerField):
    """Which decision the caller looked at, so that of two at once the second one is told."""

    def __init__(self, **kwargs: Any) -> None:
        words = "Id of the one that you looked at, null for none; 409 when it is not the latest. Left out: nobody asks."
        super().__init__(**{"required": False, "allow_null": True, "help_text": words, **kwargs})


class ReviewInputSerializer(serializers.Serializer):
    accepted = serializers.BooleanField()
    reason = serializers.CharField(required=False, default="", allow_blank=True)
    requeue = serializers.BooleanField(
        required=False, default=False, help_text="With a rejection: one more slot of the task for somebody else."
    )
    seen = SeenField()


class FixInputSerializer(serializers.Serializer):
    answer = AnswerField(help_text="In the order of the judgment's `responses`.")
    flags = FlagsField(required=False, help_text="Left out, the judgment's own stay.")
    reason = serializers.CharField(required=False, default="", allow_blank=True)
    seen = SeenField()


class WhySerializer(serializers.Serializer):
    reason = serializers.CharField(required=False, default="", allow_blank=True)


class ReviewSerializer(serializers.ModelSerializer[Review]):
    reviewer = serializers.CharField(source="reviewer.username")
    accepted = serializers.BooleanField(allow_null=True, help_text="Null: taken back, as if nobody had reviewed it.")
    state = serializers.CharField(help_text="accepted, fixed, rejected, or empty.")
    fixed = serializers.JSONField(allow_null=True, help_text="{preference, content, flags} in response order.")
    one_more_slot = serializers.UUIDField(source="slot_id", allow_null=True)

    class Meta:
        model = Review
        fields = [
            *("id", "judgment", "accepted", "state", "fixed", "reason", "one_more_slot", "undoes", "bulk"),
            *("reviewer", "created_at"),
        ]


class CommentInputSerializer(serializers.Serializer):
    text = serializers.CharField()
    for_annotator = serializers.BooleanField(
        required=False, default=False, help_text="The annotator reads it and can answer; otherwise curators only."
    )


class CommentSerializer(serializers.ModelSerializer[Comment]):
    author = serializers.CharField(source="author.username")

    class Meta:
        model = Comment
        fields = ["id", "judgment", "text", "for_annotator", "author", "created_at"]


class OwnCommentInputSerializer(serializers.Serializer):
    text = serializers.CharField()


class OwnCommentSerializer(serializers.Serializer):
    """As the annotator reads it."""

    text = serializers.CharField()
    mine = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class AdjudicationInputSerializer(serializers.Serializer):
    answer = AnswerField(help_text="In the order of the task's responses by place.")
    flags = FlagsField(required=False, default=list)
    rationale = RationaleField(required=False, default="")
    reason = serializers.CharField(required=False, default="", allow_blank=True)
    seen = SeenField()


class AdjudicationSerializer(serializers.ModelSerializer[Adjudication]):
    adjudicator = serializers.CharField(source="adjudicator.username")
    answer = serializers.JSONField(allow_null=True, help_text="{preference, content, flags}; null = taken back.")

    class Meta:
        model = Adjudication
        fields = ["id", "task", "answer", "reason", "adjudicator", "created_at"]


class BulkInputSerializer(serializers.Serializer):
    action = serializers.ChoiceField(choices=ACTIONS)
    filters = serializers.DictField(child=serializers.CharField(), help_text="As in the address of the judgments.")
    reason = serializers.CharField(required=False, default="", allow_blank=True)
    dry_run = serializers.BooleanField(required=False, default=False, help_text="Only count what it would decide.")


class CountSerializer(serializers.Serializer):
    count = serializers.IntegerField()
    is_all = serializers.BooleanField(help_text="False: there are more; counting ended after a second.")


class BulkSerializer(serializers.ModelSerializer[BulkAction]):
    created_by = serializers.CharField(source="created_by.username")
    undone_by = serializers.CharField(source="undone_by.username", allow_null=True, default=None)
    filters = serializers.DictField()
    count = serializers.IntegerField(help_text="Judgments that it has decided so far.")

    class Meta:
        model = BulkAction
        fields = [
            *("id", "action", "filters", "reason", "count", "job", "created_by", "created_at"),
            *("undone_at", "undone_by"),
        ]


class RateInputSerializer(serializers.Serializer):
    percent = serializers.IntegerField(allow_null=True, help_text="0 to 100; null: as each queue's rules say.")


class RateSerializer(serializers.Serializer):
    username = serializers.CharField()
    percent = serializers.IntegerField(allow_null=True)


class AuditEventSerializer(serializers.ModelSerializer[AuditEvent]):
    actor = serializers.CharField(source="actor.username", allow_null=True, default=None)
    before = serializers.DictField()
    after = serializers.DictField()

    class Meta:
        model = AuditEvent
        fields = ["id", "action", "subject", "subject_id", "actor", "before", "after", "reason", "bulk", "created_at"]
