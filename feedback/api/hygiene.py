"""What was found in texts, splits, and held-out people over HTTP; the same verbs as the pages."""

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
from rest_framework.views import APIView

from feedback.access import check, project_or_404
from feedback.api.hygiene_serializers import (
    FindingSerializer,
    HeldOutSerializer,
    HoldOutInputSerializer,
    LanguageCountSerializer,
    MemberOfClusterSerializer,
    PercentsInputSerializer,
    SettledFindingsSerializer,
    SettlementOfFindingsSerializer,
    SplitsSerializer,
)
from feedback.api.jobs import JobSerializer
from feedback.api.people import user_or_404
from feedback.api.refusals import REFUSED, Refused
from feedback.api.requests import checked, person_of
from feedback.holding_out import HoldOutRefused, hold_out, let_in
from feedback.hygiene.redacting import FindingRefused, settle_findings, snapshots_with, take_back
from feedback.hygiene.scan_job import start_scan
from feedback.hygiene.showing import counted, members_of
from feedback.models import Finding, HeldOutPerson, Project, User
from feedback.splits import SplitRefused, set_percents


class FindingList(generics.ListAPIView):
    serializer_class = FindingSerializer
    queryset = Finding.objects.none()

    def get_queryset(self) -> QuerySet[Finding]:
        project = project_or_404(self.request.user, self.kwargs["project"], "feedback.manage_prompts")
        found = Finding.objects.filter(project=project).select_related("settled_by").order_by("-pk")
        if kind := self.request.query_params.get("kind"):
            if kind not in Finding.Kind.values:
                raise Refused("kind", f"{kind!r} is not one of {', '.join(Finding.Kind.values)}")
            found = found.filter(kind=kind)
        return found.unsettled() if self.request.query_params.get("up") in ("1", "true") else found

    @extend_schema(
        parameters=[
            OpenApiParameter("kind", str, enum=Finding.Kind.values),
            OpenApiParameter("up", bool, description="Only those that nobody has settled."),
        ]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List what was found in texts: personal data, languages, near-duplicates, leaks; the latest first."""
        return super().get(request, *args, **kwargs)


@extend_schema(request=SettlementOfFindingsSerializer, responses={200: SettledFindingsSerializer, 422: REFUSED})
@api_view(["POST"])
def findings_settle(request: Request, project: str) -> ApiResponse:
    """Redact what was found, let it stay, or leave the texts out for good; settled ones stay as they are."""
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    asked = checked(SettlementOfFindingsSerializer, request)
    found = Finding.objects.filter(project=within, pk__in=asked["findings"])
    try:
        settled = settle_findings(
            project=within, findings=found, settlement=asked["settlement"], settled_by=person_of(request),
            now=timezone.now(),
        )  # fmt: skip
    except FindingRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    frozen = [
        {"id": snapshot.pk, "name": snapshot.name, "judgments": judgments}
        for snapshot, judgments in snapshots_with(within, settled)
    ]
    return ApiResponse(SettledFindingsSerializer({"settled": len(settled), "snapshots": frozen}).data)


@extend_schema(request=None, responses={200: FindingSerializer, 422: REFUSED})
@api_view(["POST"])
def finding_take_back(request: Request, finding: int) -> ApiResponse:
    """Let what was left or left out wait for a decision again."""
    found = get_object_or_404(Finding.objects.select_related("project"), pk=finding)
    check(request.user, "feedback.manage_prompts", found.project)
    try:
        return ApiResponse(FindingSerializer(take_back(finding=found, by=person_of(request), now=timezone.now())).data)
    except FindingRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal


@extend_schema(request=None, responses={200: JobSerializer})
@api_view(["POST"])
def scan(request: Request, project: str) -> ApiResponse:
    """Look at every text of the project again: at once where it is small, else the job that will."""
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    return ApiResponse(JobSerializer(start_scan(project=within, started_by=person_of(request))).data)


class Splits(APIView):
    @extend_schema(responses=SplitsSerializer)
    def get(self, request: Request, project: str) -> ApiResponse:
        """Show the shares of new prompts, what lies in each split, and whether anything leaks between them."""
        return ApiResponse(splits_of(project_or_404(request.user, project, "feedback.manage_prompts")))

    @extend_schema(request=PercentsInputSerializer, responses={200: SplitsSerializer, 422: REFUSED})
    def patch(self, request: Request, project: str) -> ApiResponse:
        """Change the shares by which prompts are split that come in from now on."""
        within = project_or_404(request.user, project, "feedback.manage_prompts")
        now = {"evaluation_percent": within.evaluation_percent, "holdout_percent": within.holdout_percent}
        try:
            set_percents(
                project=within, changed_by=person_of(request), **{**now, **checked(PercentsInputSerializer, request)}
            )
        except SplitRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(splits_of(within))


def splits_of(project: Project) -> dict[str, Any]:
    known = counted(project)
    return dict(
        SplitsSerializer(
            {
                "evaluation_percent": project.evaluation_percent,
                "holdout_percent": project.holdout_percent,
                "splits": [
                    {"split": split, "prompts": prompts, "clusters": clusters}
                    for split, prompts, clusters in (known.splits if known else ())
                ],
                "clusters_in_two_splits": known.spread if known else [],
                "counted_at": known.at if known else None,
                "undecided_leaks": Finding.objects.filter(project=project, kind=Finding.Kind.LEAK).unsettled().count(),
            }
        ).data
    )


@extend_schema(responses=MemberOfClusterSerializer(many=True))
@api_view(["GET"])
def cluster(request: Request, project: str, cluster: str) -> ApiResponse:
    """Show the prompts that say nearly the same as each other, the oldest first; the first 50."""
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    return ApiResponse(MemberOfClusterSerializer(members_of(within, cluster), many=True).data)


@extend_schema(responses=LanguageCountSerializer(many=True))
@api_view(["GET"])
def language_counts(request: Request, project: str) -> ApiResponse:
    """Count the prompts by the language said and the one found in the text, the most first; in a large project as the
    last scan counted them."""
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    known = counted(within)
    return ApiResponse(LanguageCountSerializer(known.languages if known else [], many=True).data)


class HeldOutPeople(generics.ListAPIView):
    """List the people whose labels are a split of their own."""

    serializer_class = HeldOutSerializer
    queryset = HeldOutPerson.objects.none()

    def get_queryset(self) -> QuerySet[HeldOutPerson]:
        project = project_or_404(self.request.user, self.kwargs["project"], "feedback.manage_annotators")
        return project.held_out.select_related("person").order_by("person__username")

    @extend_schema(request=HoldOutInputSerializer, responses={200: HeldOutSerializer, 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Keep a person's labels apart in every later snapshot; again changes nothing."""
        within = project_or_404(request.user, project, "feedback.manage_annotators")
        username = checked(HoldOutInputSerializer, request)["username"]
        person = User.objects.filter(username=username).first()
        if person is None:
            raise Refused("username", f"there is no person {username!r}")
        try:
            held = hold_out(project=within, person=person, held_out_by=person_of(request), now=timezone.now())
        except HoldOutRefused as refusal:
            raise Refused("username", f"{username!r} neither belongs to this project nor has judged in it") from refusal
        return ApiResponse(HeldOutSerializer(held).data)


@extend_schema(request=None, responses={204: None})
@api_view(["DELETE"])
def held_out_person(request: Request, project: str, username: str) -> ApiResponse:
    """Let later snapshots train on the person's labels again."""
    within = project_or_404(request.user, project, "feedback.manage_annotators")
    person = user_or_404(User.objects.filter(pk__in=within.held_out.values("person")), username)
    let_in(project=within, person=person, let_in_by=person_of(request), now=timezone.now())
    return ApiResponse(status=204)
