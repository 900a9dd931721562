"""Judgments of every kind of task, made whole, for tests of what comes of them."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils import timezone

from feedback.answers import Answer, to_shown
from feedback.judging import submit_judgment
from feedback.models import Judgment, Project, Task, Turn, User
from tests.factories import make_assignment, make_judgment, make_prompt, make_queue, make_response, make_task


def judge(
    project: Project, annotator: User, kind: str, texts: tuple[str, ...] = (), *, split: str = "train", **overrides: Any
) -> Judgment:
    """A judgment whose `answer` and `flags` are given in response order, whatever order the person saw."""
    schema = overrides.pop("schema", None)
    queue = overrides.pop("queue", None) or make_queue(project, kind=kind, **({"schema": schema} if schema else {}))
    prompt = make_prompt(project, split=split)
    task = make_task(queue, prompt=prompt, responses=[make_response(prompt, text) for text in texts])
    slot = make_assignment(task, annotator)
    answer = overrides.pop("answer")
    content = {name: value for name, value in answer.items() if name != "preference"}
    flags = [{"kind": "", "response": None, **flag} for flag in overrides.pop("flags", ())]
    shown = to_shown(Answer(answer.get("preference"), content, flags=flags), slot.display_order)
    return submit_judgment(
        assignment_id=slot.pk,
        annotator=annotator,
        lease_token=slot.lease_token,
        submission_id=uuid.uuid4(),
        answer=shown.as_sent(kind),
        flags=shown.flags,
        active_seconds=1.0,
        interface="page",
        now=timezone.now(),
    )


def make_turn(task: Task, annotator: User, number: int, messages: list[dict], preference: int) -> Turn:
    prompt = task.prompt if number == 1 else make_prompt(task.queue.project, messages=messages)
    first, second = make_response(prompt, f"first {number}"), make_response(prompt, f"second {number}")
    return Turn.objects.create(
        task=task,
        annotator=annotator,
        number=number,
        prompt=prompt,
        state=Turn.State.CHOSEN,
        policies=[],
        first=first,
        second=second,
        preference=preference,
        went_on_with=second if preference > 0 else first,
    )


def talk_over(project: Project, annotator: User, *, preferences: tuple[int, ...], split: str = "train") -> Judgment:
    """A judgment of a talk with so many turns."""
    opening = make_prompt(project, split=split)
    task = make_task(make_queue(project, kind="conversation"), prompt=opening)
    messages = list(opening.messages)
    for number, preference in enumerate(preferences, start=1):
        turn = make_turn(task, annotator, number, list(messages), preference)
        messages += [
            {"role": "assistant", "content": turn.went_on_with.text},
            {"role": "user", "content": f"And {number} of {opening.pk}?"},
        ]
    return make_judgment(task=task, annotator=annotator, answer={})


def judge_everything(project: Project, annotator: User, split: str = "train") -> None:
    """One judgment of every kind, on a prompt of `split`."""
    judge(project, annotator, "comparison", ("one", "two"), split=split, answer={"preference": 2})
    judge(
        project, annotator, "ranking", ("a", "b", "c"), split=split,
        answer={"ranks": [1, 2, 3], "not_rankable": [False] * 3},
    )  # fmt: skip
    rated = {"helpfulness": 4, "correctness": 4}
    judge(
        project, annotator, "rating", ("up", "down"), split=split,
        answer={"ratings": [{**rated, "thumbs": 1}, {**rated, "thumbs": -1}]},
    )  # fmt: skip
    judge(project, annotator, "demonstration", split=split, answer={"text": "Written."})
    judge(project, annotator, "correction", ("before",), split=split, answer={"text": "after"})
    talk_over(project, annotator, preferences=(1,), split=split)
