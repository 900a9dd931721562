"""Queues over HTTP: open, show, change, fill. The same verbs as the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check, may, project_or_404
from feedback.api.queue_serializers import (
    HIDDEN_OF_SCHEMA,
    FilledSerializer,
    FillInputSerializer,
    GuidelineVersionSerializer,
    PolicyVersionSerializer,
    QueueChangeSerializer,
    QueueDetailSerializer,
    QueueInputSerializer,
    QueueSerializer,
    SchemaVersionSerializer,
)
from feedback.api.refusals import REFUSED, Refused
from feedback.api.requests import checked, person_of
from feedback.contract import HOLDOUT
from feedback.filling import fill_from_responses
from feedback.leases import queue_in_force
from feedback.models import Guideline, LabelSchema, Project, Queue, QueuePolicy, User
from feedback.own_work import own_progress
from feedback.queues import (
    RULES,
    QueueRefused,
    change_guideline,
    change_policy,
    change_schema,
    open_queue,
    queue_progress,
    set_queue_state,
)
from feedback.splits import SAMPLED


class QueueList(generics.ListAPIView):
    """List the project's queues; annotators see the open ones."""

    serializer_class = QueueSerializer
    queryset = Queue.objects.none()

    def get_queryset(self) -> QuerySet[Queue]:
        project = project_or_404(self.request.user, self.kwargs["project"])
        queues = project.queues.in_force()
        self.staff = may(self.request.user, "feedback.read_queues", project)
        if self.staff:
            return queues
        check(self.request.user, "feedback.label", project)
        return queues.open()

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "staff": getattr(self, "staff", False)}

    @extend_schema(request=QueueInputSerializer, responses={201: QueueDetailSerializer, 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Open a queue of one kind with its guidelines, label schema and rules."""
        within = project_or_404(request.user, project, "feedback.manage_queues")
        asked = checked(QueueInputSerializer, request)
        try:
            queue = open_queue(
                project=within,
                created_by=person_of(request),
                **{name: asked[name] for name in ("name", "kind", "is_qualification", "guideline", "schema")},
                **rules_in(asked, within),
            )
        except QueueRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(queue_detail(queue, person_of(request)), status=201)


class QueueDetail(APIView):
    @extend_schema(responses=QueueDetailSerializer)
    def get(self, request: Request, queue: UUID) -> ApiResponse:
        """Show a queue with its guidelines, what it asks and, as your role allows, its progress or your own."""
        return ApiResponse(queue_detail(readable_queue(request, queue), person_of(request)))

    @extend_schema(request=QueueChangeSerializer, responses={200: QueueDetailSerializer, 422: REFUSED})
    def patch(self, request: Request, queue: UUID) -> ApiResponse:
        """Open, pause or close a queue, or change what it says, asks or demands; each change is a new version."""
        found = queue_or_404(request, queue, "feedback.manage_queues")
        asked = checked(QueueChangeSerializer, request)
        person, rules = person_of(request), rules_in(asked, found.project)
        try:
            with transaction.atomic():
                if "guideline" in asked:
                    change_guideline(queue=found, text=asked["guideline"], changed_by=person)
                if "schema" in asked:
                    change_schema(queue=found, content=asked["schema"], changed_by=person)
                if rules:
                    change_policy(queue=found, changed_by=person, **rules)
                if "state" in asked:
                    set_queue_state(queue=found, state=asked["state"], set_by=person)
        except QueueRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(queue_detail(found, person))


@extend_schema(request=FillInputSerializer, responses={200: FilledSerializer, 422: REFUSED})
@api_view(["POST"])
def queue_fill(request: Request, queue: UUID) -> ApiResponse:
    """Put the project's prompts that have responses enough for the queue's kind into the queue."""
    found = queue_or_404(request, queue, "feedback.manage_queues")
    asked = checked(FillInputSerializer, request)
    splits = (HOLDOUT,) if asked.pop("holdout") else SAMPLED
    filled = fill_from_responses(queue=found, splits=splits, **asked)
    return ApiResponse(FilledSerializer(filled).data)


class GuidelineVersions(generics.ListAPIView):
    """List the versions of the queue's guidelines, the one in force first."""

    serializer_class = GuidelineVersionSerializer
    queryset = Guideline.objects.none()

    def get_queryset(self) -> QuerySet[Guideline]:
        queue = queue_or_404(self.request, self.kwargs["queue"], "feedback.read_queues")
        return queue.guidelines.select_related("created_by").order_by("-number")


class SchemaVersions(generics.ListAPIView):
    """List the versions of what the queue asks, the one in force first."""

    serializer_class = SchemaVersionSerializer
    queryset = LabelSchema.objects.none()

    def get_queryset(self) -> QuerySet[LabelSchema]:
        queue = queue_or_404(self.request, self.kwargs["queue"], "feedback.read_queues")
        return queue.schemas.select_related("created_by").order_by("-number")


class PolicyVersions(generics.ListAPIView):
    """List the versions of the queue's rules, the one in force first."""

    serializer_class = PolicyVersionSerializer
    queryset = QueuePolicy.objects.none()

    def get_queryset(self) -> QuerySet[QueuePolicy]:
        queue = queue_or_404(self.request, self.kwargs["queue"], "feedback.read_queues")
        return queue.policies.select_related("created_by").order_by("-number")


# What the endpoints share


def queue_or_404(request: Request, queue: UUID, permission: str) -> Queue:
    found = queue_in_force.first(queue=queue)
    if found is None:
        raise Http404("no such queue")
    check(request.user, permission, found.project)
    return found


def readable_queue(request: Request, queue: UUID) -> Queue:
    try:
        return queue_or_404(request, queue, "feedback.read_queues")
    except PermissionDenied:
        return queue_or_404(request, queue, "feedback.label")


def rules_in(asked: Mapping[str, Any], project: Project) -> dict[str, Any]:
    """Return the rules among what was asked, the qualification queue found by its id. Raises Refused."""
    rules = {name: asked[name] for name in RULES if name in asked}
    if rules.get("qualification") is not None:
        rules["qualification"] = project.queues.filter(pk=rules["qualification"]).first()
        if rules["qualification"] is None:
            raise Refused("qualification", "choose a qualification queue of this project")
    return rules


def queue_detail(queue: Queue, reader: User) -> dict[str, Any]:
    """Return the queue, with all rules and the progress of all for staff, and the reader's own for annotators."""
    now = timezone.now()
    staff = may(reader, "feedback.read_queues", queue.project)
    labels = may(reader, "feedback.label", queue.project)
    assert queue.guideline is not None, "an open queue has its guidelines"
    assert queue.schema is not None, "an open queue has its label schema"
    shown = {
        **QueueSerializer(queue, context={"staff": staff}).data,
        "guideline": {"number": queue.guideline.number, "text": queue.guideline.text},
        "schema": {"number": queue.schema.number, "content": asked_of(queue.schema, staff=staff)},
        "progress": None,
        "own_progress": None,
    }
    if staff:
        progress = queue_progress(queue, now)
        shown["progress"] = {**vars(progress), "percent": progress.percent}
    if labels:
        own = own_progress(queue=queue, annotator=reader, now=now)
        shown["own_progress"] = {"done_today": own.done_today, "left": own.left}
    return shown


def asked_of(schema: LabelSchema, *, staff: bool = False) -> dict[str, Any]:
    """Return what the queue asks; for annotators without what would tell them which model answers."""
    hidden = () if staff else HIDDEN_OF_SCHEMA
    return {name: value for name, value in schema.asks.to_json().items() if name not in hidden}
