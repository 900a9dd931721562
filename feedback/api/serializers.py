"""What goes out over the API, and what comes in. What annotators get is in `task_serializers`; it must not unblind."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.functional import cached_property
from rest_framework import serializers

from feedback.models import Judgment, Membership, Project, Prompt, Queue, Role, Snapshot, User
from feedback.simulation import RULES


class ProjectSerializer(serializers.ModelSerializer[Project]):
    roles = serializers.SerializerMethodField(help_text="Yours.")

    class Meta:
        model = Project
        fields = ["slug", "name", "description", "evaluation_percent", "created_at", "roles"]

    def get_roles(self, project: Project) -> list[str]:
        return [role for role in Role.values if (project.pk, role) in self.held]

    @cached_property
    def held(self) -> frozenset[tuple[int, str]]:
        """Every (project, role) of the person who asks, fetched once for a whole list."""
        person = self.context["request"].user
        return frozenset(Membership.objects.filter(user=person).values_list("project_id", "role"))


class MessageSerializer(serializers.Serializer):
    role = serializers.CharField()
    content = serializers.CharField()


class PromptSerializer(serializers.ModelSerializer[Prompt]):
    messages = MessageSerializer(many=True)
    tags = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Prompt
        fields = ["id", "messages", "split", "source", "licence", "language", "tags", "created_at"]


class ImportInputSerializer(serializers.Serializer):
    file = serializers.FileField(help_text="JSONL, JSON, CSV, Parquet, Arrow, or a zip of a data set directory.")
    source = serializers.CharField(required=False, default="", allow_blank=True)  # type: ignore[assignment]  # declared fields are no attributes
    licence = serializers.CharField(required=False, default="", allow_blank=True)
    language = serializers.CharField(required=False, default="", allow_blank=True)

    def validate_file(self, file: Any) -> Any:
        if file.size > settings.IMPORT_MAX_BYTES:
            raise serializers.ValidationError(f"The file is larger than {settings.IMPORT_MAX_BYTES:,} bytes.")
        return file


class ImportReportSerializer(serializers.Serializer):
    read = serializers.IntegerField()
    added = serializers.IntegerField()
    already_there = serializers.IntegerField()


class RowErrorSerializer(serializers.Serializer):
    row = serializers.IntegerField()
    column = serializers.CharField()
    message = serializers.CharField()


class ImportRefusedSerializer(serializers.Serializer):
    errors = RowErrorSerializer(many=True)  # type: ignore[assignment]  # declared fields are no attributes
    total = serializers.IntegerField()


# Queues


class GuidelineSerializer(serializers.Serializer):
    number = serializers.IntegerField()
    text = serializers.CharField(help_text="Markdown.")


class PolicySerializer(serializers.Serializer):
    number = serializers.IntegerField()
    overlap = serializers.IntegerField()
    lease_minutes = serializers.IntegerField()
    allow_tie = serializers.BooleanField()
    require_rationale = serializers.BooleanField()


class QueueSerializer(serializers.ModelSerializer[Queue]):
    project: serializers.SlugRelatedField[Project] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    policy = PolicySerializer(read_only=True)

    class Meta:
        model = Queue
        fields = ["id", "project", "name", "state", "created_at", "policy"]


class ProgressSerializer(serializers.Serializer):
    comparisons = serializers.IntegerField()
    slots = serializers.IntegerField()
    done = serializers.IntegerField()
    leased = serializers.IntegerField()
    open = serializers.IntegerField()
    skipped = serializers.IntegerField()
    percent = serializers.IntegerField()


class OwnProgressSerializer(serializers.Serializer):
    done_today = serializers.IntegerField()
    left = serializers.IntegerField(help_text="1001 stands for more than 1000.")


class QueueDetailSerializer(QueueSerializer):
    guideline = GuidelineSerializer(read_only=True)
    progress = ProgressSerializer(read_only=True, allow_null=True, help_text="For curators and ML staff.")
    own_progress = OwnProgressSerializer(read_only=True, allow_null=True, help_text="For annotators.")

    class Meta(QueueSerializer.Meta):
        fields = [*QueueSerializer.Meta.fields, "guideline", "progress", "own_progress"]


class QueueInputSerializer(serializers.Serializer):
    name = serializers.CharField()
    guideline = serializers.CharField(trim_whitespace=False)
    overlap = serializers.IntegerField(required=False, default=1)
    lease_minutes = serializers.IntegerField(required=False, default=30)
    allow_tie = serializers.BooleanField(required=False, default=True)
    require_rationale = serializers.BooleanField(required=False, default=False)


class QueueChangeSerializer(serializers.Serializer):
    """Whatever is left out stays."""

    state = serializers.ChoiceField(choices=Queue.State.choices, required=False)
    guideline = serializers.CharField(required=False, trim_whitespace=False)
    overlap = serializers.IntegerField(required=False)
    lease_minutes = serializers.IntegerField(required=False)
    allow_tie = serializers.BooleanField(required=False)
    require_rationale = serializers.BooleanField(required=False)


class FillInputSerializer(serializers.Serializer):
    pairs = serializers.IntegerField(required=False, default=1, min_value=1, max_value=36)


class FilledSerializer(serializers.Serializer):
    prompts = serializers.IntegerField()
    comparisons = serializers.IntegerField()


# Judgments and snapshots


class JudgmentSerializer(serializers.ModelSerializer[Judgment]):
    """For those who review and train; `preference` in response coordinates: negative = response_a."""

    annotator = serializers.SerializerMethodField(help_text="The name for reviewers, else a pseudonym.")
    simulated = serializers.BooleanField(source="is_simulated")
    prompt = serializers.UUIDField(source="comparison.prompt_id")
    response_a = serializers.UUIDField(source="comparison.response_a_id")
    response_b = serializers.UUIDField(source="comparison.response_b_id")
    chosen = serializers.UUIDField(source="chosen_id", allow_null=True)
    shown_first = serializers.UUIDField(source="shown_first_id")
    flags = serializers.ListField(child=serializers.CharField())
    guideline = serializers.IntegerField(source="guideline.number")
    policy = serializers.IntegerField(source="policy.number")
    accepted = serializers.BooleanField(
        source="review_accepted", allow_null=True, help_text="What the latest review says."
    )

    class Meta:
        model = Judgment
        fields = [
            "id",
            "queue",
            "comparison",
            "prompt",
            "response_a",
            "response_b",
            "annotator",
            "simulated",
            "simulation_rule",
            "revision",
            "supersedes",
            "preference",
            "chosen",
            "rationale",
            "flags",
            "active_seconds",
            "shown_first",
            "guideline",
            "policy",
            "propensity",
            "interface",
            "accepted",
            "created_at",
        ]

    def get_annotator(self, judgment: Judgment) -> str:
        return str(self.context["name_of"](judgment.annotator))


class ReviewInputSerializer(serializers.Serializer):
    accepted = serializers.BooleanField()
    reason = serializers.CharField(required=False, default="", allow_blank=True)


class ReviewSerializer(serializers.Serializer):
    judgment = serializers.UUIDField(source="judgment_id")
    accepted = serializers.BooleanField()
    reason = serializers.CharField()
    reviewer = serializers.CharField(source="reviewer.username")
    created_at = serializers.DateTimeField()


class SnapshotSerializer(serializers.ModelSerializer[Snapshot]):
    project: serializers.SlugRelatedField[Project] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    created_by: serializers.SlugRelatedField[User] = serializers.SlugRelatedField(slug_field="username", read_only=True)
    judgments = serializers.IntegerField(source="judgment_count", read_only=True, help_text="How many it holds.")
    manifest = serializers.DictField()

    class Meta:
        model = Snapshot
        fields = ["id", "project", "name", "sha256", "judgments", "manifest", "created_by", "created_at"]


class SnapshotInputSerializer(serializers.Serializer):
    name = serializers.CharField()
    queues = serializers.ListField(
        child=serializers.UUIDField(), required=False, allow_null=True, default=None, help_text="All, when left out."
    )
    include_simulated = serializers.BooleanField(required=False, default=False)


class SimulatedAnnotatorInputSerializer(serializers.Serializer):
    username = serializers.CharField()
    rule = serializers.CharField(help_text=f"One of {', '.join(RULES)}.")


class SimulatedAnnotatorSerializer(serializers.Serializer):
    username = serializers.CharField()
    simulated = serializers.BooleanField()
    rule = serializers.CharField()
    token = serializers.CharField()
