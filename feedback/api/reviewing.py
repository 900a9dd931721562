"""What waits for a curator over HTTP: tasks that people passed over, responses that name their model."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse

from feedback.access import check, project_or_404
from feedback.api.queues import queue_or_404
from feedback.api.refusals import CONFLICT, REFUSED, Conflict, Refused
from feedback.api.requests import checked, person_of
from feedback.api.steering_serializers import SelfNamingSerializer, SettlementInputSerializer, SkipSerializer
from feedback.models import Response, Skip
from feedback.settling import AlreadySettled, SettlementRefused, settle_skip


class SkipList(generics.ListAPIView):
    serializer_class = SkipSerializer
    queryset = Skip.objects.none()

    def get_queryset(self) -> QuerySet[Skip]:
        queue = queue_or_404(self.request, self.kwargs["queue"], "feedback.review")
        skips = Skip.objects.filter(task__queue=queue).select_related("task", "annotator")
        return skips.up_for_review() if self.request.query_params.get("up") in ("1", "true") else skips

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
    return ApiResponse(SkipSerializer(settled).data)


class SelfNamingList(generics.ListAPIView):
    """List the responses in which a model gives itself away, with the tasks that show them, the latest first."""

    serializer_class = SelfNamingSerializer
    queryset = Response.objects.none()

    def get_queryset(self) -> QuerySet[Response]:
        project = project_or_404(self.request.user, self.kwargs["project"], "feedback.read_queues")
        naming = Response.objects.filter(prompt__project=project).exclude(names_itself="")
        return naming.prefetch_related("tasks").order_by("-id")
