"""People's reliability over HTTP: figures, evidence, decisions and answers. The same verbs as the pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check, may, names_for, project_or_404
from feedback.api.jobs import JobSerializer
from feedback.api.people import user_or_404
from feedback.api.people_serializers import (
    DecideInputSerializer,
    EvidenceSerializer,
    OwnStandingSerializer,
    ReliabilitySerializer,
    StandingAnswerSerializer,
    StandingSerializer,
    TextInputSerializer,
)
from feedback.api.refusals import REFUSED, Refused
from feedback.api.requests import as_uuid, checked, person_of
from feedback.models import Project, Queue, Report, Standing, StandingAnswer, User
from feedback.quality.people import params_of, people_report
from feedback.quality.person_evidence import evidence_of, hidden_now
from feedback.quality.reports import measure
from feedback.standings import (
    StandingRefused,
    answer_standing,
    decide_standing,
    is_suspended,
    standings_of,
    suspended_people,
    workers,
)

QUEUE = OpenApiParameter("queue", UUID, description="Only of this queue; its figures are measured by themselves.")


class Reliability(generics.ListAPIView):
    serializer_class = ReliabilitySerializer
    queryset = User.objects.none()

    @extend_schema(parameters=[QUEUE])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List everybody's figures of the latest report on people, who needs a look first; none before one is there."""
        project = project_or_404(request.user, kwargs["project"], "feedback.read_judgments")
        report = people_report(project=project, queue=queue_of(project, request.query_params.get("queue")))
        page = self.paginate_queryset(report.rows) or []
        people = User.objects.in_bulk([row.person for row in page])
        name_of, suspended = names_for(person_of(request), project), suspended_people(project)
        shown = [
            {
                "person": name_of(people[row.person]),
                "simulated": row.simulated,
                "suspended": row.person in suspended,
                "looks": [vars(look) for look in row.looks],
                "figures": row.figures,
            }
            for row in page
        ]
        answer = self.get_paginated_response(ReliabilitySerializer(shown, many=True).data)
        answer.data["computed_at"] = report.report.computed_at if report.report else None
        answer.data["judgments_since"] = report.shown.since
        return answer

    @extend_schema(parameters=[QUEUE], request=None, responses={202: JobSerializer})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """Measure people anew: answers with the job, which is over already where there is little to read."""
        project = project_or_404(request.user, kwargs["project"], "feedback.read_judgments")
        queue = queue_of(project, request.query_params.get("queue"))
        job = measure(project=project, kind=Report.Kind.PEOPLE, params=params_of(queue), created_by=person_of(request))
        return ApiResponse(JobSerializer(job).data, status=202)


@extend_schema(responses=EvidenceSerializer)
@api_view(["GET"])
def evidence(request: Request, project: str, username: str) -> ApiResponse:
    """Show what is known of how a person does, as it would be stored with a decision now."""
    within, person = worker(request, project, username)
    return ApiResponse(EvidenceSerializer(evidence_of(project=within, person=person)).data)


class Standings(APIView):
    @extend_schema(responses=StandingSerializer(many=True))
    def get(self, request: Request, project: str, username: str) -> ApiResponse:
        """List what curators decided about a person, with the evidence and what was answered, the latest first."""
        within, person = worker(request, project, username)
        found = [shown_standing(one) for one in standings_of(project=within, person=person)]
        return ApiResponse(StandingSerializer(found, many=True).data)

    @extend_schema(request=DecideInputSerializer, responses={201: StandingSerializer, 422: REFUSED})
    def post(self, request: Request, project: str, username: str) -> ApiResponse:
        """Decide about a person's work; the evidence of this moment is stored with it, and they can answer."""
        within, person = worker(request, project, username)
        asked = checked(DecideInputSerializer, request)
        try:
            standing = decide_standing(
                project=within,
                person=person,
                **asked,
                evidence=evidence_of(project=within, person=person),
                decided_by=person_of(request),
                now=timezone.now(),
            )
        except StandingRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(StandingSerializer(shown_standing(standing)).data, status=201)


@extend_schema(request=TextInputSerializer, responses={201: StandingAnswerSerializer, 422: REFUSED})
@api_view(["POST"])
def standing_answers(request: Request, standing: int) -> ApiResponse:
    """Answer a decision: the person whom it is about, or a curator in turn."""
    found = get_object_or_404(Standing.objects.select_related("project", "person"), pk=standing)
    author = person_of(request)
    if found.person_id == author.pk:
        check(author, "feedback.label", found.project)
    elif may(author, "feedback.label", found.project) and not may(author, "feedback.manage_annotators", found.project):
        raise Http404("no decision about you")
    else:
        check(author, "feedback.manage_annotators", found.project)
    text = checked(TextInputSerializer, request)["text"]
    try:
        answer = answer_standing(standing=found, author=author, text=text, now=timezone.now())
    except StandingRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(StandingAnswerSerializer(shown_answer(answer, found, reader=author)).data, status=201)


@extend_schema(responses=OwnStandingSerializer)
@api_view(["GET"])
def own_standing(request: Request, project: str) -> ApiResponse:
    """Show the evidence that curators see of you, what they decided, and what was said to it."""
    within = project_or_404(request.user, project, "feedback.label")
    person = person_of(request)
    found = evidence_of(project=within, person=person)
    shown = {
        "suspended": is_suspended(project=within, person=person),
        "evidence": own_evidence(found, hidden=hidden_now(within)),
        "decisions": [
            {**shown_standing(one, reader=person), "evidence": own_evidence(one.evidence, hidden=set())}
            for one in standings_of(project=within, person=person)
        ],
    }
    return ApiResponse(OwnStandingSerializer(shown).data)


# What the endpoints share


def worker(request: Request, project: str, username: str) -> tuple[Project, User]:
    within = project_or_404(request.user, project, "feedback.manage_annotators")
    return within, user_or_404(workers(within), username)


def queue_of(project: Project, text: str | None) -> Queue | None:
    return None if not text else get_object_or_404(project.queues, pk=as_uuid("queue", text))


def own_evidence(evidence: dict[str, Any], *, hidden: set[str]) -> dict[str, Any]:
    """Return the evidence as the person whom it is about may read it: gold counted by fives, never by task."""
    figures = evidence.get("figures") or {}
    return {
        "computed_at": evidence.get("computed_at"),
        "judgments": evidence.get("judgments", 0),
        "known_answers": None if "gold" in hidden else (evidence.get("gold") or {}).get("told"),
        "reviews": evidence.get("reviews") or {},
        "figures": {
            name: value
            for name, value in figures.items()
            if not name.startswith("gold") and name.split("_")[0] not in hidden
        },
    }


def shown_standing(standing: Standing, reader: User | None = None) -> dict[str, Any]:
    """Return a decision; for `reader`, whom it is about, without who decided it."""
    return {
        "id": standing.pk,
        "decision": standing.decision,
        "reason": standing.reason,
        "created_at": standing.created_at,
        "decided_by": "" if reader else standing.decided_by.username,
        "evidence": standing.evidence,
        "answers": [shown_answer(answer, standing, reader=reader) for answer in standing.answers.all()],
    }


def shown_answer(answer: StandingAnswer, standing: Standing, reader: User | None) -> dict[str, Any]:
    by = answer.author.username
    if reader is not None and reader.pk == standing.person_id:
        by = "you" if answer.author_id == reader.pk else "curator"
    return {"by": by, "text": answer.text, "created_at": answer.created_at}
