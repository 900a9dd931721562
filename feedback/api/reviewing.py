"""What waits for a curator over HTTP: tasks that people passed over, responses that name their model."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse

from feedback.access import check, names_for, project_or_404
from feedback.api.queues import queue_or_404
from feedback.api.refusals import CONFLICT, REFUSED, Conflict, Refused
from feedback.api.requests import checked, person_of
from feedback.api.steering_serializers import (
    ChangedSerializer,
    NamingSettlementInputSerializer,
    SelfNamingSerializer,
    SettlementInputSerializer,
    SkipSerializer,
)
from feedback.models import Response, Skip
from feedback.settling import AlreadySettled, SettlementRefused, settle_skip
from feedback.steering import SteeringRefused, settle_naming


class SkipList(generics.ListAPIView):
    serializer_class = SkipSerializer
    queryset = Skip.objects.none()

    def get_queryset(self) -> QuerySet[Skip]:
        queue = queue_or_404(self.request, self.kwargs["queue"], "feedback.read_queues")
        self.name_of = names_for(person_of(self.request), queue.project)
        skips = Skip.objects.filter(task__queue=queue).select_related("task", "annotator")
        return skips.up_for_review() if self.request.query_params.get("up") in ("1", "true") else skips

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "name_of": getattr(self, "name_of", str)}

    @extend_schema(
        parameters=[OpenApiParameter("up", bool, description="Only those that were taken out and wait for a curator.")]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List what people passed over in the queue, the latest first."""
        return super().get(request, *args, **kwargs)


@extend_schema(request=SettlementInputSerializer, responses={200: SkipSerializer, 409: CONFLICT, 422: REFUSED})
@api_view(["POST"])
def settle(request: Request, skip: int) -> ApiResponse:
    """Return a task that was taken out for review to the queue, or leave it out for good."""
    found = get_object_or_404(Skip.objects.select_related("task__queue__project", "annotator"), pk=skip)
    check(request.user, "feedback.review", found.task.queue.project)
    settlement = checked(SettlementInputSerializer, request)["settlement"]
    try:
        settled = settle_skip(skip=found, settlement=settlement, settled_by=person_of(request), now=timezone.now())
    except AlreadySettled as refusal:
        raise Conflict("already_settled", str(refusal)) from refusal
    except SettlementRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    name_of = names_for(person_of(request), found.task.queue.project)
    return ApiResponse(SkipSerializer(settled, context={"name_of": name_of}).data)


class SelfNamingList(generics.ListAPIView):
    serializer_class = SelfNamingSerializer
    queryset = Response.objects.none()

    def get_queryset(self) -> QuerySet[Response]:
        project = project_or_404(self.request.user, self.kwargs["project"], "feedback.read_queues")
        naming = Response.objects.naming_itself().in_project(project).prefetch_related("tasks").order_by("-id")
        wanted = self.request.query_params.get("up") in ("1", "true")
        return naming.filter(naming_settled_at__isnull=True) if wanted else naming

    @extend_schema(parameters=[OpenApiParameter("up", bool, description="Only those that nobody has decided of.")])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List the responses in which a model gives itself away, with the tasks that show them, the latest first."""
        return super().get(request, *args, **kwargs)


@extend_schema(request=NamingSettlementInputSerializer, responses={200: ChangedSerializer, 409: CONFLICT, 422: REFUSED})
@api_view(["POST"])
def naming_settle(request: Request, naming: UUID) -> ApiResponse:
    """Decide of a response that names its model: take out the tasks that show it, or let them stay."""
    found = get_object_or_404(Response.objects.select_related("prompt__project"), pk=naming)
    check(request.user, "feedback.review", found.prompt.project)
    settlement = checked(NamingSettlementInputSerializer, request)["settlement"]
    try:
        changed = settle_naming(
            response=found, settlement=settlement, settled_by=person_of(request), now=timezone.now()
        )
    except AlreadySettled as refusal:
        raise Conflict("already_settled", str(refusal)) from refusal
    except SteeringRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse({"changed": changed})
