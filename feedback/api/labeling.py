"""Labeling over HTTP: claim, submit, skip, renew, draft, reclaim, one's own judgments. The same verbs as the pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse

from feedback.access import check
from feedback.api.refusals import CONFLICT, LEASE_LOST, REFUSED, Conflict, Refused, lease_lost
from feedback.api.requests import checked, person_of
from feedback.api.task_serializers import (
    DraftInputSerializer,
    JudgmentInputSerializer,
    LeaseInputSerializer,
    LeaseSerializer,
    OwnJudgmentSerializer,
    ShownDraftSerializer,
    SkipInputSerializer,
    SubmitInputSerializer,
    TaskSerializer,
)
from feedback.claims import BadSkip, LeaseLost, QueueNotOpen, SlotGone, claim_next, reclaim, renew_lease, skip
from feedback.judging import (
    AlreadyJudged,
    BadJudgment,
    NotCurrent,
    SubmissionIdTaken,
    revise_judgment,
    save_draft,
    submit_judgment,
)
from feedback.models import Assignment, Draft, Judgment, Queue, Task, User
from feedback.own_work import credible_revision_seconds, credible_seconds, entered


@extend_schema(request=None, responses={200: TaskSerializer, 204: None, 409: CONFLICT})
@api_view(["POST"])
def claim(request: Request, queue: UUID) -> ApiResponse:
    """Take the next comparison under a lease, or get the one you hold; 204 when there is none for you."""
    person = person_of(request)
    found = get_object_or_404(Queue.objects.select_related("project"), pk=queue)
    check(person, "feedback.label", found.project)
    try:
        slot = claim_next(queue=found, annotator=person, now=timezone.now())
    except QueueNotOpen as refusal:
        raise Conflict("queue_not_open", str(refusal)) from refusal
    return ApiResponse(status=204) if slot is None else ApiResponse(shown_task(slot, person))


@extend_schema(request=SubmitInputSerializer, responses={201: OwnJudgmentSerializer, 409: LEASE_LOST, 422: REFUSED})
@api_view(["POST"])
def submit(request: Request, assignment: UUID) -> ApiResponse:
    """Store your judgment of the comparison that you hold. What is refused for a lost lease is kept as a draft.

    Once somebody else has taken the slot, only `order` still tells in which order you saw the responses: without it no
    draft can be kept.
    """
    person = person_of(request)
    slot, said = slot_of(request, assignment), checked(SubmitInputSerializer, request)
    now = timezone.now()
    try:
        judgment = submit_judgment(
            assignment_id=slot.pk,
            annotator=person,
            lease_token=said["lease_token"],
            submission_id=said["submission_id"],
            answer=said["answer"],
            rationale=said["rationale"],
            flags=said["flags"],
            active_seconds=credible(said, slot.task, person, now),
            interface="api",
            now=now,
        )
    except LeaseLost as refusal:
        return lease_lost("lease_lost", str(refusal), slot_free=refusal.slot_free)
    except SubmissionIdTaken as refusal:
        return lease_lost("submission_id_taken", str(refusal), slot_free=False)
    except BadJudgment as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(own_judgment(judgment), status=201)


@extend_schema(request=SkipInputSerializer, responses={204: None, 409: LEASE_LOST, 422: REFUSED})
@api_view(["POST"])
def pass_over(request: Request, assignment: UUID) -> ApiResponse:
    """Give the slot back; the comparison is not offered to you again."""
    slot, said = slot_of(request, assignment), checked(SkipInputSerializer, request)
    try:
        skip(assignment_id=slot.pk, annotator=person_of(request), now=timezone.now(), **said)
    except LeaseLost as refusal:
        return lease_lost("lease_lost", str(refusal), slot_free=refusal.slot_free)
    except BadSkip as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(status=204)


@extend_schema(request=LeaseInputSerializer, responses={200: LeaseSerializer, 409: LEASE_LOST})
@api_view(["POST"])
def renew(request: Request, assignment: UUID) -> ApiResponse:
    """Let your lease run anew from now."""
    slot, said = slot_of(request, assignment), checked(LeaseInputSerializer, request)
    try:
        renewed = renew_lease(
            assignment_id=slot.pk, annotator=person_of(request), lease_token=said["lease_token"], now=timezone.now()
        )
    except LeaseLost as refusal:
        return lease_lost("lease_lost", str(refusal), slot_free=refusal.slot_free)
    return ApiResponse({"assignment": renewed.pk, "lease_expires_at": renewed.lease_expires_at})


@extend_schema(request=DraftInputSerializer, responses={200: ShownDraftSerializer, 409: CONFLICT, 422: REFUSED})
@api_view(["PUT"])
def draft(request: Request, task: UUID) -> ApiResponse:
    """Keep what you have so far; it outlives the lease."""
    person = person_of(request)
    found, said = task_of(request, task), checked(DraftInputSerializer, request)
    try:
        stored = save_draft(
            task=found,
            annotator=person,
            answer=said["answer"],
            rationale=said["rationale"],
            flags=said["flags"],
            active_seconds=credible(said, found, person, timezone.now()),
        )
    except AlreadyJudged as refusal:
        raise Conflict("already_judged", str(refusal)) from refusal
    except BadJudgment as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(entered(stored, order=found.order_for(person), kind=found.queue.kind))


@extend_schema(request=None, responses={200: TaskSerializer, 409: LEASE_LOST})
@api_view(["POST"])
def take_back(request: Request, task: UUID) -> ApiResponse:
    """Take a comparison back whose lease you lost, if a slot of it is free. Its display order may be another one."""
    person = person_of(request)
    found = task_of(request, task)
    try:
        slot = reclaim(task=found, annotator=person, now=timezone.now())
    except SlotGone as refusal:
        return lease_lost("slot_gone", str(refusal), slot_free=False)
    return ApiResponse(shown_task(Assignment.objects.with_task().get(pk=slot.pk), person))


class OwnJudgments(generics.ListAPIView):
    serializer_class = OwnJudgmentSerializer
    queryset = Judgment.objects.none()

    def get_queryset(self) -> QuerySet[Judgment]:
        queue = get_object_or_404(Queue.objects.select_related("project"), pk=self.kwargs["queue"])
        check(self.request.user, "feedback.label", queue.project)
        own = Judgment.objects.current().filter(queue=queue, annotator=person_of(self.request))
        return own.select_related("task__queue", "schema__queue")

    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List what you have judged in the queue, the revisions that count, the latest first."""
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response([own_judgment(judgment) for judgment in page])


