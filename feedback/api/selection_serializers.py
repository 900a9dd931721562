"""What goes into a snapshot, as a request says it and as a preview counts it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from feedback.contract import ROW_SPLITS
from feedback.models import Arm
from feedback.schemas import TaskKind
from feedback.selection import VERDICTS, WEIGHTS


def words(help_text: str = "", **kwargs: Any) -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField(), required=False, help_text=help_text, **kwargs)


def some_of(choices: Any, help_text: str) -> serializers.ListField:
    child = serializers.ChoiceField(choices=list(choices))
    return serializers.ListField(child=child, required=False, allow_null=True, help_text=help_text)


class SelectionSerializer(serializers.Serializer):
    """All of it may be left out; then everything that counts goes in, every judgment as a row."""

    queues = serializers.ListField(
        child=serializers.UUIDField(), required=False, allow_null=True, help_text="All, when left out."
    )
    kinds = some_of(TaskKind.values, "Kinds of task; all, when left out.")
    include_simulated = serializers.BooleanField(required=False)
    verdict = serializers.ChoiceField(choices=list(VERDICTS), required=False)
    weights = serializers.ChoiceField(choices=list(WEIGHTS), required=False)
    splits = some_of(ROW_SPLITS, "All, when left out.")
    min_strength = serializers.IntegerField(required=False, help_text="Of comparisons, 0 to 3.")
    keep_ties = serializers.BooleanField(
        required=False, help_text="As `ranking` rows of two responses on one rank, whatever the strength asked for."
    )
    min_votes = serializers.IntegerField(required=False, help_text="On a comparison, where people vote.")
    min_posterior = serializers.FloatField(required=False, help_text="0 to 1, where people vote.")
    since = serializers.CharField(required=False, help_text="ISO time.")
    until = serializers.CharField(required=False, help_text="ISO time, itself not included.")
    languages = words("Of prompts.")
    tags = words("Of prompts; any of them.")
    sources = words("Of prompts.")
    arms = serializers.ListField(child=serializers.ChoiceField(choices=list(Arm.values)), required=False)
    reviewed_only = serializers.BooleanField(required=False)
    allow_personal_data = serializers.BooleanField(required=False)
    without_near_duplicates = serializers.BooleanField(required=False)
    without_people = serializers.ListField(child=serializers.IntegerField(), required=False, help_text="User ids.")
    without_days = words("ISO dates, in UTC.")
    without_guidelines = serializers.ListField(child=serializers.IntegerField(), required=False)
    without_flags = words("Keys of flags.")


class SnapshotInputSerializer(SelectionSerializer):
    name = serializers.CharField()


class PreviewSerializer(serializers.Serializer):
    judgments = serializers.IntegerField()
    answers = serializers.IntegerField(help_text="Rows, without the pairs that follow from rankings, edits and talks.")
    annotators = serializers.IntegerField()
    tables = serializers.ListField(child=serializers.DictField())
    train = serializers.IntegerField()
    left_out = serializers.DictField(child=serializers.IntegerField(), help_text="Judgments by reason.")
    rules = serializers.DictField(child=serializers.IntegerField(), help_text="Answers by what decided them.")
