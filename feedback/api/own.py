"""A person's own judgments over HTTP: list, look at, revise. The same verbs as the pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse

from feedback.access import check
from feedback.api.labeling import code_of, own_judgment
from feedback.api.queues import queue_or_404
from feedback.api.refusals import CONFLICT, REFUSED, Conflict, Refused
from feedback.api.requests import checked, person_of
from feedback.api.task_serializers import JudgmentInputSerializer, OwnJudgmentSerializer
from feedback.judging import BadJudgment, NotCurrent, RevisionClosed, SubmissionIdTaken, revise_judgment
from feedback.models import Judgment
from feedback.own_work import credible_revision_seconds


class OwnJudgments(generics.ListAPIView):
    serializer_class = OwnJudgmentSerializer
    queryset = Judgment.objects.none()

    def get_queryset(self) -> QuerySet[Judgment]:
        queue = queue_or_404(self.request, self.kwargs["queue"], "feedback.label")
        return Judgment.objects.current().filter(queue=queue, annotator=person_of(self.request)).select_related("queue")

    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List what you have judged in the queue, the revisions that count, the latest first."""
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response([own_judgment(judgment, judgment.queue.kind) for judgment in page])


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


# What the endpoints share


def own_or_404(request: Request, judgment: UUID) -> Judgment:
    found = get_object_or_404(Judgment.objects.select_related("queue__project", "schema__queue"), pk=judgment)
    check(request.user, "feedback.label", found.queue.project)
    if found.annotator_id != person_of(request).pk:
        raise Http404("no judgment of yours")
    return found
