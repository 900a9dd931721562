"""Review over HTTP: decide, fix, undo, comment, adjudicate, decide many at once, and read who did what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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

from feedback.access import check, names_for, project_or_404
from feedback.adjudicating import AdjudicationMovedOn, adjudicate, take_back
from feedback.api.people import user_or_404
from feedback.api.refusals import CONFLICT, REFUSED, Conflict, Refused
from feedback.api.requests import checked, person_of
from feedback.api.review_serializers import (
    AdjudicationInputSerializer,
    AdjudicationSerializer,
    AuditEventSerializer,
    BulkInputSerializer,
    BulkSerializer,
    CommentInputSerializer,
    CommentSerializer,
    CountSerializer,
    FixInputSerializer,
    OwnCommentInputSerializer,
    OwnCommentSerializer,
    RateInputSerializer,
    RateSerializer,
    ReviewInputSerializer,
    ReviewSerializer,
    WhySerializer,
)
from feedback.bulk import start_bulk, undo_bulk
from feedback.commenting import answer_comment, comment_on, comments_for_annotator
from feedback.disputes import AlreadyDismissed, let_stand
from feedback.judgment_filter_forms import JudgmentFilter
from feedback.judgment_search import count_up_to
from feedback.models import AuditEvent, BulkAction, Comment, Judgment, Review, Task, User
from feedback.refusals import Refusal
from feedback.review_forms import AuditFilter
from feedback.review_rates import set_review_rate
from feedback.reviewing import ReviewMovedOn, fix_judgment, review_judgment, undo_review

COUNTED, COUNT_SECONDS = 100_000, 1.0


@contextmanager
def refusing() -> Iterator[None]:
    """Let what the verbs refuse be answered: 422 that names the field, 409 when it has moved on."""
    try:
        yield
    except (ReviewMovedOn, AdjudicationMovedOn, AlreadyDismissed) as moved:
        raise Conflict("moved_on", str(moved)) from moved
    except Refusal as refusal:
        if refusal.field in ("judgment", "review", "bulk"):
            raise Conflict("not_current", refusal.message) from refusal
        raise Refused(refusal.field, refusal.message) from refusal


# One judgment -----------------------------------------------------------------------------------------


class Reviews(APIView):
    @extend_schema(responses=ReviewSerializer(many=True), operation_id="judgments_reviews")
    def get(self, request: Request, judgment: UUID) -> ApiResponse:
        """List every review of a judgment, the one that counts first."""
        found = judgment_or_404(request, judgment, "feedback.read_judgments")
        return ApiResponse(ReviewSerializer(found.reviews.select_related("reviewer"), many=True).data)

    @extend_schema(request=ReviewInputSerializer, responses={201: ReviewSerializer, 409: CONFLICT, 422: REFUSED})
    def post(self, request: Request, judgment: UUID) -> ApiResponse:
        """Accept or reject a judgment, or reject it and ask somebody else; the latest review counts."""
        found = judgment_or_404(request, judgment, "feedback.review")
        asked = checked(ReviewInputSerializer, request)
        with refusing():
            review = review_judgment(judgment=found, reviewer=person_of(request), **asked)
        return ApiResponse(ReviewSerializer(review).data, status=201)


@extend_schema(request=FixInputSerializer, responses={201: ReviewSerializer, 409: CONFLICT, 422: REFUSED})
@api_view(["POST"])
def judgment_fix(request: Request, judgment: UUID) -> ApiResponse:
    """Accept a judgment with your answer in place of what was said."""
    found = judgment_or_404(request, judgment, "feedback.review")
    asked = checked(FixInputSerializer, request)
    with refusing():
        review = fix_judgment(judgment=found, reviewer=person_of(request), **asked)
    return ApiResponse(ReviewSerializer(review).data, status=201)


@extend_schema(request=WhySerializer, responses={201: ReviewSerializer, 409: CONFLICT, 422: REFUSED})
@api_view(["POST"])
def review_undo(request: Request, review: int) -> ApiResponse:
    """Take back a review while it is the one that counts: what counted before counts again."""
    found = get_object_or_404(Review.objects.select_related("judgment__queue__project"), pk=review)
    check(request.user, "feedback.review", found.judgment.queue.project)
    with refusing():
        restored = undo_review(review=found, undone_by=person_of(request), **checked(WhySerializer, request))
    return ApiResponse(ReviewSerializer(restored).data, status=201)


class Comments(APIView):
    @extend_schema(responses=CommentSerializer(many=True), operation_id="judgments_comments")
    def get(self, request: Request, judgment: UUID) -> ApiResponse:
        """List what was said of a judgment, the first first."""
        found = judgment_or_404(request, judgment, "feedback.review")
        said = Comment.objects.filter(judgment__assignment=found.assignment_id).select_related("author")
        return ApiResponse(CommentSerializer(said, many=True).data)

    @extend_schema(request=CommentInputSerializer, responses={201: CommentSerializer, 409: CONFLICT, 422: REFUSED})
    def post(self, request: Request, judgment: UUID) -> ApiResponse:
        """Say something of a judgment, among curators or to the annotator."""
        found = judgment_or_404(request, judgment, "feedback.review")
        asked = checked(CommentInputSerializer, request)
        with refusing():
            made = comment_on(judgment=found, author=person_of(request), now=timezone.now(), **asked)
        return ApiResponse(CommentSerializer(made).data, status=201)


class OwnComments(APIView):
    @extend_schema(responses=OwnCommentSerializer(many=True), operation_id="own_judgments_comments")
    def get(self, request: Request, judgment: UUID) -> ApiResponse:
        """List what curators wrote to you of your judgment, and what you answered."""
        found = own_or_404(request, judgment)
        return ApiResponse(OwnCommentSerializer(self.shown(found, person_of(request)), many=True).data)

    @extend_schema(
        request=OwnCommentInputSerializer,
        responses={201: OwnCommentSerializer(many=True), 409: CONFLICT, 422: REFUSED},
        operation_id="own_judgments_comments_create",
    )
    def post(self, request: Request, judgment: UUID) -> ApiResponse:
        """Answer what a curator wrote to you; returns the whole of it."""
        found, person = own_or_404(request, judgment), person_of(request)
        text = checked(OwnCommentInputSerializer, request)["text"]
        with refusing():
            answer_comment(judgment=found, annotator=person, text=text, now=timezone.now())
        return ApiResponse(OwnCommentSerializer(self.shown(found, person), many=True).data, status=201)

    def shown(self, judgment: Judgment, person: User) -> list[dict[str, Any]]:
        return [
            {"text": one.text, "mine": one.author_id == person.pk, "created_at": one.created_at}
            for one in comments_for_annotator(judgment)
        ]


def judgment_or_404(request: Request, judgment: UUID, permission: str) -> Judgment:
    related = ("queue__project", "task__prompt", "schema__queue", "annotator")
    found = get_object_or_404(Judgment.objects.select_related(*related), pk=judgment)
    check(request.user, permission, found.queue.project)
    return found


def own_or_404(request: Request, judgment: UUID) -> Judgment:
    found = get_object_or_404(Judgment.objects.select_related("queue__project", "task"), pk=judgment)
    check(request.user, "feedback.label", found.queue.project)
    if found.annotator_id != person_of(request).pk:
        raise Http404("no such judgment of yours")
    return found


# A task -----------------------------------------------------------------------------------------------


class Adjudications(APIView):
    @extend_schema(responses=AdjudicationSerializer(many=True), operation_id="tasks_adjudications")
    def get(self, request: Request, task: UUID) -> ApiResponse:
        """List what was settled on, the latest first; that one counts."""
        found = task_or_404(request, task, "feedback.read_judgments")
        return ApiResponse(AdjudicationSerializer(found.adjudications.select_related("adjudicator"), many=True).data)

    @extend_schema(
        request=AdjudicationInputSerializer, responses={201: AdjudicationSerializer, 409: CONFLICT, 422: REFUSED}
    )
    def post(self, request: Request, task: UUID) -> ApiResponse:
        """Settle what a good answer to the task is; nobody does who has judged it."""
        found = task_or_404(request, task, "feedback.review")
        asked = checked(AdjudicationInputSerializer, request)
        with refusing():
            made = adjudicate(task=found, adjudicator=person_of(request), now=timezone.now(), **asked)
        return ApiResponse(AdjudicationSerializer(made).data, status=201)


@extend_schema(request=WhySerializer, responses={200: AdjudicationSerializer, 204: None, 409: CONFLICT, 422: REFUSED})
@api_view(["POST"])
def adjudication_take_back(request: Request, task: UUID) -> ApiResponse:
    """Let the task be as if nobody had adjudicated it; 204 when nobody had."""
    found = task_or_404(request, task, "feedback.review")
    reason = checked(WhySerializer, request)["reason"]
    with refusing():
        made = take_back(task=found, adjudicator=person_of(request), reason=reason, now=timezone.now())
    return ApiResponse(status=204) if made is None else ApiResponse(AdjudicationSerializer(made).data)


@extend_schema(request=WhySerializer, responses={204: None, 409: CONFLICT})
@api_view(["POST"])
def dispute_let_stand(request: Request, task: UUID) -> ApiResponse:
    """Take a task off the list of disputes without an answer: good people can differ on it."""
    found = task_or_404(request, task, "feedback.review")
    reason = checked(WhySerializer, request)["reason"]
    with refusing():
        let_stand(task=found, dismissed_by=person_of(request), reason=reason, now=timezone.now())
    return ApiResponse(status=204)


def task_or_404(request: Request, task: UUID, permission: str) -> Task:
    found = get_object_or_404(Task.objects.select_related("queue__project", "prompt"), pk=task)
    check(request.user, permission, found.queue.project)
    return found


# Many at once -----------------------------------------------------------------------------------------


class BulkActions(generics.ListAPIView):
    serializer_class = BulkSerializer
    queryset = BulkAction.objects.none()

    def get_queryset(self) -> QuerySet[BulkAction]:
        project = project_or_404(self.request.user, self.kwargs["project"], "feedback.review")
        return BulkAction.objects.filter(project=project).select_related("created_by", "undone_by")

    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List the decisions over many judgments at once, the latest first."""
        return super().get(request, *args, **kwargs)

    @extend_schema(request=BulkInputSerializer, responses={200: CountSerializer, 201: BulkSerializer, 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Accept, reject, or reject and requeue all that the filters choose; with `dry_run` only count it."""
        within, person = project_or_404(request.user, project, "feedback.review"), person_of(request)
        asked = checked(BulkInputSerializer, request)
        filters = JudgmentFilter(asked["filters"], project=within, names=names_for(person, within))
        with refusing():
            known(filters, asked["filters"])
            if asked["dry_run"]:
                filters.check()
                count, is_all = count_up_to(filters.search(without=person), limit=COUNTED, seconds=COUNT_SECONDS)
                return ApiResponse({"count": count, "is_all": is_all})
            bulk = start_bulk(
                project=within, action=asked["action"], filters=filters, reason=asked["reason"], started_by=person,
                now=timezone.now(),
            )  # fmt: skip
        return ApiResponse(BulkSerializer(bulk).data, status=201)


def known(filters: JudgmentFilter, asked: dict[str, str]) -> None:
    """Raise Refused when a filter has a name that there is not: it would choose more than was meant."""
    if unknown := sorted(set(asked) - set(filters.fields)):
        raise Refused("filters", f"there is no filter {unknown[0]!r}; there is {', '.join(filters.fields)}")


@extend_schema(request=None, responses={200: BulkSerializer, 409: CONFLICT})
@api_view(["POST"])
def bulk_undo(request: Request, bulk: UUID) -> ApiResponse:
    """Take the whole of it back: what counted before each decision counts again."""
    found = get_object_or_404(BulkAction.objects.select_related("project", "job", "created_by"), pk=bulk)
    check(request.user, "feedback.review", found.project)
    with refusing():
        undone = undo_bulk(bulk=found, undone_by=person_of(request), now=timezone.now())
    return ApiResponse(BulkSerializer(undone).data)


@extend_schema(request=RateInputSerializer, responses={200: RateSerializer, 422: REFUSED})
@api_view(["PUT"])
def review_rate(request: Request, project: str, username: str) -> ApiResponse:
    """Say which share of one person's judgments is drawn for review."""
    within = project_or_404(request.user, project, "feedback.review")
    person = user_or_404(User.objects.filter(memberships__project=within).distinct(), username)
    percent = checked(RateInputSerializer, request)["percent"]
    with refusing():
        set_review_rate(project=within, person=person, percent=percent, set_by=person_of(request), now=timezone.now())
    return ApiResponse({"username": person.username, "percent": percent})


class AuditLog(generics.ListAPIView):
    serializer_class = AuditEventSerializer
    queryset = AuditEvent.objects.none()

    def get_queryset(self) -> QuerySet[AuditEvent]:
        project = project_or_404(self.request.user, self.kwargs["project"], "feedback.review")
        filters = AuditFilter(self.request.query_params, project=project)
        for name, errors in filters.errors.items():
            raise Refused(name, str(errors[0]))
        return filters.select().select_related("actor")

    @extend_schema(
        parameters=[
            OpenApiParameter("action", description="One act (judgment.reject) or all on a noun (judgment)."),
            OpenApiParameter("actor", int, description="Id of the person who acted."),
            OpenApiParameter("subject", description="Kind of thing: judgment, task, queue, person ..."),
            OpenApiParameter("subject_id"),
            OpenApiParameter("since", description="First day."),
            OpenApiParameter("until", description="Last day."),
        ]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List who did what, the latest first."""
        return super().get(request, *args, **kwargs)
