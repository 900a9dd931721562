"""Projects, prompts and simulated annotators over HTTP; the same verbs as the pages."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.authtoken.models import Token
from rest_framework.decorators import api_view, parser_classes
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse

from feedback.access import may, project_or_404
from feedback.api.refusals import REFUSED, Refused
from feedback.api.requests import checked, person_of
from feedback.api.serializers import (
    ImportInputSerializer,
    ImportRefusedSerializer,
    ImportReportSerializer,
    ProjectSerializer,
    PromptSerializer,
    SimulatedAnnotatorInputSerializer,
    SimulatedAnnotatorSerializer,
)
from feedback.imports.errors import ImportRefused
from feedback.imports.whole import import_upload
from feedback.models import FileImport, Project, Prompt, User
from feedback.people import MemberRefused, create_simulated_annotator
from feedback.simulation import RULES


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
        return project_or_404(self.request.user, self.kwargs["project"], "feedback.read_queues").prompts.pool()


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
    upload = about.pop("file")
    try:
        found = import_upload(
            project=within, pieces=upload.chunks(), filename=upload.name, created_by=person_of(request),
            kind=FileImport.Kind.PROMPTS, **about,
        )  # fmt: skip
    except ImportRefused as refusal:
        return ApiResponse(ImportRefusedSerializer({"errors": refusal.errors, "total": refusal.total}).data, status=422)
    added = found.counts["stored"].get("prompts", 0)
    report = {"read": found.counts["read"], "added": added, "already_there": found.counts["read"] - added}
    return ApiResponse(ImportReportSerializer(report).data)


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


def refuse_a_stranger(username: str, project: Project, asker: User) -> None:
    """Hand out no token that opens a project in which the asker may not do the same."""
    others = Project.objects.filter(memberships__user__username=username).exclude(pk=project.pk)
    if any(not may(asker, "feedback.manage_queues", other) for other in others):
        raise Refused("username", f"{username!r} labels in another project; choose another name")
