"""Snapshots over HTTP: freeze, show, download."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check, project_or_404
from feedback.api.jobs import JobSerializer
from feedback.api.refusals import CONFLICT, REFUSED, Conflict, Refused
from feedback.api.requests import checked, person_of
from feedback.api.selection_serializers import PreviewSerializer, SelectionSerializer, SnapshotInputSerializer
from feedback.api.serializers import SnapshotSerializer
from feedback.jobs import start_and_carry_out
from feedback.models import Job, Project, Snapshot
from feedback.selection import Selection, SelectionRefused
from feedback.snapshots import SnapshotDamaged, SnapshotRefused, archive_name, check_freeze, snapshot_zip


class SnapshotList(generics.ListAPIView):
    """List the project's snapshots, the latest first."""

    serializer_class = SnapshotSerializer
    queryset = Snapshot.objects.none()

    def get_queryset(self) -> QuerySet[Snapshot]:
        project = project_or_404(self.request.user, self.kwargs["project"], "feedback.read_snapshots")
        return with_project(project.snapshots.all())

    @extend_schema(
        request=SnapshotInputSerializer, responses={201: SnapshotSerializer, 202: JobSerializer, 422: REFUSED}
    )
    def post(self, request: Request, project: str) -> ApiResponse:
        """Freeze the project's judgments into files that never change, each kind of task in tables of its own.

        Small ones are answered with 201 and the snapshot; others go on as a job: 202, and its result names the
        snapshot. What is left out, and why, is counted in the manifest.
        """
        within = project_or_404(request.user, project, "feedback.freeze")
        asked = checked(SnapshotInputSerializer, request)
        selection = selection_of(asked)
        try:
            name = check_freeze(project=within, name=asked["name"], selection=selection)
        except SnapshotRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        job = started(request, within, {"name": name, "selection": selection.to_json()})
        if job.state != Job.State.SUCCEEDED:
            return ApiResponse(JobSerializer(job).data, status=202)
        snapshot = with_project(Snapshot.objects).get(pk=job.result["snapshot"])
        return ApiResponse(SnapshotSerializer(snapshot).data, status=201)


class SnapshotPreview(APIView):
    @extend_schema(request=SelectionSerializer, responses={200: PreviewSerializer, 202: JobSerializer, 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Count what a freeze would take, by table and split, and what it would leave out and why.

        Many judgments are counted by a job: 202, and the counts are in its result.
        """
        within = project_or_404(request.user, project, "feedback.freeze")
        selection = selection_of(checked(SelectionSerializer, request))
        job = started(request, within, {"preview": True, "selection": selection.to_json()})
        if job.state != Job.State.SUCCEEDED:
            return ApiResponse(JobSerializer(job).data, status=202)
        return ApiResponse(job.result["counts"])


class SnapshotDetail(generics.RetrieveAPIView):
    """Show a snapshot with its manifest."""

    serializer_class = SnapshotSerializer
    queryset = Snapshot.objects.none()

    def get_object(self) -> Snapshot:
        return snapshot_or_404(self.request, self.kwargs["snapshot"])


class SnapshotDownload(APIView):
    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY, 409: CONFLICT})
    def get(self, request: Request, snapshot: UUID) -> StreamingHttpResponse:
        """Stream the snapshot's files as a zip, after checking them against its hash."""
        found = snapshot_or_404(request, snapshot)
        try:
            archive = snapshot_zip(found)
        except SnapshotDamaged as damage:
            raise Conflict("snapshot_damaged", str(damage)) from damage
        answer = StreamingHttpResponse(archive, content_type="application/zip")
        answer["Content-Disposition"] = f'attachment; filename="{archive_name(found)}"'
        return answer


# What the endpoints share


def selection_of(asked: dict[str, Any]) -> Selection:
    """Return the selection that a body asks for; raises Refused."""
    values = {name: value for name, value in asked.items() if name != "name"}
    try:
        return Selection.from_json(json.loads(json.dumps(values, default=str)))
    except SelectionRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal


def started(request: Request, project: Project, params: dict[str, Any]) -> Job:
    """Start the job, and do it here if it is small; raises Refused with what it failed of."""
    job = start_and_carry_out(project=project, kind=Job.Kind.FREEZE, params=params, created_by=person_of(request))
    if job.state == Job.State.FAILED:
        raise Refused("judgments", job.error)
    return job


def with_project(snapshots: Any) -> QuerySet[Snapshot]:
    return snapshots.select_related("project", "created_by")


def snapshot_or_404(request: Request, snapshot: UUID) -> Snapshot:
    found = get_object_or_404(with_project(Snapshot.objects), pk=snapshot)
    check(request.user, "feedback.read_snapshots", found.project)
    return found
