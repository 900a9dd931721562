"""What annotators send and get of a talk. As in `task_serializers`, nothing here may say who answered.

Turns have numbers and answers have positions, the first shown one first; neither has an id.
"""

from __future__ import annotations

from rest_framework import serializers

from feedback.api.answer_serializers import FlagsField, RationaleField, SecondsField
from feedback.api.task_serializers import LeaseInputSerializer, ShownResponseSerializer
from feedback.conversations import MESSAGE_LENGTH_LIMIT
from feedback.models import Turn
from feedback.schemas import TURN_LIMIT


class TurnSerializer(serializers.Serializer):
    """One turn of your talk."""

    number = serializers.IntegerField(help_text="From 1.")
    state = serializers.ChoiceField(choices=Turn.State.choices)
    said = serializers.CharField(help_text="Your words; of a given opening, the prompt's last turn.")
    answers = ShownResponseSerializer(many=True, help_text="Two, in the order in which you see them, once they came.")
    preference = serializers.IntegerField(
        allow_null=True, help_text="Negative = answers[0], positive = answers[1], 0 = tie; size = strength."
    )
    rationale = serializers.CharField()
    flags = FlagsField()
    went_on_with = serializers.IntegerField(allow_null=True, help_text="Position of the answer in the talk.")


class TalkSerializer(serializers.Serializer):
    """The talk that you hold over a task."""

    turns = TurnSerializer(many=True)
    min_turns = serializers.IntegerField(help_text="So many have to be chosen before you can submit.")
    max_turns = serializers.IntegerField()
    somebody_answers = serializers.BooleanField(help_text="Whether a worker that writes answers is alive.")


class TurnInputSerializer(LeaseInputSerializer):
    number = serializers.IntegerField(min_value=1, max_value=TURN_LIMIT + 1)
    active_seconds = SecondsField(required=False, default=None)


class SayInputSerializer(TurnInputSerializer):
    text = serializers.CharField(
        trim_whitespace=False, max_length=MESSAGE_LENGTH_LIMIT, help_text="The same again under its number is one turn."
    )


class ChooseInputSerializer(TurnInputSerializer):
    preference = serializers.IntegerField(help_text="On the queue's scale: negative = answers[0], 0 = tie.")
    rationale = RationaleField(required=False, default="")
    flags = FlagsField(required=False, default=list)


class RetryInputSerializer(LeaseInputSerializer):
    number = serializers.IntegerField(min_value=1, max_value=TURN_LIMIT + 1)
