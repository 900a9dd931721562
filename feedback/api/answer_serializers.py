"""The shape of each kind's answer, for the schema of the API. `feedback.answers` checks what is sent.

Lists have one member per response; in which order, the serializer says that holds the answer.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from feedback.answers import RATIONALE_LENGTH_LIMIT


class ComparisonAnswerSerializer(serializers.Serializer):
    preference = serializers.IntegerField(
        min_value=-3,
        max_value=3,
        allow_null=True,
        help_text="Negative = responses[0], positive = responses[1], 0 = tie; size = strength.",
    )
    edited = serializers.CharField(
        required=False, help_text="The better response, improved; where the queue asks for it."
    )


class RankingAnswerSerializer(serializers.Serializer):
    ranks = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=9, allow_null=True),
        help_text="1 = best; equal = tie; null = not ranked.",
    )
    not_rankable = serializers.ListField(child=serializers.BooleanField(), required=False)


class RatingAnswerSerializer(serializers.Serializer):
    ratings = serializers.ListField(
        child=serializers.DictField(child=serializers.IntegerField()),
        help_text="Of each response, attribute and value; thumbs are 1 and -1.",
    )


class WrittenAnswerSerializer(serializers.Serializer):
    """Of a demonstration and of a correction."""

    text = serializers.CharField(allow_blank=True)


class ConversationAnswerSerializer(serializers.Serializer):
    """Empty: the turns are stored as they happen. A draft holds what is not sent yet."""

    message = serializers.CharField(required=False, allow_blank=True)
    turn = serializers.IntegerField(required=False, help_text="Number of the turn that the draft is for.")
    preference = serializers.IntegerField(required=False, allow_null=True)
    why = serializers.CharField(required=False, allow_blank=True, help_text="Reason of a choice that is not sent yet.")
    flags = serializers.ListField(required=False, help_text="Flags of that choice.")


@extend_schema_field(
    PolymorphicProxySerializer(
        component_name="Answer",
        serializers=[
            ComparisonAnswerSerializer,
            RankingAnswerSerializer,
            RatingAnswerSerializer,
            WrittenAnswerSerializer,
            ConversationAnswerSerializer,
        ],
        resource_type_field_name=None,
    )
)
class AnswerField(serializers.DictField):
    """An object; whether it answers what the queue asks is for `feedback.answers` to say."""

    default_error_messages = {"not_a_dict": "The answer is an object; its shape is the kind's, see the documentation."}


class FlagSerializer(serializers.Serializer):
    flag = serializers.CharField(help_text="Key of one of the flags that the queue's schema has.")
    kind = serializers.CharField(required=False, allow_blank=True, help_text="One of the flag's kinds, or empty.")
    response = serializers.IntegerField(
        required=False, allow_null=True, help_text="Position of the response, from 0; null = the whole task."
    )


@extend_schema_field(FlagSerializer(many=True))
class FlagsField(serializers.ListField):
    """A list; a plain key stands for a flag on the whole task."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 500, **kwargs})


class RationaleField(serializers.CharField):
    """A reason in words; its length is for `feedback.answers` to check."""

    def __init__(self, **kwargs: Any) -> None:
        limit = f"At most {RATIONALE_LENGTH_LIMIT:,} characters."
        super().__init__(**{"allow_blank": True, "trim_whitespace": False, "help_text": limit, **kwargs})


class SecondsField(serializers.FloatField):
    """Active time; a number that is none (NaN, infinity) is refused."""

    default_error_messages = {"not_finite": "A finite number of seconds is required."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": 0, "help_text": "With the task in view and you not idle.", **kwargs})

    def to_internal_value(self, data: Any) -> float:
        seconds = float(super().to_internal_value(data))
        if seconds != seconds or seconds in (float("inf"), float("-inf")):
            self.fail("not_finite")
        return seconds
