"""What is a person's own over HTTP: judgments, hours, evidence, guidelines read. The same verbs as the pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check
from feedback.api.labeling import code_of, own_judgment
from feedback.api.queues import asked_of, queue_or_404
from feedback.api.refusals import CONFLICT, REFUSED, Conflict, Refused
from feedback.api.requests import checked, person_of
from feedback.api.task_serializers import (
    GuidelineReadInputSerializer,
    JudgmentInputSerializer,
    OwnJudgmentSerializer,
    OwnWorkSerializer,
    ReadGuidelineSerializer,
    ShownJudgmentSerializer,
)
from feedback.guidelines import mark_read, news_of
from feedback.judging import BadJudgment, NotCurrent, RevisionClosed, SubmissionIdTaken, revise_judgment
from feedback.models import Judgment, Queue, User
from feedback.own_hours import Hours, own_agreement, own_gold, own_hours
from feedback.own_work import credible_revision_seconds, own_progress


class OwnJudgments(generics.ListAPIView):
    serializer_class = OwnJudgmentSerializer
    queryset = Judgment.objects.none()

    def get_queryset(self) -> QuerySet[Judgment]:
        queue = queue_or_404(self.request, self.kwargs["queue"], "feedback.label")
        own = Judgment.objects.current().filter(queue=queue, annotator=person_of(self.request))
        return own.mentioning(self.request.query_params.get("search", "")).select_related("queue")

    @extend_schema(
        parameters=[OpenApiParameter("search", str, description="Words of the prompt, the reason or the written text.")]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List what you have judged in the queue, the revisions that count, the latest first."""
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response([own_judgment(judgment, judgment.queue.kind) for judgment in page])


class OwnJudgment(APIView):
    @extend_schema(responses=ShownJudgmentSerializer)
    def get(self, request: Request, judgment: UUID) -> ApiResponse:
        """Show a judgment of your own with what you saw, in the order in which you saw it."""
        found = own_or_404(request, judgment)
        texts = found.task.texts
        latest = Judgment.objects.current().filter(assignment=found.assignment_id).values_list("pk", flat=True).get()
        return ApiResponse(
            {
                **own_judgment(found, found.queue.kind),
                "prompt": {"messages": found.task.prompt.messages},
                "responses": [{"text": texts[place].text} for place in found.display_order],
                "schema": asked_of(found.schema),
                "latest": latest,
            }
        )


@extend_schema(request=JudgmentInputSerializer, responses={201: OwnJudgmentSerializer, 409: CONFLICT, 422: REFUSED})
@api_view(["POST"])
def revise(request: Request, judgment: UUID) -> ApiResponse:
    """Store a new revision of your own judgment; the answer counts in the order in which you saw the responses."""
    person = person_of(request)
    found, said = own_or_404(request, judgment), checked(JudgmentInputSerializer, request)
    now = timezone.now()
    try:
        revision = revise_judgment(
            judgment=found,
            annotator=person,
            submission_id=said["submission_id"],
            answer=said["answer"],
            rationale=said["rationale"],
            flags=said["flags"],
            active_seconds=credible_revision_seconds(claimed=said["active_seconds"], judgment=found, now=now),
            interface="api",
            now=now,
        )
    except NotCurrent as refusal:
        raise Conflict("not_current", str(refusal)) from refusal
    except RevisionClosed as refusal:
        raise Conflict("revision_closed", str(refusal)) from refusal
    except SubmissionIdTaken as refusal:
        raise Conflict(code_of(refusal), str(refusal)) from refusal
    except BadJudgment as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(own_judgment(revision, found.queue.kind), status=201)


class OwnGuideline(APIView):
    @extend_schema(responses=ReadGuidelineSerializer)
    def get(self, request: Request, queue: UUID) -> ApiResponse:
        """Show the queue's guidelines, and whether they are news to you."""
        return ApiResponse(shown_guideline(queue_or_404(request, queue, "feedback.label"), person_of(request)))

    @extend_schema(request=GuidelineReadInputSerializer, responses={200: ReadGuidelineSerializer, 409: CONFLICT})
    def post(self, request: Request, queue: UUID) -> ApiResponse:
        """Say that you have the version with this number before you; 409 when it is no longer the one in force."""
        found, person = queue_or_404(request, queue, "feedback.label"), person_of(request)
        assert found.guideline is not None, "an open queue has its guidelines"
        if checked(GuidelineReadInputSerializer, request)["number"] != found.guideline.number:
            raise Conflict("not_in_force", f"version {found.guideline.number} of the guidelines is in force")
        mark_read(guideline=found.guideline, person=person)
        return ApiResponse(shown_guideline(found, person))


@extend_schema(responses=OwnWorkSerializer)
@api_view(["GET"])
def own_work(request: Request, queue: UUID) -> ApiResponse:
    """Show your pace, the hours that count for your pay, and what the queue lets you see of your evidence."""
    found, person, now = queue_or_404(request, queue, "feedback.label"), person_of(request), timezone.now()
    policy = found.policy
    assert policy is not None, "an open queue has its policy"
    whole = own_hours(project=found.project, annotator=person, now=now)
    agreement = own_agreement(queue=found, annotator=person) if policy.show_agreement else None
    known = own_gold(queue=found, annotator=person) if policy.show_gold else None
    return ApiResponse(
        {
            **vars(own_progress(queue=found, annotator=person, now=now)),
            "queue": shown_hours(own_hours(project=found.project, annotator=person, now=now, queue=found)),
            "project": {**shown_hours(whole), "rate": whole.rate, "currency": whole.currency, "pay": whole.pay},
            "agreement": agreement
            and {"compared": agreement.compared, "percent": None if agreement.too_few else agreement.percent},
            "known_answers": known and {"judged": known.judged, "right": None if known.too_few else known.right},
        }
    )


# What the endpoints share


def own_or_404(request: Request, judgment: UUID) -> Judgment:
    whole = Judgment.objects.filter(erased_by__isnull=True).select_related(
        "queue__project", "schema__queue", "task__prompt"
    )
    found = get_object_or_404(whole.prefetch_related("task__links__response"), pk=judgment)
    check(request.user, "feedback.label", found.queue.project)
    if found.annotator_id != person_of(request).pk:
        raise Http404("no judgment of yours")
    return found


def shown_guideline(queue: Queue, person: User) -> dict[str, Any]:
    guideline = queue.guideline
    assert guideline is not None, "an open queue has its guidelines"
    news = news_of(guideline=guideline, person=person)
    return {"number": guideline.number, "text": guideline.text, **vars(news)}


def shown_hours(hours: Hours) -> dict[str, Any]:
    days = [{"day": day.day, "judgments": day.judgments, "seconds": day.seconds} for day in hours.days]
    return {"judgments": hours.judgments, "seconds": hours.seconds, "per_hour": hours.per_hour, "days": days}
