"""Snapshots over HTTP: freeze, show, download."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check, project_or_404
from feedback.api.refusals import CONFLICT, REFUSED, Conflict, Refused
from feedback.api.requests import checked, person_of
from feedback.api.serializers import (
    SnapshotInputSerializer,
    SnapshotSerializer,
)
from feedback.models import Snapshot
from feedback.snapshots import SnapshotDamaged, SnapshotRefused, archive_name, freeze_snapshot, snapshot_zip


class SnapshotList(generics.ListAPIView):
    """List the project's snapshots, the latest first."""

    serializer_class = SnapshotSerializer
    queryset = Snapshot.objects.none()

    def get_queryset(self) -> QuerySet[Snapshot]:
        project = project_or_404(self.request.user, self.kwargs["project"], "feedback.read_snapshots")
        return counted(project.snapshots.all())

    @extend_schema(request=SnapshotInputSerializer, responses={201: SnapshotSerializer, 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Freeze the project's judgments into files that never change, each kind of task in tables of its own.

        Rejected judgments, ties, gold, repeats and qualification tests are left out; the manifest counts them.
        """
        within = project_or_404(request.user, project, "feedback.freeze")
        asked = checked(SnapshotInputSerializer, request)
        queues = None if asked["queues"] is None else list(within.queues.filter(pk__in=asked["queues"]))
        if queues is not None and len(queues) != len(set(asked["queues"])):
            raise Refused("queues", "one of these is no queue of the project")
        try:
            snapshot = freeze_snapshot(
                project=within,
                name=asked["name"],
                created_by=person_of(request),
                queues=queues,
                kinds=asked["kinds"],
                include_simulated=asked["include_simulated"],
                now=timezone.now(),
            )
        except SnapshotRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(SnapshotSerializer(counted(Snapshot.objects).get(pk=snapshot.pk)).data, status=201)


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


def counted(snapshots: Any) -> QuerySet[Snapshot]:
    return snapshots.select_related("project", "created_by")


def snapshot_or_404(request: Request, snapshot: UUID) -> Snapshot:
    found = get_object_or_404(counted(Snapshot.objects), pk=snapshot)
    check(request.user, "feedback.read_snapshots", found.project)
    return found
