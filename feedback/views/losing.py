"""What a person sees when a task is no longer theirs: all that they typed, and what they can do."""

from __future__ import annotations

from datetime import datetime

from django import forms
from django.http import HttpResponse

from feedback.answers import Answer, BadJudgment, check_answer
from feedback.claims import free_slot
from feedback.label_forms import kept_fields, said_in
from feedback.models import Assignment, Judgment, Queue, Task, User
from feedback.schemas import Schema
from feedback.views.label_page import answer
from feedback.views.label_parts import flags_in_words, in_words
from feedback.views.requests import SignedInRequest


def first_problem(form: forms.Form) -> str:
    """Return the first message of the form in words for a person."""
    for messages in form.errors.values():
        return str(messages[0])
    return ""


def lost(request: SignedInRequest, queue: Queue, task: Task, now: datetime, *, problem: str = "") -> HttpResponse:
    """Tell that the task is no longer the person's, with all they typed and what they can do."""
    assert queue.schema is not None, "a queue has its label schema"
    schema = queue.schema.asks
    said = said_in(request.POST, kind=queue.kind, responses=len(task.texts))
    whole = as_checked(schema, len(task.texts), said, whole=True)
    partly = whole or as_checked(schema, len(task.texts), said, whole=False)
    judged = Judgment.objects.current().filter(task=task, annotator=request.user).first()
    is_open = queue.state == Queue.State.OPEN
    may_go_on = judged is None and is_open and whole is not None
    context = {
        "task_id": task.pk,
        "choice": in_words(schema, partly or Answer()),
        "texts": [text for name in ("text", "edited", "message") if (text := str(said["answer"].get(name) or ""))],
        "rationale": said["rationale"],
        "flag_words": flags_in_words(schema, said["flags"]),
        "kept": kept_fields(request.POST),
        "slot_free": may_go_on and could_take(task, request.user, now),
        "judged_id": judged.pk if judged else None,
        "not_open": not is_open,
        "problem": problem,
        "person": request.user.pk,
    }
    return answer(request, queue, "_lost.html", context, status=409)


def could_take(task: Task, person: User, now: datetime) -> bool:
    """Tell whether the person holds the task under another lease by now, or could have one."""
    if Assignment.objects.held_by(person, now).filter(task=task).exists():
        return True
    return free_slot(task=task, annotator=person, now=now) is not None


def as_checked(schema: Schema, responses: int, said: dict[str, object], *, whole: bool) -> Answer | None:
    try:
        return check_answer(
            schema,
            responses,
            said["answer"],  # type: ignore[arg-type]
            rationale=said["rationale"],
            flags=said["flags"],
            whole=whole,
        )
    except BadJudgment:
        return None
