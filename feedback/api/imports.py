"""Imports over HTTP: bring a file in, say what it is, look, check, store, undo. Cancel and resume are its job's."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import FileResponse, Http404
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check, project_or_404
from feedback.api.refusals import CONFLICT, REFUSED, Conflict, Refused
from feedback.api.requests import checked, person_of
from feedback.imports.describing import ImportBusy, ImportUnfit, describe
from feedback.imports.errors import CSV, read_errors
from feedback.imports.files import error_filename, errors_of
from feedback.imports.layouts import FORMS
from feedback.imports.previewing import preview
from feedback.imports.starting import check_import, drop_import, store_import, undo_import
from feedback.imports.uploading import take_upload
from feedback.models import FileImport, Project, Queue, User


@extend_schema_field(OpenApiTypes.OBJECT)
class ObjectField(serializers.JSONField):
    """An object, or in a form the JSON of one."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str):
            try:
                data = json.loads(data)
            except (ValueError, RecursionError) as error:
                raise serializers.ValidationError("give an object as JSON") from error
        if not isinstance(data, dict):
            raise serializers.ValidationError("an object is expected")
        return data


class ImportChangesSerializer(serializers.Serializer):
    """What a file is. What is left out is found out, or stays."""

    kind = serializers.ChoiceField(choices=FileImport.Kind.choices, required=False)
    form = serializers.ChoiceField(choices=list(FORMS), required=False, allow_blank=True, help_text="Empty = columns.")
    mapping = ObjectField(required=False, help_text="Field -> column, or a list of columns.")
    queue = serializers.UUIDField(required=False, allow_null=True, help_text="Where judgments go; null = a new one.")
    source = serializers.CharField(required=False, allow_blank=True)  # type: ignore[assignment]  # declared fields are no attributes
    licence = serializers.CharField(required=False, allow_blank=True)
    language = serializers.CharField(required=False, allow_blank=True)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    words = ObjectField(required=False, help_text="Words of a winner column under a, b and tie.")
    order_known = serializers.BooleanField(required=False, help_text="People saw the first response first.")
    largest_margin = serializers.FloatField(required=False, help_text="The margin that counts as much better.")
    also_ask = serializers.IntegerField(required=False, help_text="Open slots that every new task gets besides.")


class ImportUploadSerializer(ImportChangesSerializer):
    file = serializers.FileField(help_text="JSONL, JSON, CSV, Parquet, Arrow, or a zip of a dataset directory.")


class FileImportSerializer(serializers.ModelSerializer[FileImport]):
    mapping = serializers.JSONField(help_text="Field -> columns.")
    columns = serializers.ListField(child=serializers.CharField(), help_text="Those that the first rows have.")
    errors = serializers.SerializerMethodField(help_text="The first ones; all of them are at errors/.")  # type: ignore[assignment]  # declared fields are no attributes

    class Meta:
        model = FileImport
        fields = [
            "id", "kind", "form", "filename", "sha256", "size", "columns", "mapping", "options", "queue", "state",
            "job", "counts", "errors", "created_at", "finished_at",
        ]  # fmt: skip

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_errors(self, found: FileImport) -> list[dict[str, Any]]:
        if not found.counts.get("bad"):
            return []
        return [
            {"file": one.file, "row": one.row, "column": one.column, "message": one.message}
            for one in read_errors(errors_of(found))
        ]


class PreviewedRowSerializer(serializers.Serializer):
    number = serializers.IntegerField()
    file = serializers.CharField()
    column = serializers.CharField()
    error = serializers.CharField(help_text="What is wrong with the row; empty when it is good.")
    prompt = serializers.ListField(child=serializers.DictField())
    prompt_id = serializers.CharField()
    responses = serializers.ListField(child=serializers.DictField())
    said = serializers.CharField(help_text="The judgment in words; the responses are A, B, C in the file's order.")
    annotator = serializers.CharField()
    made_at = serializers.CharField()
    seconds = serializers.FloatField(allow_null=True)
    rationale = serializers.CharField()


class StoreSerializer(serializers.Serializer):
    leave_out_bad = serializers.BooleanField(default=False, help_text="Store the good rows although some have errors.")


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    try:
        yield
    except ImportUnfit as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    except ImportBusy as refusal:
        raise Conflict(refusal.field, refusal.message) from refusal


