"""Shape of findings, splits and held-out people over HTTP."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from feedback.hygiene.redacting import SETTLED_AT_ONCE, of_what
from feedback.models import Finding, HeldOutPerson
from feedback.splits import EVALUATION_PERCENT_LIMIT, HOLDOUT_PERCENT_LIMIT


class FindingSerializer(serializers.ModelSerializer[Finding]):
    of = serializers.SerializerMethodField(help_text="What it is of: {prompt}, {response} or {judgment}, an id.")
    settled_by = serializers.CharField(source="settled_by.username", read_only=True, default=None, allow_null=True)

    class Meta:
        model = Finding
        fields = ["id", "kind", "of", "detail", "settlement", "settled_by", "settled_at", "created_at"]
        extra_kwargs = {
            "detail": {
                "help_text": "Personal data: spans of {place, start, end, kind}, places in the text by characters. "
                "A language: said and found. A near-duplicate: of and similarity. A leak: near."
            }
        }

    def get_of(self, finding: Finding) -> dict[str, str]:
        return {name: str(pk) for name, pk in of_what(finding).items()}


class SettlementOfFindingsSerializer(serializers.Serializer[Any]):
    findings = serializers.ListField(
        child=serializers.IntegerField(max_value=2**63 - 1),
        min_length=1,
        max_length=SETTLED_AT_ONCE,
        help_text="Ids; the most is 200.",
    )
    settlement = serializers.ChoiceField(choices=Finding.Settlement.choices)


class FrozenSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    judgments = serializers.IntegerField(help_text="In how many of its judgments the texts stand.")


class SettledFindingsSerializer(serializers.Serializer[Any]):
    settled = serializers.IntegerField(help_text="Findings that waited and are settled now.")
    snapshots = FrozenSerializer(many=True, help_text="Frozen snapshots that hold the texts as they were.")


class SplitSerializer(serializers.Serializer[Any]):
    split = serializers.CharField()
    prompts = serializers.IntegerField()
    clusters = serializers.IntegerField(help_text="Of near-duplicates; a prompt that is near to none is one, too.")


class SplitsSerializer(serializers.Serializer[Any]):
    evaluation_percent = serializers.IntegerField()
    holdout_percent = serializers.IntegerField()
    splits = SplitSerializer(many=True)
    clusters_in_two_splits = serializers.ListField(
        child=serializers.CharField(), help_text="None, if nothing is wrong."
    )
    counted_at = serializers.DateTimeField(
        allow_null=True, help_text="Empty: now. In a large project, when the last scan counted."
    )
    undecided_leaks = serializers.IntegerField(help_text="Prompts near to one of another split that nobody settled.")


class PercentsInputSerializer(serializers.Serializer[Any]):
    evaluation_percent = serializers.IntegerField(required=False, min_value=0, max_value=EVALUATION_PERCENT_LIMIT)
    holdout_percent = serializers.IntegerField(required=False, min_value=0, max_value=HOLDOUT_PERCENT_LIMIT)


class LanguageCountSerializer(serializers.Serializer[Any]):
    language = serializers.CharField(help_text="As an import said it; empty where nobody did.")
    text_language = serializers.CharField(help_text="What the texts seem to be in; empty: too short or unclear.")
    prompts = serializers.IntegerField()


class MemberOfClusterSerializer(serializers.Serializer[Any]):
    prompt = serializers.UUIDField(source="prompt.pk")
    split = serializers.CharField(source="prompt.split")
    messages = serializers.JSONField(source="prompt.messages")
    similarity = serializers.SerializerMethodField(help_text="To the older prompt that it is nearest to.")

    def get_similarity(self, member: Any) -> float | None:
        return member.finding.detail["similarity"] if member.finding is not None else None


class HeldOutSerializer(serializers.ModelSerializer[HeldOutPerson]):
    username = serializers.CharField(source="person.username")

    class Meta:
        model = HeldOutPerson
        fields = ["username", "created_at"]


class HoldOutInputSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
