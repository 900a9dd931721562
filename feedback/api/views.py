"""Projects, prompts, queues, judgments and snapshots over HTTP; the same verbs as the pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.authtoken.models import Token
from rest_framework.decorators import api_view, parser_classes
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check, may, names_for, project_or_404
from feedback.api.refusals import CONFLICT, REFUSED, Conflict, Refused
from feedback.api.requests import as_uuid, checked, person_of
from feedback.api.serializers import (
    FilledSerializer,
    FillInputSerializer,
    ImportInputSerializer,
    ImportRefusedSerializer,
    ImportReportSerializer,
    JudgmentSerializer,
    ProjectSerializer,
    PromptSerializer,
    QueueChangeSerializer,
    QueueDetailSerializer,
    QueueInputSerializer,
    QueueSerializer,
    ReviewInputSerializer,
    ReviewSerializer,
    SimulatedAnnotatorInputSerializer,
    SimulatedAnnotatorSerializer,
    SnapshotInputSerializer,
    SnapshotSerializer,
)
from feedback.filling import fill_from_responses
from feedback.models import Judgment, Project, Prompt, Queue, Snapshot, User
from feedback.own_work import own_progress
from feedback.people import MemberRefused, create_simulated_annotator
from feedback.prompt_import import ImportRefused, import_upload
from feedback.queues import (
    QueueRefused,
    change_guideline,
    change_policy,
    open_queue,
    queue_progress,
    set_queue_state,
)
from feedback.reviewing import ReviewRefused, review_judgment
from feedback.simulation import RULES
from feedback.snapshots import SnapshotDamaged, SnapshotRefused, archive_name, freeze_snapshot, snapshot_zip

POLICY = ("overlap", "lease_minutes", "allow_tie", "require_rationale")


class ProjectList(generics.ListAPIView):
    """List the projects in which you have a role."""

    serializer_class = ProjectSerializer
    queryset = Project.objects.none()

    def get_queryset(self) -> QuerySet[Project]:
        return Project.objects.visible_to(self.request.user)


class ProjectDetail(generics.RetrieveAPIView):
    """Show a project and your roles in it."""

    serializer_class = ProjectSerializer
    queryset = Project.objects.none()

    def get_object(self) -> Project:
        return project_or_404(self.request.user, self.kwargs["project"])


class PromptList(generics.ListAPIView):
    """List the project's prompts."""

    serializer_class = PromptSerializer
    queryset = Prompt.objects.none()

    def get_queryset(self) -> QuerySet[Prompt]:
        return project_or_404(self.request.user, self.kwargs["project"], "feedback.read_queues").prompts.all()


@extend_schema(
    request={"multipart/form-data": ImportInputSerializer},
    responses={200: ImportReportSerializer, 422: ImportRefusedSerializer},
)
@api_view(["POST"])
@parser_classes([MultiPartParser])
def prompts_import(request: Request, project: str) -> ApiResponse:
    """Import prompts from a file: every row is good, or nothing is imported and 422 says why, row by row."""
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    about = checked(ImportInputSerializer, request)
    try:
        report = import_upload(project=within, upload=about.pop("file"), created_by=person_of(request), **about)
    except ImportRefused as refusal:
        return ApiResponse(ImportRefusedSerializer({"errors": refusal.errors, "total": refusal.total}).data, status=422)
    return ApiResponse(ImportReportSerializer(report).data)


