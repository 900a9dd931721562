"""What annotators send and get. Nothing here may say who wrote a response, or in which order it is stored.

So responses have no ids here (an id tells when it was made), only their position, from 0. Answers and flags count in
that order, too; `answer_serializers` has the shape of each kind's answer.
"""

from __future__ import annotations

from rest_framework import serializers

from feedback.api.answer_serializers import AnswerField, FlagsField, RationaleField, SecondsField
from feedback.api.queue_serializers import GuidelineSerializer
from feedback.api.serializers import MessageSerializer
from feedback.models import Skip
from feedback.schemas import TaskKind

IN_DISPLAY_ORDER = "Its shape is the kind's; it counts in display order."


class ShownPromptSerializer(serializers.Serializer):
    messages = MessageSerializer(many=True)


class ShownResponseSerializer(serializers.Serializer):
    text = serializers.CharField()


class ShownDraftSerializer(serializers.Serializer):
    answer = AnswerField(help_text=IN_DISPLAY_ORDER)
    rationale = serializers.CharField()
    flags = FlagsField()
    active_seconds = serializers.FloatField()


class TaskSerializer(serializers.Serializer):
    """A task under a lease."""

    assignment = serializers.UUIDField()
    lease_token = serializers.UUIDField()
    lease_expires_at = serializers.DateTimeField()
    task = serializers.UUIDField()
    queue = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=TaskKind.choices)
    prompt = ShownPromptSerializer()
    responses = ShownResponseSerializer(many=True, help_text="In display order.")
    guideline = GuidelineSerializer()
    schema = serializers.DictField(help_text="What the queue asks: scale, attributes, flags.")
    draft = ShownDraftSerializer(help_text="What you sent and have not submitted.")


class DraftInputSerializer(serializers.Serializer):
    answer = AnswerField(required=False, default=dict, help_text=IN_DISPLAY_ORDER)
    rationale = RationaleField(required=False, default="")
    flags = FlagsField(required=False, default=list)
    active_seconds = SecondsField(required=False, default=0.0)


class JudgmentInputSerializer(DraftInputSerializer):
    submission_id = serializers.UUIDField(help_text="Made by you; sending the same one again stores nothing twice.")
    answer = AnswerField(help_text=IN_DISPLAY_ORDER)
    active_seconds = SecondsField()


class LeaseInputSerializer(serializers.Serializer):
    lease_token = serializers.UUIDField()


class SubmitInputSerializer(JudgmentInputSerializer, LeaseInputSerializer):
    then_claim = serializers.BooleanField(
        required=False, default=False, help_text="Answer with your next task, too: one request instead of two."
    )


class SkipInputSerializer(LeaseInputSerializer):
    kind = serializers.ChoiceField(choices=Skip.Kind.choices, required=False, default=Skip.Kind.OTHERS)
    reason = serializers.ChoiceField(choices=Skip.Reason.choices)
    note = serializers.CharField(required=False, default="", allow_blank=True)
    active_seconds = SecondsField(required=False, default=0.0)


class LeaseSerializer(serializers.Serializer):
    assignment = serializers.UUIDField()
    lease_expires_at = serializers.DateTimeField()


class OwnJudgmentSerializer(serializers.Serializer):
    """A judgment of one's own, as one saw it."""

    id = serializers.UUIDField()
    queue = serializers.UUIDField()
    task = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=TaskKind.choices)
    revision = serializers.IntegerField()
    answer = AnswerField(help_text=IN_DISPLAY_ORDER)
    rationale = serializers.CharField()
    flags = FlagsField()
    active_seconds = serializers.FloatField()
    created_at = serializers.DateTimeField()


class ShownJudgmentSerializer(OwnJudgmentSerializer):
    """With what one saw then."""

    prompt = ShownPromptSerializer()
    responses = ShownResponseSerializer(many=True, help_text="In display order.")
    schema = serializers.DictField(help_text="What the queue asked.")
    latest = serializers.UUIDField(help_text="The revision that counts; this one's own id when it is the one.")


class ReadGuidelineSerializer(GuidelineSerializer):
    is_new = serializers.BooleanField(help_text="You have not read this version.")
    has_changed = serializers.BooleanField(help_text="You have read an older one.")


class GuidelineReadInputSerializer(serializers.Serializer):
    number = serializers.IntegerField(min_value=1, help_text="Of the version that you have before you.")


class DaySerializer(serializers.Serializer):
    day = serializers.DateField()
    judgments = serializers.IntegerField()
    seconds = serializers.FloatField(help_text="Active time of judgments, revisions and skips.")


class HoursSerializer(serializers.Serializer):
    judgments = serializers.IntegerField()
    seconds = serializers.FloatField()
    per_hour = serializers.FloatField(allow_null=True, help_text="Judgments in an hour of active time.")
    days = DaySerializer(many=True, help_text="The last 14, the oldest first.")


class PaidHoursSerializer(HoursSerializer):
    rate = serializers.FloatField(allow_null=True)
    currency = serializers.CharField()
    pay = serializers.FloatField(allow_null=True, help_text="Hours times rate.")


class AgreementSerializer(serializers.Serializer):
    compared = serializers.IntegerField(help_text="Pairs of your judgment and somebody else's of the same task.")
    percent = serializers.FloatField(allow_null=True, help_text="Null while too few are compared.")


class KnownAnswersSerializer(serializers.Serializer):
    judged = serializers.IntegerField(help_text="Tasks whose good answer is known.")
    right = serializers.IntegerField(allow_null=True, help_text="Answered like it; null while there are too few.")


class OwnWorkSerializer(serializers.Serializer):
    done_today = serializers.IntegerField()
    left = serializers.IntegerField(
        help_text="101 stands for more than 100; rounded up to fives where gold or repeats are mixed in."
    )
    queue = HoursSerializer(help_text="In this queue.")
    project = PaidHoursSerializer(help_text="In all queues of the project.")
    agreement = AgreementSerializer(allow_null=True, help_text="Null where the queue does not show it.")
    known_answers = KnownAnswersSerializer(allow_null=True, help_text="Null where the queue does not show it.")


class NextRefusedSerializer(serializers.Serializer):
    code = serializers.CharField()
    detail = serializers.CharField()


class SubmittedSerializer(OwnJudgmentSerializer):
    """What was stored; with `then_claim` the next task, too."""

    next = TaskSerializer(allow_null=True, help_text="Null without `then_claim`, and when there is nothing for you.")
    next_refused = NextRefusedSerializer(allow_null=True, help_text="Why the queue gives you none.")
