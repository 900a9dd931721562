"""What is made of a snapshot, over HTTP: formats, exports, pushes to a hub, a comparison with another one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check
from feedback.api.jobs import JobSerializer
from feedback.api.refusals import CONFLICT, REFUSED, Conflict, Refused
from feedback.api.requests import checked, person_of
from feedback.api.snapshots import snapshot_or_404
from feedback.contract import ROW_SPLITS
from feedback.exports.formats import FORMATS, splits_of
from feedback.exports.forms import FORMS, ExportRefused, check_export, export_name, export_stream, forms_of
from feedback.exports.hub import PushRefused, check_push
from feedback.jobs import start_and_carry_out, start_job
from feedback.models import Job
from feedback.snapshot_compare import CompareRefused, compare
from feedback.snapshot_files import SnapshotDamaged

TYPES = {"parquet": "application/vnd.apache.parquet", "jsonl": "application/jsonl", "openai": "application/jsonl"}


class ExportSerializer(serializers.Serializer):
    format = serializers.ChoiceField(choices=list(FORMATS))
    form = serializers.ChoiceField(choices=list(FORMS))


class FormatSerializer(serializers.Serializer):
    format = serializers.CharField()
    about = serializers.CharField()
    trainer = serializers.CharField(help_text="Which of TRL's trainers takes the rows; empty for none.")
    forms = serializers.ListField(child=serializers.CharField())
    splits = serializers.DictField(child=serializers.IntegerField(), help_text="At most so many rows.")


class PushSerializer(serializers.Serializer):
    repository = serializers.CharField(help_text="owner/name")
    private = serializers.BooleanField(required=False, default=True)


class SnapshotExports(APIView):
    @extend_schema(responses=FormatSerializer(many=True))
    def get(self, request: Request, snapshot: UUID) -> ApiResponse:
        """List the formats that the snapshot has rows for."""
        found = snapshot_or_404(request, snapshot)
        return ApiResponse(
            [
                {
                    "format": name,
                    "about": about.words,
                    "trainer": about.trainer,
                    "forms": forms_of(name),
                    "splits": splits,
                }
                for name, about in FORMATS.items()
                if (splits := splits_of(found, name))
            ]
        )

    @extend_schema(request=ExportSerializer, responses={202: JobSerializer, 422: REFUSED})
    def post(self, request: Request, snapshot: UUID) -> ApiResponse:
        """Have an export made and kept by a job. Whoever only wants the bytes streams it instead."""
        found = snapshot_or_404(request, snapshot)
        asked = checked(ExportSerializer, request)
        try:
            check_export(found, asked["format"], asked["form"])
        except ExportRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        params = {"snapshot": str(found.pk), **asked}
        job = start_and_carry_out(
            project=found.project, kind=Job.Kind.EXPORT, params=params, created_by=person_of(request)
        )
        return ApiResponse(JobSerializer(job).data, status=202)


class SnapshotExport(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("split", enum=list(ROW_SPLITS), description="One file instead of a zip of all.")],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY, 409: CONFLICT, 422: REFUSED},
    )
    def get(self, request: Request, snapshot: UUID, name: str, form: str) -> StreamingHttpResponse:
        """Stream an export: a zip of all splits with a card, or with `?split=` one file."""
        found = snapshot_or_404(request, snapshot)
        split = request.query_params.get("split", "")
        try:
            pieces = export_stream(found, name=name, form=form, split=split)
        except ExportRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        except SnapshotDamaged as damage:
            raise Conflict("snapshot_damaged", str(damage)) from damage
        kind = TYPES.get(form, "application/zip") if split else "application/zip"
        answer = StreamingHttpResponse(pieces, content_type=kind)
        answer["Content-Disposition"] = f'attachment; filename="{export_name(found, name, form, split)}"'
        return answer


class SnapshotPush(APIView):
    @extend_schema(request=PushSerializer, responses={202: JobSerializer, 422: REFUSED})
    def post(self, request: Request, snapshot: UUID) -> ApiResponse:
        """Push the snapshot to a hub of datasets, as a job."""
        found = snapshot_or_404(request, snapshot)
        check(request.user, "feedback.freeze", found.project)
        asked = checked(PushSerializer, request)
        if found.withdrawn_at is not None:
            raise Refused("snapshot", "it was withdrawn; there is nothing to push")
        try:
            repository = check_push(asked["repository"])
        except PushRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        params = {"snapshot": str(found.pk), "repository": repository, "private": asked["private"]}
        job = start_job(project=found.project, kind=Job.Kind.PUSH, params=params, created_by=person_of(request))
        return ApiResponse(JobSerializer(job).data, status=202)


class SnapshotCompare(APIView):
    @extend_schema(responses={200: OpenApiTypes.OBJECT, 422: REFUSED})
    def get(self, request: Request, snapshot: UUID, other: UUID) -> ApiResponse:
        """Say what is different in the other snapshot: judgments, rows, preferences, figures, choices, guidelines."""
        found = snapshot_or_404(request, snapshot)
        second: Any = get_object_or_404(found.project.snapshots.select_related("project"), pk=other)
        try:
            return ApiResponse(compare(found, second))
        except CompareRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
