"""Labeling over HTTP: claim, submit, skip, renew, draft, reclaim. The same verbs as the pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check
from feedback.answers import KEYS
from feedback.api.queues import asked_of
from feedback.api.refusals import CONFLICT, LEASE_LOST, REFUSED, Conflict, Refused, lease_lost
from feedback.api.requests import checked, person_of
from feedback.api.task_serializers import (
    DraftInputSerializer,
    LeaseInputSerializer,
    LeaseSerializer,
    ShownDraftSerializer,
    SkipInputSerializer,
    SubmitInputSerializer,
    SubmittedSerializer,
    TaskSerializer,
)
from feedback.claims import BadSkip, LeaseLost, QueueNotOpen, SlotGone, claim_next, reclaim, renew_lease, skip
from feedback.conversations import open_talk
from feedback.eligibility import NotEligible
from feedback.judging import (
    AlreadyJudged,
    BadJudgment,
    SubmissionDiffers,
    SubmissionIdTaken,
    save_draft,
    submit_judgment,
)
from feedback.models import Assignment, Draft, Judgment, Queue, Task, User
from feedback.own_work import credible_seconds, drafts_of, entered
from feedback.prepared import prepared


@extend_schema(request=None, responses={200: TaskSerializer, 204: None, 409: CONFLICT})
@api_view(["POST"])
def claim(request: Request, queue: UUID) -> ApiResponse:
    """Take the next task under a lease, or get the one you hold; 204 when there is none for you.

    409 with `queue_not_open`, or with the rule that is in the way: `not_named`, `language`, `expertise`,
    `qualification`, `qualification_failed`, `annotator_cap`, `daily_quota`.
    """
    person = person_of(request)
    found = queue_to_label(request, queue)
    try:
        slot = claim_next(queue=found, annotator=person, now=timezone.now())
    except QueueNotOpen as refusal:
        raise Conflict("queue_not_open", str(refusal)) from refusal
    except NotEligible as refusal:
        raise Conflict(refusal.code, str(refusal)) from refusal
    return ApiResponse(status=204) if slot is None else ApiResponse(shown_task(slot, person))


@extend_schema(request=SubmitInputSerializer, responses={201: SubmittedSerializer, 409: LEASE_LOST, 422: REFUSED})
@api_view(["POST"])
def submit(request: Request, assignment: UUID) -> ApiResponse:
    """Store your judgment of the task that you hold. What is refused for a lost lease is kept as a draft."""
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
        return lease_lost(code_of(refusal), str(refusal), slot_free=False)
    except BadJudgment as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    following = next_task(slot.queue, person) if said["then_claim"] else NOTHING_NEXT
    return ApiResponse({**own_judgment(judgment, slot.queue.kind), **following}, status=201)


NOTHING_NEXT: Mapping[str, Any] = {"next": None, "next_refused": None}


def next_task(queue: Queue, person: User) -> Mapping[str, Any]:
    """Return the person's next task, or why the queue gives none: what was submitted stands either way."""
    try:
        slot = claim_next(queue=queue, annotator=person, now=timezone.now())
    except QueueNotOpen as refusal:
        return {"next": None, "next_refused": {"code": "queue_not_open", "detail": str(refusal)}}
    except NotEligible as refusal:
        return {"next": None, "next_refused": {"code": refusal.code, "detail": str(refusal)}}
    return NOTHING_NEXT if slot is None else {"next": shown_task(slot, person), "next_refused": None}


@extend_schema(request=SkipInputSerializer, responses={204: None, 409: LEASE_LOST, 422: REFUSED})
@api_view(["POST"])
def pass_over(request: Request, assignment: UUID) -> ApiResponse:
    """Give the slot back: for yourself later, for others, or for a curator to look at. `reclaim` undoes it."""
    person = person_of(request)
    slot, said = slot_of(request, assignment), checked(SkipInputSerializer, request)
    now = timezone.now()
    said["active_seconds"] = credible(said, slot.task, person, now)
    try:
        skip(assignment_id=slot.pk, annotator=person, now=now, **said)
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


