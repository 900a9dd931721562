"""Talks over HTTP: read the talk, say something, choose an answer, ask again. The same verbs as the pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse

from feedback.api.labeling import slot_of
from feedback.api.refusals import LEASE_LOST, REFUSED, Conflict, Refused, lease_lost
from feedback.api.requests import checked, person_of
from feedback.api.turn_serializers import (
    ChooseInputSerializer,
    RetryInputSerializer,
    SayInputSerializer,
    TalkSerializer,
    TurnSerializer,
)
from feedback.claims import LeaseLost
from feedback.conversations import TurnConflict, choose, retry, say
from feedback.judging import BadJudgment
from feedback.models import Turn
from feedback.own_work import credible_seconds
from feedback.policies import policies


@extend_schema(request=None, responses={200: TalkSerializer})
@api_view(["GET"])
def talk(request: Request, assignment: UUID) -> ApiResponse:
    """Read the talk that you hold, or held, over the task. Ask again while a turn waits for its answers."""
    person, slot = person_of(request), slot_of(request, assignment)
    turns = Turn.objects.of_talk(slot.task, person).select_related("prompt", "first", "second")
    schema = slot.schema if slot.schema is not None and slot.annotator_id == person.pk else slot.task.queue.schema
    assert schema is not None, "a queue has its label schema"
    return ApiResponse(
        {
            "turns": [shown_turn(turn) for turn in turns],
            "min_turns": schema.asks.min_turns,
            "max_turns": schema.asks.max_turns,
            "somebody_answers": policies().somebody_answers(timezone.now()),
        }
    )


@extend_schema(request=SayInputSerializer, responses={201: TurnSerializer, 409: LEASE_LOST, 422: REFUSED})
@api_view(["POST"])
def turn_say(request: Request, assignment: UUID) -> ApiResponse:
    """Say something: it becomes turn `number` and waits for two answers. For a lost lease it is kept as a draft."""
    return acted(request, assignment, SayInputSerializer, say, status=201)


@extend_schema(request=ChooseInputSerializer, responses={200: TurnSerializer, 409: LEASE_LOST, 422: REFUSED})
@api_view(["POST"])
def turn_choose(request: Request, assignment: UUID) -> ApiResponse:
    """Say which answer is better; the talk goes on from it. You may change it until the next turn begins."""
    return acted(request, assignment, ChooseInputSerializer, choose)


@extend_schema(request=RetryInputSerializer, responses={200: TurnSerializer, 409: LEASE_LOST, 422: REFUSED})
@api_view(["POST"])
def turn_retry(request: Request, assignment: UUID) -> ApiResponse:
    """Ask once more for the answers of a turn that failed."""
    return acted(request, assignment, RetryInputSerializer, retry)


def acted(
    request: Request, assignment: UUID, serializer: type, verb: Callable[..., Turn], *, status: int = 200
) -> ApiResponse:
    """Do what the verb does with what was sent, and return the turn; refusals become errors of the API."""
    person = person_of(request)
    slot, said = slot_of(request, assignment), checked(serializer, request)
    now = timezone.now()
    if said.get("active_seconds") is not None:
        said["active_seconds"] = credible_seconds(
            claimed=said["active_seconds"], task=slot.task, annotator=person, now=now
        )
    try:
        turn = verb(assignment_id=slot.pk, annotator=person, now=now, **said)
    except LeaseLost as refusal:
        return lease_lost("lease_lost", str(refusal), slot_free=refusal.slot_free)
    except TurnConflict as refusal:
        raise Conflict(refusal.code, str(refusal)) from refusal
    except BadJudgment as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(shown_turn(turn), status=status)


def shown_turn(turn: Turn) -> dict[str, Any]:
    """Return a turn as its annotator sees it (`TurnSerializer`)."""
    answers = [answer for answer in (turn.first, turn.second) if answer is not None]
    kept = turn.went_on_with_id
    return {
        "number": turn.number,
        "state": turn.state,
        "said": turn.said,
        "answers": [{"text": answer.text} for answer in answers],
        "preference": turn.preference,
        "rationale": turn.rationale,
        "flags": turn.flags,
        "went_on_with": None if kept is None else [answer.pk for answer in answers].index(kept),
    }
