"""Gold over HTTP: how worn each is, making it of settled tasks, taking it out of use and back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check
from feedback.api.people_serializers import (
    CandidateSerializer,
    GoldUseSerializer,
    MadeGoldSerializer,
    MakeGoldInputSerializer,
    NoteInputSerializer,
    RetireInputSerializer,
    RetirementSerializer,
    SourceSerializer,
    shown_gold_retirement,
)
from feedback.api.queues import queue_or_404
from feedback.api.refusals import REFUSED, Refused
from feedback.api.requests import checked, person_of
from feedback.gold_rotation import RetirementRefused, retire_gold, return_gold, rotate_gold, suggestions
from feedback.gold_sources import SourceRefused, candidates, make_gold_from
from feedback.models import Gold, GoldRetirement
from feedback.quality.gold_reports import uses_shown


@extend_schema(responses=GoldUseSerializer(many=True))
@api_view(["GET"])
def gold_list(request: Request, queue: UUID) -> ApiResponse:
    """List the queue's gold with how often it was answered right, how exposed and how disputed it is."""
    found = queue_or_404(request, queue, "feedback.read_queues")
    uses, _ = uses_shown(found)
    worn = {use.gold.pk: reason for use, reason in suggestions(uses, found)}
    standing = GoldRetirement.objects.filter(gold__queue=found, returned_at__isnull=True).select_related("retired_by")
    retired = {retirement.gold_id: retirement for retirement in standing}
    shown: list[dict[str, Any]] = [
        {
            "id": use.gold.pk,
            "task": use.gold.task_id,
            "answer": use.gold.answer,
            "made_from": use.gold.made_from,
            "created_by": use.gold.created_by.username,
            "created_at": use.gold.created_at,
            "judged": use.judged,
            "right": use.right,
            "seen_by": use.seen,
            "people": use.people,
            "good": use.good,
            "good_wrong": use.good_wrong,
            "worn": worn.get(use.gold.pk, ""),
            "retired": shown_gold_retirement(retired.get(use.gold.pk)),
        }
        for use in uses
    ]
    return ApiResponse(GoldUseSerializer(shown, many=True).data)


class GoldCandidates(APIView):
    @extend_schema(parameters=[SourceSerializer], responses={200: CandidateSerializer(many=True), 422: REFUSED})
    def get(self, request: Request, queue: UUID) -> ApiResponse:
        """List tasks that are settled beyond doubt, by an adjudication or by everybody who judged them."""
        found = queue_or_404(request, queue, "feedback.review")
        asked = SourceSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        try:
            proposed = candidates(queue=found, **asked.validated_data)
        except SourceRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(CandidateSerializer(proposed, many=True).data)

    @extend_schema(request=MakeGoldInputSerializer, responses={200: MadeGoldSerializer, 422: REFUSED})
    def post(self, request: Request, queue: UUID) -> ApiResponse:
        """Make gold of those of the tasks that are still candidates; says which were left, and why."""
        found = queue_or_404(request, queue, "feedback.review")
        asked = checked(MakeGoldInputSerializer, request)
        try:
            done = make_gold_from(queue=found, **asked, created_by=person_of(request), now=timezone.now())
        except SourceRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        shown = {
            "made": [gold.task_id for gold in done.made],
            "refused": [{"task": task, "detail": why} for task, why in done.refused],
        }
        return ApiResponse(MadeGoldSerializer(shown).data)


@extend_schema(request=None, responses=RetirementSerializer(many=True))
@api_view(["POST"])
def rotate(request: Request, queue: UUID) -> ApiResponse:
    """Take all gold of the queue out of use that is beyond a limit of its rules."""
    found = queue_or_404(request, queue, "feedback.review")
    return ApiResponse(RetirementSerializer(rotate_gold(queue=found, now=timezone.now()), many=True).data)


@extend_schema(request=RetireInputSerializer, responses={200: RetirementSerializer, 422: REFUSED})
@api_view(["POST"])
def retire(request: Request, gold: int) -> ApiResponse:
    """Mix one gold in no more; who holds it may finish it."""
    known, asked = gold_or_404(request, gold), checked(RetireInputSerializer, request)
    try:
        retirement = retire_gold(gold=known, **asked, retired_by=person_of(request), now=timezone.now())
    except RetirementRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(RetirementSerializer(retirement).data)


@extend_schema(request=NoteInputSerializer, responses={200: RetirementSerializer, 422: REFUSED})
@api_view(["POST"])
def put_back(request: Request, gold: int) -> ApiResponse:
    """Mix retired gold in again."""
    known, asked = gold_or_404(request, gold), checked(NoteInputSerializer, request)
    try:
        retirement = return_gold(gold=known, **asked, returned_by=person_of(request), now=timezone.now())
    except RetirementRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(RetirementSerializer(retirement).data)


def gold_or_404(request: Request, gold: int) -> Gold:
    known = get_object_or_404(Gold.objects.select_related("queue__project", "task"), pk=gold)
    check(request.user, "feedback.review", known.queue.project)
    return known