@extend_schema(request=JudgmentInputSerializer, responses={201: OwnJudgmentSerializer, 409: CONFLICT, 422: REFUSED})
@api_view(["POST"])
def revise(request: Request, judgment: UUID) -> ApiResponse:
    """Store a new revision of your own judgment; `preference` counts in the order in which you saw the responses."""
    person = person_of(request)
    found = get_object_or_404(Judgment.objects.select_related("task__queue__project", "queue__project"), pk=judgment)
    check(person, "feedback.label", found.queue.project)
    get_object_or_404(Judgment, pk=judgment, annotator=person)
    said = checked(JudgmentInputSerializer, request)
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
    except SubmissionIdTaken as refusal:
        raise Conflict("submission_id_taken", str(refusal)) from refusal
    except BadJudgment as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(own_judgment(revision), status=201)


# What the endpoints share


def slot_of(request: Request, assignment: UUID) -> Assignment:
    slot = get_object_or_404(Assignment.objects.select_related("task__queue__project", "queue__project"), pk=assignment)
    check(request.user, "feedback.label", slot.queue.project)
    return slot


def task_of(request: Request, task: UUID) -> Task:
    found = get_object_or_404(Task.objects.select_related("queue__project"), pk=task)
    check(request.user, "feedback.label", found.queue.project)
    return found


def credible(said: dict[str, Any], found: Task, annotator: User, now: datetime) -> float:
    return credible_seconds(claimed=said["active_seconds"], task=found, annotator=annotator, now=now)


def shown_task(slot: Assignment, annotator: User) -> dict[str, Any]:
    assert slot.guideline is not None, "a held slot has its guideline"
    assert slot.schema is not None, "a held slot has its schema"
    stored = Draft.objects.filter(task=slot.task, annotator=annotator).first()
    kind = slot.schema.asks.kind
    return dict(
        TaskSerializer(
            {
                "assignment": slot.pk,
                "lease_token": slot.lease_token,
                "lease_expires_at": slot.lease_expires_at,
                "task": slot.task_id,
                "queue": slot.queue_id,
                "kind": kind,
                "prompt": {"messages": slot.task.prompt.messages},
                "responses": [{"text": response.text} for response in slot.shown_responses],
                "guideline": slot.guideline,
                "schema": slot.schema.asks.to_json(),
                "draft": entered(stored, order=slot.display_order or [], kind=kind),
            }
        ).data
    )


def own_judgment(judgment: Judgment) -> dict[str, Any]:
    shown = judgment.shown_answer
    return dict(
        OwnJudgmentSerializer(
            {
                "id": judgment.pk,
                "queue": judgment.queue_id,
                "task": judgment.task_id,
                "revision": judgment.revision,
                "answer": shown.as_sent(judgment.task.queue.kind),
                "rationale": shown.rationale,
                "flags": shown.flags,
                "active_seconds": judgment.active_seconds,
                "created_at": judgment.created_at,
            }
        ).data
    )