class QueueList(generics.ListAPIView):
    """List the project's queues; annotators see the open ones."""

    serializer_class = QueueSerializer
    queryset = Queue.objects.none()

    def get_queryset(self) -> QuerySet[Queue]:
        project = project_or_404(self.request.user, self.kwargs["project"])
        queues = project.queues.select_related("project").prefetch_related("policies")
        if may(self.request.user, "feedback.read_queues", project):
            return queues
        check(self.request.user, "feedback.label", project)
        return queues.filter(state=Queue.State.OPEN)

    @extend_schema(request=QueueInputSerializer, responses={201: QueueDetailSerializer, 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Open a queue with its guidelines."""
        within = project_or_404(request.user, project, "feedback.manage_queues")
        asked = checked(QueueInputSerializer, request)
        try:
            queue = open_queue(project=within, created_by=person_of(request), **asked)
        except QueueRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(queue_detail(queue, person_of(request)), status=201)


class QueueDetail(APIView):
    @extend_schema(responses=QueueDetailSerializer)
    def get(self, request: Request, queue: UUID) -> ApiResponse:
        """Show a queue with its guidelines and, as your role allows, its progress or your own."""
        return ApiResponse(queue_detail(readable_queue(request, queue), person_of(request)))

    @extend_schema(request=QueueChangeSerializer, responses={200: QueueDetailSerializer, 422: REFUSED})
    def patch(self, request: Request, queue: UUID) -> ApiResponse:
        """Open, pause or close a queue, or change its guidelines or rules; a changed text or rule is a new version."""
        found = queue_or_404(request, queue, "feedback.manage_queues")
        asked = checked(QueueChangeSerializer, request)
        rules = {name: asked[name] for name in POLICY if name in asked}
        try:
            with transaction.atomic():
                if "guideline" in asked:
                    change_guideline(queue=found, text=asked["guideline"], changed_by=person_of(request))
                if rules:
                    change_policy(queue=found, changed_by=person_of(request), **rules)
                if "state" in asked:
                    set_queue_state(queue=found, state=asked["state"])
        except QueueRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(queue_detail(found, person_of(request)))


@extend_schema(request=FillInputSerializer, responses={200: FilledSerializer, 422: REFUSED})
@api_view(["POST"])
def queue_fill(request: Request, queue: UUID) -> ApiResponse:
    """Put the project's prompts that have two or more responses into the queue."""
    found = queue_or_404(request, queue, "feedback.manage_queues")
    filled = fill_from_responses(queue=found, pairs=checked(FillInputSerializer, request)["pairs"])
    return ApiResponse(FilledSerializer(filled).data)


class JudgmentList(generics.ListAPIView):
    serializer_class = JudgmentSerializer
    queryset = Judgment.objects.none()

    def get_queryset(self) -> QuerySet[Judgment]:
        project = project_or_404(self.request.user, self.kwargs["project"], "feedback.read_judgments")
        found = Judgment.objects.in_project(project).current().with_review()
        for name in ("queue", "snapshot"):
            if wanted := self.request.query_params.get(name):
                found = found.filter(**{"snapshots" if name == "snapshot" else name: as_uuid(name, wanted)})
        return found.select_related("annotator", "comparison", "guideline", "policy")

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


class SnapshotList(generics.ListAPIView):
    """List the project's snapshots, the latest first."""

    serializer_class = SnapshotSerializer
    queryset = Snapshot.objects.none()

    def get_queryset(self) -> QuerySet[Snapshot]:
        project = project_or_404(self.request.user, self.kwargs["project"], "feedback.read_snapshots")
        return counted(project.snapshots.all())

    @extend_schema(request=SnapshotInputSerializer, responses={201: SnapshotSerializer, 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Freeze the project's judgments into files that never change. Ties and rejected ones are left out."""
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


@extend_schema(request=SimulatedAnnotatorInputSerializer, responses={201: SimulatedAnnotatorSerializer, 422: REFUSED})
@api_view(["POST"])
def simulated_annotators(request: Request, project: str) -> ApiResponse:
    """Make an annotator that follows a documented rule, with a token to label by; the same call again finds it."""
    within = project_or_404(request.user, project, "feedback.manage_queues")
    asked = checked(SimulatedAnnotatorInputSerializer, request)
    rule = RULES.get(asked["rule"])
    if rule is None:
        raise Refused("rule", f"{asked['rule']!r} is not one of {', '.join(RULES)}")
    refuse_a_stranger(asked["username"], within, person_of(request))
    try:
        made = create_simulated_annotator(project=within, username=asked["username"], rule=rule.text)
    except MemberRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    token, _ = Token.objects.get_or_create(user=made)
    return ApiResponse(
        SimulatedAnnotatorSerializer(
            {"username": made.username, "simulated": True, "rule": made.simulation_rule, "token": token.key}
        ).data,
        status=201,
    )


# What the endpoints share


def queue_or_404(request: Request, queue: UUID, permission: str) -> Queue:
    found = get_object_or_404(Queue.objects.select_related("project"), pk=queue)
    check(request.user, permission, found.project)
    return found


def readable_queue(request: Request, queue: UUID) -> Queue:
    try:
        return queue_or_404(request, queue, "feedback.read_queues")
    except PermissionDenied:
        return queue_or_404(request, queue, "feedback.label")


def queue_detail(queue: Queue, reader: User) -> dict[str, Any]:
    """Return the queue, with the progress of all for staff and the reader's own for annotators."""
    now = timezone.now()
    staff = may(reader, "feedback.read_queues", queue.project)
    labels = may(reader, "feedback.label", queue.project)
    shown = {
        **QueueSerializer(queue).data,
        "guideline": {"number": queue.guideline.number, "text": queue.guideline.text},
        "progress": None,
        "own_progress": None,
    }
    if staff:
        progress = queue_progress(queue, now)
        shown["progress"] = {**vars(progress), "percent": progress.percent}
    if labels:
        shown["own_progress"] = vars(own_progress(queue=queue, annotator=reader, now=now))
    return shown


def counted(snapshots: Any) -> QuerySet[Snapshot]:
    return snapshots.select_related("project", "created_by").annotate(judgment_count=Count("judgments"))


def snapshot_or_404(request: Request, snapshot: UUID) -> Snapshot:
    found = get_object_or_404(counted(Snapshot.objects), pk=snapshot)
    check(request.user, "feedback.read_snapshots", found.project)
    return found


def refuse_a_stranger(username: str, project: Project, asker: User) -> None:
    """Hand out no token that opens a project in which the asker may not do the same."""
    others = Project.objects.filter(memberships__user__username=username).exclude(pk=project.pk)
    if any(not may(asker, "feedback.manage_queues", other) for other in others):
        raise Refused("username", f"{username!r} labels in another project; choose another name")
