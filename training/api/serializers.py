"""What the API takes and gives for runs and checkpoints. Input and output differ."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from training.lineage import Learned, lineage, where_used
from training.models import Checkpoint, Run


class RunSerializer(serializers.ModelSerializer[Run]):
    project: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="username", read_only=True)
    checkpoint = serializers.PrimaryKeyRelatedField[Checkpoint](
        read_only=True, allow_null=True, help_text="The checkpoint that it left."
    )
    config = serializers.DictField(read_only=True, help_text="Every setting of the kind, defaults included.")
    progress = serializers.DictField(read_only=True, help_text="{phase, done, total} as the trainer last said.")
    outcome = serializers.DictField(read_only=True, help_text="Empty until it ends; `evaluation` has its figures.")
    others = serializers.PrimaryKeyRelatedField[Checkpoint](
        many=True, read_only=True, help_text="Further models that answer the prompts of a sample run."
    )
    launch = serializers.DictField(read_only=True, help_text="How its processes start.")
    needs = serializers.DictField(read_only=True, help_text="What a worker must have to take it.")
    prompts = serializers.ListField(
        source="prompt_ids", child=serializers.UUIDField(), read_only=True, help_text="Empty for all."
    )

    class Meta:
        model = Run
        fields = [
            "id", "project", "kind", "name", "config", "policy", "reward", "snapshot", "queue", "others", "prompts",
            "launch", "needs", "waits_after_preflight", "sweep", "repeats", "state", "cancel_requested_at",
            "pause_requested_at", "attempt", "progress", "outcome", "error", "checkpoint",
            "created_by", "created_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    def to_representation(self, run: Run) -> dict[str, Any]:
        shown = super().to_representation(run)
        shown["checkpoint"] = getattr(getattr(run, "checkpoint", None), "pk", None)
        return shown


class RunDetailSerializer(RunSerializer):
    preflight = serializers.DictField(
        read_only=True, help_text="{checks, examples, estimate}: what was found before the first step."
    )
    environment = serializers.DictField(read_only=True, help_text="Versions, git commit, device, threads and seed.")

    class Meta(RunSerializer.Meta):
        fields = [*RunSerializer.Meta.fields, "preflight", "environment"]
        read_only_fields = fields


class RunInputSerializer(serializers.Serializer[dict[str, Any]]):
    kind = serializers.ChoiceField(choices=Run.Kind.choices)
    name = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    config = serializers.DictField(required=False, default=dict, help_text="What is left out takes its default.")
    policy = serializers.UUIDField(required=False, allow_null=True, default=None)
    reward = serializers.UUIDField(required=False, allow_null=True, default=None)
    snapshot = serializers.UUIDField(required=False, allow_null=True, default=None)
    queue = serializers.UUIDField(required=False, allow_null=True, default=None)
    prompts = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        default=list,
        help_text="Ids of prompts, for the kinds that write responses; empty for all.",
    )
    others = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        default=list,
        help_text="Further models that answer the prompts of a sample run.",
    )
    launch = serializers.DictField(
        required=False, default=dict, help_text="launcher, processes, sharding; one local process if left out."
    )
    needs = serializers.DictField(
        required=False, default=dict, help_text="device, memory_gb, labels; any worker if left out."
    )
    waits_after_preflight = serializers.BooleanField(
        required=False, default=False, help_text="Pause once the preflight is done, until it is resumed."
    )


class SweepInputSerializer(RunInputSerializer):
    seeds = serializers.ListField(
        child=serializers.IntegerField(), help_text="2 to 16 different ones; `seed` of the config draws the prompts."
    )


class RunMetricSerializer(serializers.Serializer[dict[str, Any]]):
    step = serializers.IntegerField()
    values = serializers.DictField(child=serializers.FloatField(allow_null=True))


class MetricsSerializer(serializers.Serializer[dict[str, Any]]):
    results = RunMetricSerializer(many=True)
    more = serializers.BooleanField(help_text="There are further steps; ask again after the last one.")
    attempt = serializers.IntegerField(help_text="Changes when the run was resumed: read it again from the start.")
    finished = serializers.BooleanField(help_text="No further step will come.")


class CheckpointSerializer(serializers.ModelSerializer[Checkpoint]):
    project: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    evaluation = serializers.DictField(read_only=True, help_text="Figures on held-out labels, each with its n.")

    class Meta:
        model = Checkpoint
        fields = [
            "id", "project", "name", "kind", "parent", "run", "snapshot", "is_whole", "path", "sha256",
            "template_digest", "step", "licence", "origin", "note", "files_deleted_at", "evaluation", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class SnapshotReferenceSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    sha256 = serializers.CharField()


class CheckpointReferenceSerializer(serializers.ModelSerializer[Checkpoint]):
    class Meta:
        model = Checkpoint
        fields = ["id", "name", "kind", "sha256"]
        read_only_fields = fields


class LearnedSerializer(serializers.Serializer[Learned]):
    runs = serializers.SerializerMethodField()
    checkpoints = serializers.SerializerMethodField()
    responses = serializers.IntegerField(help_text="Responses that such a model has written.")

    @extend_schema_field(serializers.ListField(child=serializers.UUIDField()))
    def get_runs(self, learned: Learned) -> list[str]:
        return [str(run.pk) for run in learned.runs]

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_checkpoints(self, learned: Learned) -> list[dict[str, Any]]:
        return [{**CheckpointReferenceSerializer(one).data, "how": how} for one, how in learned.checkpoints]


class LineageSerializer(serializers.Serializer[Any]):
    run = serializers.UUIDField(allow_null=True, help_text="The run that left the checkpoint.")
    runs = serializers.ListField(child=serializers.UUIDField(), help_text="Its run and its ancestors', latest first.")
    snapshot = SnapshotReferenceSerializer(allow_null=True)
    judgments = serializers.IntegerField(help_text="How many judgments the snapshot holds.")
    ancestors = CheckpointReferenceSerializer(many=True, help_text="The parent first, the base model last.")


class UseSerializer(serializers.Serializer[Any]):
    children = CheckpointReferenceSerializer(many=True)
    runs = serializers.ListField(child=serializers.UUIDField())
    queues = serializers.ListField(child=serializers.UUIDField())


class CheckpointDetailSerializer(CheckpointSerializer):
    lineage = serializers.SerializerMethodField()
    used = serializers.SerializerMethodField()

    class Meta(CheckpointSerializer.Meta):
        fields = [*CheckpointSerializer.Meta.fields, "lineage", "used"]
        read_only_fields = fields

    @extend_schema_field(LineageSerializer)
    def get_lineage(self, checkpoint: Checkpoint) -> dict[str, Any]:
        found = lineage(checkpoint)
        return LineageSerializer(
            {
                "run": checkpoint.run_id,
                "runs": [run.pk for run in found.runs],
                "snapshot": found.snapshot,
                "judgments": found.judgments,
                "ancestors": found.ancestors,
            }
        ).data

    @extend_schema_field(UseSerializer)
    def get_used(self, checkpoint: Checkpoint) -> dict[str, Any]:
        found = where_used(checkpoint)
        return UseSerializer(
            {
                "children": found.children,
                "runs": [run.pk for run in found.runs],
                "queues": [queue.pk for queue in found.queues],
            }
        ).data
