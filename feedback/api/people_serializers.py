"""What is said over HTTP of people's reliability, of decisions about them, and of gold."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from feedback.api.answer_serializers import AnswerField
from feedback.gold_sources import BULK_LIMIT, VOTES, VOTES_LEAST, VOTES_MOST
from feedback.models import Gold, GoldRetirement, Standing


class LookSerializer(serializers.Serializer):
    title = serializers.CharField()
    why = serializers.CharField()
    weight = serializers.FloatField(help_text="3 = look at once, 2 = look soon, 1 = good to know.")


class ReliabilitySerializer(serializers.Serializer):
    person = serializers.CharField(help_text="Username; a pseudonym for who does not review.")
    simulated = serializers.BooleanField()
    suspended = serializers.BooleanField()
    looks = LookSerializer(many=True)
    figures = serializers.DictField(
        child=serializers.JSONField(), help_text="By name, as docs/metrics.md says; null where nothing can be said."
    )


class GoldCountSerializer(serializers.Serializer):
    asked = serializers.IntegerField()
    right = serializers.IntegerField()


class EvidenceSerializer(serializers.Serializer):
    computed_at = serializers.DateTimeField(allow_null=True, help_text="When the figures were computed.")
    judgments = serializers.IntegerField()
    gold = serializers.DictField(child=serializers.JSONField())
    reviews = serializers.DictField(child=serializers.IntegerField())
    figures = serializers.DictField(child=serializers.JSONField())
    looks = LookSerializer(many=True)


class OwnEvidenceSerializer(serializers.Serializer):
    computed_at = serializers.DateTimeField(allow_null=True, help_text="When the figures were computed.")
    judgments = serializers.IntegerField()
    known_answers = GoldCountSerializer(
        allow_null=True, help_text="Grows by five at once; null where the project does not show it from day to day."
    )
    reviews = serializers.DictField(child=serializers.IntegerField())
    figures = serializers.DictField(child=serializers.JSONField())


class StandingAnswerSerializer(serializers.Serializer):
    by = serializers.CharField(help_text="Username, or for the annotator `you` and `curator`.")
    text = serializers.CharField()
    created_at = serializers.DateTimeField()


class StandingSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    decision = serializers.ChoiceField(choices=Standing.Decision.choices)
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    decided_by = serializers.CharField(help_text="Username; empty for the annotator.")
    evidence = serializers.DictField(child=serializers.JSONField(), help_text="The figures at that time.")
    answers = StandingAnswerSerializer(many=True)


class OwnStandingSerializer(serializers.Serializer):
    suspended = serializers.BooleanField()
    evidence = OwnEvidenceSerializer()
    decisions = StandingSerializer(many=True, help_text="The latest first.")


class DecideInputSerializer(serializers.Serializer):
    decision = serializers.ChoiceField(choices=Standing.Decision.choices)
    reason = serializers.CharField(allow_blank=True, help_text="The annotator reads it.")


class TextInputSerializer(serializers.Serializer):
    text = serializers.CharField(allow_blank=True)


class RetirementSerializer(serializers.Serializer):
    reason = serializers.ChoiceField(choices=GoldRetirement.Reason.choices)
    note = serializers.CharField()
    retired_by = serializers.CharField(source="retired_by.username", default=None, help_text="Null = by the rules.")
    created_at = serializers.DateTimeField()
    returned_at = serializers.DateTimeField(allow_null=True)


class GoldUseSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    task = serializers.UUIDField()
    answer = AnswerField(help_text="In the order of the task's responses by place.")
    made_from = serializers.ChoiceField(choices=Gold.MadeFrom.choices)
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    judged = serializers.IntegerField(help_text="Answers by people that were given to it as gold.")
    right = serializers.IntegerField()
    seen_by = serializers.IntegerField(help_text="People who had it before them.")
    people = serializers.IntegerField(help_text="Of the whole queue.")
    good = serializers.IntegerField(help_text="Of `judged`, those by people who do well on other gold.")
    good_wrong = serializers.IntegerField()
    worn = serializers.ChoiceField(
        choices=GoldRetirement.Reason.choices, allow_blank=True, help_text="Beyond which limit of the rules; or empty."
    )
    retired = RetirementSerializer(allow_null=True)


class RetireInputSerializer(serializers.Serializer):
    reason = serializers.ChoiceField(
        choices=GoldRetirement.Reason.choices, required=False, default=GoldRetirement.Reason.CURATOR
    )
    note = serializers.CharField(required=False, allow_blank=True, default="")


class NoteInputSerializer(serializers.Serializer):
    note = serializers.CharField(required=False, allow_blank=True, default="")


class CandidateSerializer(serializers.Serializer):
    task = serializers.UUIDField()
    answer = AnswerField(help_text="In the order of the task's responses by place.")
    people = serializers.IntegerField()
    why = serializers.CharField()


SOURCES = [(source.value, source.label) for source in Gold.MadeFrom if source != Gold.MadeFrom.CURATOR]


class SourceSerializer(serializers.Serializer):
    source = serializers.ChoiceField(choices=SOURCES)  # type: ignore[assignment]  # declared fields are no attributes
    votes = serializers.IntegerField(
        required=False,
        default=VOTES,
        help_text=f"People who said the same, {VOTES_LEAST} to {VOTES_MOST}; of `unanimous`.",
    )


class MakeGoldInputSerializer(SourceSerializer):
    tasks = serializers.ListField(child=serializers.UUIDField(), max_length=BULK_LIMIT)


class NotMadeSerializer(serializers.Serializer):
    task = serializers.UUIDField()
    detail = serializers.CharField()


class MadeGoldSerializer(serializers.Serializer):
    made = serializers.ListField(child=serializers.UUIDField(), help_text="Tasks.")
    refused = NotMadeSerializer(many=True)


def shown_gold_retirement(retirement: GoldRetirement | None) -> dict[str, Any] | None:
    return None if retirement is None else dict(RetirementSerializer(retirement).data)