class DraftOfTask(APIView):
    @extend_schema(responses=ShownDraftSerializer)
    def get(self, request: Request, task: UUID) -> ApiResponse:
        """Show what you have sent so far and not submitted; empty when there is nothing."""
        person, found = person_of(request), task_of(request, task)
        stored = Draft.objects.filter(task=found, annotator=person).first()
        return ApiResponse(entered(stored, order=found.order_for(person), kind=found.queue.kind))

    @extend_schema(request=DraftInputSerializer, responses={200: ShownDraftSerializer, 409: CONFLICT, 422: REFUSED})
    def put(self, request: Request, task: UUID) -> ApiResponse:
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
    """Take a task back whose lease you lost or that you skipped, if a slot of it is free."""
    person = person_of(request)
    found = task_of(request, task)
    try:
        slot = reclaim(task=found, annotator=person, now=timezone.now())
    except SlotGone as refusal:
        return lease_lost("slot_gone", str(refusal), slot_free=False)
    return ApiResponse(shown_task(Assignment.objects.with_task().get(pk=slot.pk), person))


# What the endpoints share


def queue_to_label(request: Request, queue: UUID) -> Queue:
    """Return the queue with its project alone: what is in force there, the claim itself reads."""
    found = queue_with_project.first(queue=queue)
    if found is None:
        raise Http404("no such queue")
    check(request.user, "feedback.label", found.project)
    return found


@prepared
def queue_with_project(*, queue: Any) -> QuerySet[Queue]:
    return Queue.objects.filter(pk=queue).select_related("project")


def slot_of(request: Request, assignment: UUID) -> Assignment:
    slot = slot_with_queue.first(slot=assignment)
    if slot is None:
        raise Http404("no such assignment")
    slot.queue = slot.task.queue
    check(request.user, "feedback.label", slot.queue.project)
    return slot


@prepared
def slot_with_queue(*, slot: Any) -> QuerySet[Assignment]:
    return Assignment.objects.filter(pk=slot).select_related("task__queue__project")


def task_of(request: Request, task: UUID) -> Task:
    found = get_object_or_404(Task.objects.select_related("queue__project").prefetch_related("links"), pk=task)
    check(request.user, "feedback.label", found.queue.project)
    return found


def credible(said: dict[str, Any], found: Task, annotator: User, now: datetime) -> float:
    return credible_seconds(claimed=said["active_seconds"], task=found, annotator=annotator, now=now)


def code_of(refusal: SubmissionIdTaken) -> str:
    return "submission_differs" if isinstance(refusal, SubmissionDiffers) else "submission_id_taken"


def shown_task(slot: Assignment, annotator: User) -> dict[str, Any]:
    """Return all that a person gets of a task, in the order in which they see it (`TaskSerializer`)."""
    assert slot.guideline is not None, "a held slot has its guideline"
    assert slot.schema is not None, "a held slot has its schema"
    open_talk(slot=slot, now=timezone.now())  # a talk whose opening is given begins with the first look at it
    stored = drafts_of.first(task=slot.task_id, annotator=annotator)
    kind = slot.schema.asks.kind
    return {
        "assignment": slot.pk,
        "lease_token": slot.lease_token,
        "lease_expires_at": slot.lease_expires_at,
        "task": slot.task_id,
        "queue": slot.queue_id,
        "kind": kind,
        "prompt": {"messages": slot.task.prompt.messages},
        "responses": [{"text": response.text} for response in slot.shown_responses],
        "guideline": {"number": slot.guideline.number, "text": slot.guideline.text},
        "schema": asked_of(slot.schema),
        "draft": entered(stored, order=slot.display_order or [], kind=kind),
    }


def own_judgment(judgment: Judgment, kind: str) -> dict[str, Any]:
    """Return a judgment as its annotator saw it (`OwnJudgmentSerializer`)."""
    shown = judgment.shown_answer
    return {
        "id": judgment.pk,
        "queue": judgment.queue_id,
        "task": judgment.task_id,
        "kind": kind,
        "revision": judgment.revision,
        # As it can be sent again; the turns of a talk are kept anyway.
        "answer": {name: value for name, value in shown.as_sent(kind).items() if name in KEYS[kind]},
        "rationale": shown.rationale,
        "flags": shown.flags,
        "active_seconds": judgment.active_seconds,
        "created_at": judgment.created_at,
    }
