"""What annotators send and get. Nothing here may say who wrote a response, or which of the two is response a.

So the two responses have no ids here (an id tells when it was made, and the order of the two tells which is a), only
their place: "first" and "second". A preference counts in that order, too.
"""

from __future__ import annotations

from rest_framework import serializers

from feedback.api.serializers import GuidelineSerializer, MessageSerializer
from feedback.contract import PREFERENCE_LIMIT
from feedback.judging import Flag
from feedback.models import Skip

PREFERENCE = "In display order: -3 to -1 = the first response is better, 1 to 3 = the second, 0 = tie."


class ShownPromptSerializer(serializers.Serializer):
    messages = MessageSerializer(many=True)


class ShownResponseSerializer(serializers.Serializer):
    key = serializers.CharField(help_text='"first" or "second".')
    text = serializers.CharField()


class ShownDraftSerializer(serializers.Serializer):
    preference = serializers.IntegerField(allow_null=True, help_text=PREFERENCE)
    rationale = serializers.CharField()
    flags = serializers.ListField(child=serializers.CharField())
    active_seconds = serializers.FloatField()


class TaskSerializer(serializers.Serializer):
    """A comparison under a lease."""

    assignment = serializers.UUIDField()
    lease_token = serializers.UUIDField()
    lease_expires_at = serializers.DateTimeField()
    comparison = serializers.UUIDField()
    queue = serializers.UUIDField()
    order = serializers.CharField(help_text="Seal of the order in which you see the responses; drafts send it back.")
    prompt = ShownPromptSerializer()
    responses = ShownResponseSerializer(many=True, help_text="Two, in display order.")
    guideline = GuidelineSerializer()
    allow_tie = serializers.BooleanField()
    require_rationale = serializers.BooleanField()
    draft = ShownDraftSerializer(help_text="What you sent and have not submitted.")


class JudgmentInputSerializer(serializers.Serializer):
    submission_id = serializers.UUIDField(help_text="Made by you; sending the same one again stores nothing twice.")
    preference = serializers.IntegerField(min_value=-PREFERENCE_LIMIT, max_value=PREFERENCE_LIMIT, help_text=PREFERENCE)
    rationale = serializers.CharField(required=False, default="", allow_blank=True, trim_whitespace=False)
    flags = serializers.ListField(
        child=serializers.ChoiceField(choices=Flag.choices), required=False, default=list, allow_empty=True
    )
    active_seconds = serializers.FloatField(min_value=0)


class SubmitInputSerializer(JudgmentInputSerializer):
    lease_token = serializers.UUIDField()
    order = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        help_text="The task's. With it nothing is lost even when somebody else has taken the slot: it becomes a draft.",
    )


class DraftInputSerializer(serializers.Serializer):
    order = serializers.CharField(help_text="The task's.")
    preference = serializers.IntegerField(
        min_value=-PREFERENCE_LIMIT,
        max_value=PREFERENCE_LIMIT,
        required=False,
        allow_null=True,
        default=None,
        help_text=PREFERENCE,
    )
    rationale = serializers.CharField(required=False, default="", allow_blank=True, trim_whitespace=False)
    flags = serializers.ListField(
        child=serializers.ChoiceField(choices=Flag.choices), required=False, default=list, allow_empty=True
    )
    active_seconds = serializers.FloatField(required=False, default=0.0, min_value=0)


class LeaseInputSerializer(serializers.Serializer):
    lease_token = serializers.UUIDField()


class SkipInputSerializer(LeaseInputSerializer):
    reason = serializers.ChoiceField(choices=Skip.Reason.choices)
    note = serializers.CharField(required=False, default="", allow_blank=True)


class LeaseSerializer(serializers.Serializer):
    assignment = serializers.UUIDField()
    lease_expires_at = serializers.DateTimeField()


class OwnJudgmentSerializer(serializers.Serializer):
    """A judgment of one's own, as one saw it."""

    id = serializers.UUIDField()
    queue = serializers.UUIDField()
    comparison = serializers.UUIDField()
    revision = serializers.IntegerField()
    preference = serializers.IntegerField(help_text=PREFERENCE)
    rationale = serializers.CharField()
    flags = serializers.ListField(child=serializers.CharField())
    active_seconds = serializers.FloatField()
    created_at = serializers.DateTimeField()
