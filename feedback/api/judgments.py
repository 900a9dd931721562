"""Judgments over HTTP for those who review and train."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse

from feedback.access import check, names_for, project_or_404
from feedback.api.refusals import CONFLICT, REFUSED, Conflict, Refused
from feedback.api.requests import as_uuid, checked, person_of
from feedback.api.serializers import (
    JudgmentSerializer,
    ReviewInputSerializer,
    ReviewSerializer,
)
from feedback.models import Judgment
from feedback.reviewing import ReviewRefused, review_judgment
from feedback.snapshot_members import in_snapshot


class JudgmentList(generics.ListAPIView):
    serializer_class = JudgmentSerializer
    queryset = Judgment.objects.none()

    def get_queryset(self) -> QuerySet[Judgment]:
        project = project_or_404(self.request.user, self.kwargs["project"], "feedback.read_judgments")
        found = Judgment.objects.in_project(project).current().with_review()
        if wanted := self.request.query_params.get("queue"):
            found = found.filter(queue=as_uuid("queue", wanted))
        if wanted := self.request.query_params.get("snapshot"):
            snapshot = project.snapshots.filter(pk=as_uuid("snapshot", wanted)).first()
            found = found.none() if snapshot is None else in_snapshot(found, snapshot)
        related = ("annotator", "queue", "task", "guideline", "policy", "schema")
        return found.select_related(*related).prefetch_related("task__links")

    def get_serializer_context(self) -> dict[str, Any]:
        context = dict(super().get_serializer_context())
        if "project" in self.kwargs and not getattr(self, "swagger_fake_view", False):
            project = project_or_404(self.request.user, self.kwargs["project"])
            context["name_of"] = names_for(person_of(self.request), project)
        return context

    @extend_schema(
        parameters=[
            OpenApiParameter("queue", OpenApiTypes.UUID, description="Only those of this queue."),
            OpenApiParameter("snapshot", OpenApiTypes.UUID, description="Only those that this snapshot holds."),
        ]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List the judgments that count now, the latest first."""
        return super().get(request, *args, **kwargs)


@extend_schema(request=ReviewInputSerializer, responses={201: ReviewSerializer, 409: CONFLICT, 422: REFUSED})
@api_view(["POST"])
def judgment_review(request: Request, judgment: UUID) -> ApiResponse:
    """Accept or reject a judgment; the latest review counts."""
    found = get_object_or_404(Judgment.objects.select_related("queue__project"), pk=judgment)
    check(request.user, "feedback.review", found.queue.project)
    asked = checked(ReviewInputSerializer, request)
    try:
        review = review_judgment(judgment=found, reviewer=person_of(request), **asked)
    except ReviewRefused as refusal:
        if refusal.field == "judgment":
            raise Conflict("not_current", refusal.message) from refusal
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(ReviewSerializer(review).data, status=201)
