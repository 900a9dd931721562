"""The registry over HTTP: promote, describe, card, download, delete, import; the same verbs as the pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check, project_or_404
from feedback.api.jobs import JobSerializer
from feedback.api.refusals import CONFLICT, REFUSED, Conflict, Refused
from feedback.api.requests import checked, person_of
from feedback.models import Job
from feedback.refusals import Refusal
from training.api.serializers import CheckpointDetailSerializer, CheckpointReferenceSerializer
from training.api.views import CheckpointDetail
from training.downloads import DownloadRefused, archive_name, checkpoint_zip
from training.importing import ImportRefused, start_import
from training.model_cards import model_card
from training.models import Checkpoint, Promotion
from training.promotions import PromotionRefused, promote
from training.registry import RegistryRefused, delete_files, describe_checkpoint


class PromotionSerializer(serializers.ModelSerializer[Promotion]):
    checkpoint = CheckpointReferenceSerializer(read_only=True)
    promoted_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = Promotion
        fields = ["id", "checkpoint", "reason", "promoted_by", "created_at"]
        read_only_fields = fields


class PromotionInputSerializer(serializers.Serializer[dict[str, Any]]):
    reason = serializers.CharField(help_text="What it does better than the one before, and where that was seen.")


class DescriptionSerializer(serializers.Serializer[dict[str, Any]]):
    licence = serializers.CharField(
        required=False, allow_blank=True, help_text="Of the weights; left out, it stays as it is."
    )
    note = serializers.CharField(required=False, allow_blank=True, help_text="Markdown for the model card.")


class DeletionSerializer(serializers.Serializer[dict[str, Any]]):
    name = serializers.CharField(help_text="The checkpoint's name: this cannot be undone.")


class ModelImportSerializer(serializers.Serializer[dict[str, Any]]):
    path = serializers.CharField(help_text="A directory below MODEL_DIRS or the data directory's `models/`.")
    kind = serializers.ChoiceField(choices=Checkpoint.Kind.choices)
    origin = serializers.CharField(help_text="Where it comes from.")
    parent = serializers.UUIDField(  # type: ignore[assignment]
        required=False, allow_null=True, default=None, help_text="Of an adapter: the model that it was trained on."
    )
    name = serializers.CharField(required=False, default="", allow_blank=True)
    licence = serializers.CharField(required=False, default="", allow_blank=True)
    note = serializers.CharField(required=False, default="", allow_blank=True)


def checkpoint_or_404(request: Request, pk: UUID, permission: str) -> Checkpoint:
    found = get_object_or_404(Checkpoint.objects.select_related("project", "parent", "run__reward", "snapshot"), pk=pk)
    check(request.user, permission, found.project)
    return found


class PromotionList(generics.ListAPIView):
    serializer_class = PromotionSerializer
    queryset = Promotion.objects.none()

    def get_queryset(self) -> QuerySet[Promotion]:
        project = project_or_404(self.request.user, self.kwargs["project"], "training.read")
        return project.promotions.select_related("checkpoint", "promoted_by")

    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List what was promoted, the latest first; the first of each kind is the project's current checkpoint."""
        return super().get(request, *args, **kwargs)


class CheckpointPromote(APIView):
    @extend_schema(request=PromotionInputSerializer, responses={201: PromotionSerializer, 422: REFUSED})
    def post(self, request: Request, checkpoint: UUID) -> ApiResponse:
        """Make it the project's current checkpoint of its kind."""
        found = checkpoint_or_404(request, checkpoint, "training.run")
        wanted = checked(PromotionInputSerializer, request)
        try:
            made = promote(checkpoint=found, reason=wanted["reason"], promoted_by=person_of(request))
        except PromotionRefused as refusal:
            raise refused(refusal) from refusal
        return ApiResponse(PromotionSerializer(made).data, status=201)


class CheckpointRecord(CheckpointDetail):
    @extend_schema(request=DescriptionSerializer, responses={200: CheckpointDetailSerializer, 422: REFUSED})
    def patch(self, request: Request, checkpoint: UUID) -> ApiResponse:
        """State its licence, or write a note; both stand in its model card."""
        found = checkpoint_or_404(request, checkpoint, "training.run")
        wanted = {"licence": found.licence, "note": found.note, **checked(DescriptionSerializer, request)}
        try:
            stored = describe_checkpoint(checkpoint=found, by=person_of(request), **wanted)
        except RegistryRefused as refusal:
            raise refused(refusal) from refusal
        return ApiResponse(CheckpointDetailSerializer(stored).data)


class CheckpointDeleteFiles(APIView):
    @extend_schema(request=DeletionSerializer, responses={200: CheckpointDetailSerializer, 422: REFUSED})
    def post(self, request: Request, checkpoint: UUID) -> ApiResponse:
        """Delete its weights for good; 422 says what still needs them. Its record stays."""
        found = checkpoint_or_404(request, checkpoint, "training.run")
        wanted = checked(DeletionSerializer, request)
        try:
            stored = delete_files(checkpoint=found, name=wanted["name"], by=person_of(request), now=timezone.now())
        except RegistryRefused as refusal:
            raise refused(refusal) from refusal
        return ApiResponse(CheckpointDetailSerializer(stored).data)


class CheckpointImport(APIView):
    @extend_schema(
        request=ModelImportSerializer, responses={201: CheckpointDetailSerializer, 202: JobSerializer, 422: REFUSED}
    )
    def post(self, request: Request, project: str) -> ApiResponse:
        """Make a checkpoint of a model that lies on the site's machine.

        Small ones are answered with 201 and the checkpoint; others are read by a job: 202, and its result names the
        checkpoint.
        """
        within = project_or_404(request.user, project, "training.run")
        wanted = checked(ModelImportSerializer, request)
        parent = within.checkpoints.filter(pk=wanted["parent"]).first() if wanted["parent"] else None
        if wanted["parent"] and parent is None:
            raise Refused("parent", f"there is no checkpoint {wanted['parent']} in this project")
        try:
            job = start_import(project=within, by=person_of(request), **{**wanted, "parent": parent})
        except ImportRefused as refusal:
            raise refused(refusal) from refusal
        if job.state != Job.State.SUCCEEDED:
            return ApiResponse(JobSerializer(job).data, status=202)
        made = within.checkpoints.get(pk=job.result["checkpoint"])
        return ApiResponse(CheckpointDetailSerializer(made).data, status=201)


class CheckpointCard(APIView):
    @extend_schema(responses={(200, "text/markdown"): OpenApiTypes.STR})
    def get(self, request: Request, checkpoint: UUID) -> HttpResponse:
        """Its model card, as Markdown with the header that hubs read."""
        found = checkpoint_or_404(request, checkpoint, "training.read")
        return HttpResponse(model_card(found), content_type="text/markdown; charset=utf-8")


class CheckpointDownload(APIView):
    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY, 409: CONFLICT})
    def get(self, request: Request, checkpoint: UUID) -> StreamingHttpResponse:
        """Stream its files and its model card as a zip. 409 when they are gone."""
        found = checkpoint_or_404(request, checkpoint, "training.run")
        try:
            archive = checkpoint_zip(found)
        except DownloadRefused as refusal:
            raise Conflict("checkpoint_gone", refusal.message) from refusal
        answer = StreamingHttpResponse(archive, content_type="application/zip")
        answer["Content-Disposition"] = f'attachment; filename="{archive_name(found)}"'
        return answer


def refused(refusal: Refusal) -> Refused:
    return Refused(refusal.field, refusal.message)