def queue_named(project: Project, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what was asked with the queue itself in place of its id."""
    if asked.get("queue") is None:
        return asked
    queue: Queue | None = project.queues.filter(pk=asked["queue"]).first()
    if queue is None:
        raise Refused("queue", "the project has no such queue")
    return {**asked, "queue": queue}


def import_of(request: Request, imported: UUID) -> FileImport:
    found = get_object_or_404(FileImport.objects.select_related("project", "queue", "job"), pk=imported)
    check(request.user, "feedback.manage_prompts", found.project)
    return found


class FileImportList(generics.ListAPIView):
    """List the project's imports, the latest first."""

    serializer_class = FileImportSerializer
    queryset = FileImport.objects.none()
    parser_classes = [MultiPartParser]

    def get_queryset(self) -> QuerySet[FileImport]:
        return project_or_404(self.request.user, self.kwargs["project"], "feedback.manage_prompts").imports.all()

    @extend_schema(
        request={"multipart/form-data": ImportUploadSerializer}, responses={201: FileImportSerializer, 422: REFUSED}
    )
    def post(self, request: Request, project: str) -> ApiResponse:
        """Bring a file in. What it holds is found out where it is not said; nothing is checked or stored yet."""
        within = project_or_404(request.user, project, "feedback.manage_prompts")
        asked = queue_named(within, checked(ImportUploadSerializer, request))
        upload = asked.pop("file")
        with refusals():
            found = take_upload(
                project=within, pieces=upload.chunks(), filename=upload.name, created_by=person_of(request), **asked
            )
        return ApiResponse(FileImportSerializer(found).data, status=201)


class FileImportDetail(APIView):
    """One import: what it is, how far it is, what came of it."""

    @extend_schema(responses=FileImportSerializer)
    def get(self, request: Request, imported: UUID) -> ApiResponse:
        return ApiResponse(FileImportSerializer(import_of(request, imported)).data)

    @extend_schema(request=ImportChangesSerializer, responses={200: FileImportSerializer, 409: CONFLICT, 422: REFUSED})
    def patch(self, request: Request, imported: UUID) -> ApiResponse:
        """Say anew what the file is. What was checked has to be checked again."""
        found = import_of(request, imported)
        asked = queue_named(found.project, checked(ImportChangesSerializer, request))
        with refusals():
            return ApiResponse(FileImportSerializer(describe(file_import=found, by=person_of(request), **asked)).data)


class FileImportPreview(APIView):
    @extend_schema(responses=PreviewedRowSerializer(many=True))
    def get(self, request: Request, imported: UUID) -> ApiResponse:
        """Show the first rows as they would be stored."""
        return ApiResponse(PreviewedRowSerializer(preview(import_of(request, imported)), many=True).data)


def answer(request: Request, imported: UUID, work: Callable[[FileImport, User], Any]) -> ApiResponse:
    found = import_of(request, imported)
    with refusals():
        work(found, person_of(request))
    found.refresh_from_db()
    return ApiResponse(FileImportSerializer(found).data)


class FileImportCheck(APIView):
    @extend_schema(request=None, responses={200: FileImportSerializer, 409: CONFLICT})
    def post(self, request: Request, imported: UUID) -> ApiResponse:
        """Have the whole file checked: at once when it is small, else by the clerk (`job`). Nothing is stored."""
        return answer(request, imported, lambda found, by: check_import(file_import=found, by=by))


class FileImportStore(APIView):
    @extend_schema(request=StoreSerializer, responses={200: FileImportSerializer, 409: CONFLICT})
    def post(self, request: Request, imported: UUID) -> ApiResponse:
        """Have what was checked stored. Rows with errors stop it, unless they are to be left out."""
        found = import_of(request, imported)  # before the body is looked at
        leave_out = checked(StoreSerializer, request)["leave_out_bad"]
        return answer(request, found.pk, lambda one, by: store_import(file_import=one, by=by, leave_out_bad=leave_out))


class FileImportUndo(APIView):
    @extend_schema(request=None, responses={200: FileImportSerializer, 409: CONFLICT})
    def post(self, request: Request, imported: UUID) -> ApiResponse:
        """Remove what the import stored, except what something was built on; `counts.kept` says what that is."""
        return answer(request, imported, lambda found, by: undo_import(file_import=found, by=by))


class FileImportDrop(APIView):
    @extend_schema(request=None, responses={200: FileImportSerializer, 409: CONFLICT})
    def post(self, request: Request, imported: UUID) -> ApiResponse:
        """Delete a file of which nothing was stored."""
        return answer(request, imported, lambda found, by: drop_import(file_import=found, by=by))


class FileImportErrors(APIView):
    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request, imported: UUID) -> HttpResponseBase:
        """Send every error as CSV: file, row, column, what is wrong and what would be right."""
        found = import_of(request, imported)
        path = errors_of(found)
        if not path.is_file():
            raise Http404("the file was not checked")
        return FileResponse(path.open("rb"), as_attachment=True, filename=error_filename(found), content_type=CSV)
