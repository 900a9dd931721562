"""Votes of several people on the same tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feedback.models import Queue, Task, User
from tests.factories import make_judgment, make_member, make_prompt, make_response, make_task


def make_people(queue: Queue, count: int) -> list[User]:
    return [make_member(queue.project) for _ in range(count)]


def vote(
    queue: Queue, people: Sequence[User], preferences: Sequence[int | None], models: Sequence[str] = (), **prompt: Any
) -> Task:
    """Let everybody of `people` judge one new task as `preferences` says, in response order; None judges not.

    `models` wrote the two responses, in response order.
    """
    asked = make_prompt(queue.project, **prompt)
    responses = [make_response(asked, model_name=name) for name in models] or None
    task = make_task(queue, slots=len(people), prompt=asked, responses=responses)
    for person, preference in zip(people, preferences, strict=True):
        if preference is not None:
            make_judgment(task=task, annotator=person, preference=preference)
    return task
