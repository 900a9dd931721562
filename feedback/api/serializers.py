"""Projects, prompts, judgments and snapshots as they go out, and what comes in. Annotators' are `task_serializers`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from feedback.api.answer_serializers import AnswerField, FlagsField
from feedback.models import Judgment, Membership, Project, Prompt, Role, Snapshot, User
from feedback.schemas import TaskKind
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


# Judgments and snapshots


class JudgmentSerializer(serializers.ModelSerializer[Judgment]):
    """For those who review and train. Answer and flags count in the order of `responses`."""

    kind = serializers.ChoiceField(source="queue.kind", choices=TaskKind.choices)
    prompt = serializers.UUIDField(source="task.prompt_id")
    responses = serializers.SerializerMethodField(help_text="Their ids; of a demonstration or conversation, none.")
    annotator = serializers.SerializerMethodField(help_text="The name for reviewers, else a pseudonym.")
    simulated = serializers.BooleanField(source="is_simulated")
    answer = serializers.SerializerMethodField()
    chosen = serializers.SerializerMethodField(help_text="The preferred response of a comparison; null for a tie.")
    flags = FlagsField()
    display_order = serializers.ListField(
        child=serializers.IntegerField(), help_text="Indices of `responses` in the order in which the person saw them."
    )
    guideline = serializers.IntegerField(source="guideline.number")
    policy = serializers.IntegerField(source="policy.number")
    schema = serializers.IntegerField(source="schema.number")
    accepted = serializers.BooleanField(
        source="review_accepted", allow_null=True, help_text="What the latest review says."
    )

    class Meta:
        model = Judgment
        fields = [
            "id",
            "queue",
            "kind",
            "task",
            "prompt",
            "responses",
            "annotator",
            "simulated",
            "simulation_rule",
            "revision",
            "supersedes",
            "answer",
            "chosen",
            "rationale",
            "flags",
            "active_seconds",
            "display_order",
            "guideline",
            "policy",
            "schema",
            "propensity",
            "arm",
            "arm_propensity",
            "interface",
            "accepted",
            "created_at",
        ]

    def get_annotator(self, judgment: Judgment) -> str:
        return str(self.context["name_of"](judgment.annotator))

    def get_responses(self, judgment: Judgment) -> list[UUID]:
        return [link.response_id for link in judgment.task.links.all()]

    @extend_schema_field(AnswerField)
    def get_answer(self, judgment: Judgment) -> dict[str, Any]:
        return judgment.answer.as_sent(judgment.queue.kind)

    def get_chosen(self, judgment: Judgment) -> UUID | None:
        return self.get_responses(judgment)[judgment.preference > 0] if judgment.preference else None


class SnapshotSerializer(serializers.ModelSerializer[Snapshot]):
    project: serializers.SlugRelatedField[Project] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    created_by: serializers.SlugRelatedField[User] = serializers.SlugRelatedField(slug_field="username", read_only=True)
    judgments = serializers.IntegerField(source="judgment_count", read_only=True, help_text="How many it holds.")
    manifest = serializers.DictField()

    class Meta:
        model = Snapshot
        fields = ["id", "project", "name", "sha256", "judgments", "manifest", "created_by", "created_at"]


class SimulatedAnnotatorInputSerializer(serializers.Serializer):
    username = serializers.CharField()
    rule = serializers.CharField(help_text=f"One of {', '.join(RULES)}.")


class SimulatedAnnotatorSerializer(serializers.Serializer):
    username = serializers.CharField()
    simulated = serializers.BooleanField()
    rule = serializers.CharField()
    token = serializers.CharField()
