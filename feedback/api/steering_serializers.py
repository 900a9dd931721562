"""What curators and ML staff send and get of tasks, gold, skips and people."""

from __future__ import annotations

from rest_framework import serializers

from feedback.api.answer_serializers import AnswerField
from feedback.api.serializers import MessageSerializer
from feedback.models import Expertise, Qualification, Response, Skip
from feedback.settling import SETTLEMENTS
from feedback.steering import NAMING_SETTLEMENTS


class TaskProgressSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    prompt = serializers.UUIDField()
    split = serializers.CharField()
    responses = serializers.ListField(child=serializers.UUIDField(), help_text="By place.")
    propensity = serializers.FloatField()
    priority = serializers.FloatField(allow_null=True, help_text="Null for a task without slots.")
    slots = serializers.IntegerField()
    done = serializers.IntegerField()
    leased = serializers.IntegerField()
    open = serializers.IntegerField()
    withdrawn = serializers.IntegerField()
    gold = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class KnownResponseSerializer(serializers.ModelSerializer[Response]):
    class Meta:
        model = Response
        fields = ["id", "text", "model_name", "checkpoint_id", "run_id", "names_itself"]


class GoldSerializer(serializers.Serializer):
    answer = AnswerField(help_text="In the order of the task's responses by place.")
    explanation = serializers.CharField()
    created_by = serializers.CharField(source="created_by.username")
    created_at = serializers.DateTimeField()


class StaffTaskSerializer(TaskProgressSerializer):
    messages = MessageSerializer(many=True)
    texts = KnownResponseSerializer(many=True, help_text="The responses by place.")
    known_answer = GoldSerializer(allow_null=True)


class TaskInputSerializer(serializers.Serializer):
    prompt = serializers.UUIDField()
    responses = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        default=list,
        max_length=9,
        help_text="As many as its kind shows.",
    )
    priority = serializers.FloatField(required=False, default=0.0)
    slots = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=20,
        help_text="Judgments wanted; as the policy says when left out. 0 = only handed out on purpose.",
    )


class PriorityInputSerializer(serializers.Serializer):
    """Of one task, or of all whose prompt has a tag."""

    priority = serializers.FloatField(help_text="Higher is claimed first.")
    tasks = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=1_000)
    tag = serializers.CharField(required=False)


class ChangedSerializer(serializers.Serializer):
    changed = serializers.IntegerField(help_text="How many tasks, or slots of the one task.")


class GoldInputSerializer(serializers.Serializer):
    answer = AnswerField(help_text="In the order of the task's responses by place.")
    explanation = serializers.CharField(required=False, default="", allow_blank=True)


class PersonInputSerializer(serializers.Serializer):
    person = serializers.CharField(help_text="Username.")


class NamedSerializer(serializers.Serializer):
    person = serializers.CharField(source="person.username")
    named_by = serializers.CharField(source="named_by.username")
    created_at = serializers.DateTimeField()


class GivenSerializer(serializers.Serializer):
    assignment = serializers.UUIDField()
    task = serializers.UUIDField()
    person = serializers.CharField()


class SkipSerializer(serializers.ModelSerializer[Skip]):
    """Give `name_of` in the context."""

    person = serializers.SerializerMethodField(help_text="The name for reviewers, else a pseudonym.")
    queue = serializers.UUIDField(source="task.queue_id")

    class Meta:
        model = Skip
        fields = [
            "id", "queue", "task", "person", "kind", "reason", "note", "created_at", "taken_back_at", "settled_at",
            "settlement",
        ]  # fmt: skip

    def get_person(self, skip: Skip) -> str:
        return str(self.context["name_of"](skip.annotator))


class SettlementInputSerializer(serializers.Serializer):
    settlement = serializers.ChoiceField(choices=SETTLEMENTS)


class SelfNamingSerializer(serializers.ModelSerializer[Response]):
    tasks = serializers.PrimaryKeyRelatedField(many=True, read_only=True)  # type: ignore[var-annotated]

    class Meta:
        model = Response
        fields = [
            "id", "prompt", "text", "names_itself", "model_name", "tasks", "naming_settlement", "naming_settled_at",
        ]  # fmt: skip


class NamingSettlementInputSerializer(serializers.Serializer):
    settlement = serializers.ChoiceField(
        choices=NAMING_SETTLEMENTS, help_text="Take its tasks out, or let them stay where they are."
    )


class ExpertiseSerializer(serializers.ModelSerializer[Expertise]):
    verified_by = serializers.CharField(source="verified_by.username")

    class Meta:
        model = Expertise
        fields = ["id", "domain", "evidence", "verified_by", "verified_at", "withdrawn_at"]


class PersonSerializer(serializers.Serializer):
    person = serializers.CharField()
    simulated = serializers.BooleanField()
    roles = serializers.ListField(child=serializers.CharField())
    languages = serializers.ListField(child=serializers.CharField())
    hourly_rate = serializers.DecimalField(max_digits=8, decimal_places=2, allow_null=True)
    currency = serializers.CharField()
    expertise = ExpertiseSerializer(many=True)


class ProfileInputSerializer(serializers.Serializer):
    """What is left out stays; pay is for admins."""

    languages = serializers.ListField(
        child=serializers.CharField(max_length=20), required=False, max_length=50, help_text="Such as en or pt-BR."
    )
    hourly_rate = serializers.DecimalField(max_digits=8, decimal_places=2, required=False, allow_null=True)
    currency = serializers.CharField(required=False, allow_blank=True, max_length=3)


class ExpertiseInputSerializer(serializers.Serializer):
    domain = serializers.CharField(help_text="Such as medicine.")
    evidence = serializers.CharField(help_text="What it rests on.")


class QualificationSerializer(serializers.ModelSerializer[Qualification]):
    person = serializers.CharField(source="person.username")
    decided_by = serializers.CharField(source="decided_by.username", allow_null=True, help_text="Null = by the rule.")

    class Meta:
        model = Qualification
        fields = ["person", "passed", "right", "judged", "decided_by", "reason", "created_at"]


class DecisionInputSerializer(PersonInputSerializer):
    passed = serializers.BooleanField()
    reason = serializers.CharField()
