"""A talk for tests: a conversation queue, a person who holds a task of it, and answers without any model."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils import timezone

from feedback.answering import WrittenAnswer, answer_turn, claim_turn, turn_lease
from feedback.claims import claim_next
from feedback.conversations import choose, open_talk, say
from feedback.models import Assignment, Project, Queue, Turn, User
from tests.factories import make_base_checkpoint, make_member, make_project, make_queue, make_task


def make_talk_queue(project: Project | None = None, tasks: int = 1, **schema: Any) -> Queue:
    """A conversation queue on one base model, with tasks; its talks are opened by the person unless told."""
    project = project or make_project()
    if "policies" not in schema:
        schema["policies"] = [str(make_base_checkpoint(project).pk)]
    queue = make_queue(project, kind="conversation", schema={"opening": "written", **schema})
    for _ in range(tasks):
        make_task(queue)
    return queue


def hold(queue: Queue, annotator: User | None = None) -> Assignment:
    annotator = annotator or make_member(queue.project)
    slot = claim_next(queue=queue, annotator=annotator, now=timezone.now())
    assert slot is not None
    open_talk(slot=slot, now=timezone.now())
    return slot


def lease_of(slot: Assignment) -> dict[str, Any]:
    return {"assignment_id": slot.pk, "annotator": slot.annotator, "lease_token": slot.lease_token}


def say_it(slot: Assignment, text: str = "Hello there.", number: int = 1, **overrides: Any) -> Turn:
    return say(**{**lease_of(slot), "number": number, "text": text, "now": timezone.now(), **overrides})


def answer_next(first: str = "The first answer.", second: str = "The second answer.") -> Turn:
    """Answer the turn that waits longest, as a worker would."""
    turn = claim_turn(worker=f"worker-{uuid.uuid4()}")
    assert turn is not None
    return answer_turn(turn_lease(turn), answers=[WrittenAnswer(first, True), WrittenAnswer(second, True)])


def choose_it(slot: Assignment, preference: int = -2, number: int = 1, **overrides: Any) -> Turn:
    return choose(**{**lease_of(slot), "number": number, "preference": preference, "now": timezone.now(), **overrides})


def talk(slot: Assignment, turns: int = 1, first: int = 1) -> list[Turn]:
    """Hold so many whole turns."""
    held = []
    for number in range(first, first + turns):
        say_it(slot, f"Words of turn {number}.", number)
        answer_next(f"A{number}", f"B{number}")
        held.append(choose_it(slot, -1, number))
    return held
