"""Queues as everybody sees them, with what only staff see, and what staff send to open and change them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from feedback.models import Guideline, LabelSchema, Project, Queue, QueuePolicy, User
from feedback.queues import RULES
from feedback.schemas import TaskKind

HIDDEN_OF_SCHEMA = ("policies", "temperature", "max_new_tokens")
"""Settings of a conversation that say what answers; no annotator gets them."""


class GuidelineSerializer(serializers.Serializer):
    number = serializers.IntegerField()
    text = serializers.CharField(help_text="Markdown.")


class PolicySerializer(serializers.ModelSerializer[QueuePolicy]):
    languages = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = QueuePolicy
        fields = ["number", *RULES, "created_at"]


class LimitsSerializer(serializers.Serializer):
    """What of the rules a person at work has to know."""

    lease_minutes = serializers.IntegerField()
    annotator_cap = serializers.IntegerField(allow_null=True)
    daily_quota = serializers.IntegerField(allow_null=True)
    revise_hours = serializers.IntegerField(allow_null=True)


class QueueSerializer(serializers.ModelSerializer[Queue]):
    """Give `staff=True` in the context to those who may read all rules."""

    project: serializers.SlugRelatedField[Project] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    limits = LimitsSerializer(source="policy", read_only=True)
    policy = PolicySerializer(read_only=True, allow_null=True, help_text="All rules; for curators and ML staff.")

    class Meta:
        model = Queue
        fields = ["id", "project", "name", "kind", "is_qualification", "state", "created_at", "limits", "policy"]

    def to_representation(self, queue: Queue) -> dict[str, Any]:
        shown = super().to_representation(queue)
        return shown if self.context.get("staff") else {**shown, "policy": None}


class ProgressSerializer(serializers.Serializer):
    tasks = serializers.IntegerField()
    slots = serializers.IntegerField()
    done = serializers.IntegerField()
    leased = serializers.IntegerField()
    open = serializers.IntegerField()
    withdrawn = serializers.IntegerField(help_text="Taken out for review, or left out for good.")
    skipped = serializers.IntegerField(help_text="How often people passed over a task.")
    percent = serializers.IntegerField()


class OwnProgressSerializer(serializers.Serializer):
    done_today = serializers.IntegerField()
    left = serializers.IntegerField(
        help_text="101 stands for more than 100; rounded up to fives where gold or repeats are mixed in."
    )


class ShownSchemaSerializer(serializers.Serializer):
    number = serializers.IntegerField()
    content = serializers.DictField(help_text="What the queue asks: scale, attributes, flags.")


class QueueDetailSerializer(QueueSerializer):
    guideline = GuidelineSerializer(read_only=True)
    schema = ShownSchemaSerializer(read_only=True)
    progress = ProgressSerializer(read_only=True, allow_null=True, help_text="For curators and ML staff.")
    own_progress = OwnProgressSerializer(read_only=True, allow_null=True, help_text="For annotators.")

    class Meta(QueueSerializer.Meta):
        fields = [*QueueSerializer.Meta.fields, "guideline", "schema", "progress", "own_progress"]


class RulesInputSerializer(serializers.ModelSerializer[QueuePolicy]):
    """The queue's rules. What is left out takes its default in a new queue, and stays in one that is there."""

    languages = serializers.ListField(child=serializers.CharField(max_length=20), required=False, max_length=50)
    qualification = serializers.UUIDField(
        required=False, allow_null=True, help_text="A qualification queue of the project that has to be passed first."
    )

    class Meta:
        model = QueuePolicy
        fields = list(RULES)
        extra_kwargs: dict[str, Any] = {name: {"required": False} for name in RULES}


class QueueInputSerializer(RulesInputSerializer):
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=TaskKind.choices, required=False, default=TaskKind.COMPARISON)
    is_qualification = serializers.BooleanField(required=False, default=False)
    guideline = serializers.CharField(trim_whitespace=False)
    schema = serializers.DictField(
        required=False, default=dict, help_text="What differs from the kind's default label schema."
    )

    class Meta(RulesInputSerializer.Meta):
        fields = ["name", "kind", "is_qualification", "guideline", "schema", *RULES]


class QueueChangeSerializer(RulesInputSerializer):
    """Whatever is left out stays; a `schema` is given whole."""

    state = serializers.ChoiceField(choices=Queue.State.choices, required=False)
    guideline = serializers.CharField(required=False, trim_whitespace=False)
    schema = serializers.DictField(required=False, help_text="What is left out of it takes the kind's default.")

    class Meta(RulesInputSerializer.Meta):
        fields = ["state", "guideline", "schema", *RULES]


class FillInputSerializer(serializers.Serializer):
    pairs = serializers.IntegerField(required=False, default=1, min_value=1, max_value=36)
    without_personal_data = serializers.BooleanField(
        required=False, default=False, help_text="Leave out texts with personal data that nobody has settled."
    )
    without_near_duplicates = serializers.BooleanField(
        required=False, default=False, help_text="Leave out prompts that say nearly what an older one says."
    )
    holdout = serializers.BooleanField(
        required=False, default=False, help_text="Take the hold-out split instead of the others, for a last test."
    )


class FilledSerializer(serializers.Serializer):
    prompts = serializers.IntegerField()
    tasks = serializers.IntegerField()


class GuidelineVersionSerializer(serializers.ModelSerializer[Guideline]):
    created_by: serializers.SlugRelatedField[User] = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = Guideline
        fields = ["number", "text", "created_by", "created_at"]


class SchemaVersionSerializer(serializers.ModelSerializer[LabelSchema]):
    created_by: serializers.SlugRelatedField[User] = serializers.SlugRelatedField(slug_field="username", read_only=True)
    content = serializers.DictField()

    class Meta:
        model = LabelSchema
        fields = ["number", "content", "created_by", "created_at"]


class PolicyVersionSerializer(PolicySerializer):
    created_by: serializers.SlugRelatedField[User] = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta(PolicySerializer.Meta):
        fields = [*PolicySerializer.Meta.fields, "created_by"]
