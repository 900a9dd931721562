"""What annotators send and get. Nothing here may say who wrote a response, or in which order it is stored.

So responses have no ids here (an id tells when it was made), only their position, from 0. Answers and flags count in
that order, too; `feedback.answers` has the shape of each kind's answer.
"""

from __future__ import annotations

from rest_framework import serializers

from feedback.api.serializers import GuidelineSerializer, MessageSerializer
from feedback.models import Skip

ANSWER = "In display order; its shape is the queue's kind's, see the documentation."
FLAGS = 'Each {"flag", "kind", "response"}; a plain key stands for a flag on the whole.'


class ShownPromptSerializer(serializers.Serializer):
    messages = MessageSerializer(many=True)


class ShownResponseSerializer(serializers.Serializer):
    text = serializers.CharField()


class ShownDraftSerializer(serializers.Serializer):
    answer = serializers.DictField(help_text=ANSWER)
    rationale = serializers.CharField()
    flags = serializers.ListField(help_text=FLAGS)
    active_seconds = serializers.FloatField()


class TaskSerializer(serializers.Serializer):
    """A task under a lease."""

    assignment = serializers.UUIDField()
    lease_token = serializers.UUIDField()
    lease_expires_at = serializers.DateTimeField()
    task = serializers.UUIDField()
    queue = serializers.UUIDField()
    kind = serializers.CharField()
    prompt = ShownPromptSerializer()
    responses = ShownResponseSerializer(many=True, help_text="In display order.")
    guideline = GuidelineSerializer()
    schema = serializers.DictField(help_text="What the queue asks.")
    draft = ShownDraftSerializer(help_text="What you sent and have not submitted.")


class DraftInputSerializer(serializers.Serializer):
    answer = serializers.DictField(required=False, default=dict, help_text=ANSWER)
    rationale = serializers.CharField(required=False, default="", allow_blank=True, trim_whitespace=False)
    flags = serializers.ListField(required=False, default=list, allow_empty=True, help_text=FLAGS)
    active_seconds = serializers.FloatField(required=False, default=0.0, min_value=0)


class JudgmentInputSerializer(DraftInputSerializer):
    submission_id = serializers.UUIDField(help_text="Made by you; sending the same one again stores nothing twice.")
    answer = serializers.DictField(help_text=ANSWER)
    active_seconds = serializers.FloatField(min_value=0)


class LeaseInputSerializer(serializers.Serializer):
    lease_token = serializers.UUIDField()


class SubmitInputSerializer(JudgmentInputSerializer, LeaseInputSerializer):
    pass


class SkipInputSerializer(LeaseInputSerializer):
    kind = serializers.ChoiceField(choices=Skip.Kind.choices, required=False, default=Skip.Kind.OTHERS)
    reason = serializers.ChoiceField(choices=Skip.Reason.choices)
    note = serializers.CharField(required=False, default="", allow_blank=True)


class LeaseSerializer(serializers.Serializer):
    assignment = serializers.UUIDField()
    lease_expires_at = serializers.DateTimeField()


class OwnJudgmentSerializer(serializers.Serializer):
    """A judgment of one's own, as one saw it."""

    id = serializers.UUIDField()
    queue = serializers.UUIDField()
    task = serializers.UUIDField()
    revision = serializers.IntegerField()
    answer = serializers.DictField(help_text=ANSWER)
    rationale = serializers.CharField()
    flags = serializers.ListField(help_text=FLAGS)
    active_seconds = serializers.FloatField()
    created_at = serializers.DateTimeField()
