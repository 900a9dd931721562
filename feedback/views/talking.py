"""Pages of a talk: say something, choose an answer, ask again, look whether answers have come."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from feedback.claims import LeaseLost, SlotGone, reclaim
from feedback.conversations import TurnConflict, choose, retry, say
from feedback.judging import BadJudgment
from feedback.label_forms import TurnForm, said_in
from feedback.lease_tokens import was_given_out
from feedback.models import Assignment, Queue, Task, Turn
from feedback.schemas import TaskKind
from feedback.views.annotator import lease_of, refused, seconds_of
from feedback.views.label_page import answer, in_queue, task_context
from feedback.views.label_parts import in_language
from feedback.views.losing import lost
from feedback.views.next_task import next_task
from feedback.views.requests import SignedInRequest
from feedback.views.talk_parts import mark_now

Act = Callable[..., Turn]


@require_POST
@in_queue
def turn_say(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Store what the person says and show the talk, which waits for answers."""

    def act(**lease: Any) -> Turn:
        return say(**lease, text=request.POST.get("message", ""))

    return acted(request, queue, act, announce=_("Sent. Two answers are on their way."))


@require_POST
@in_queue
def turn_choose(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Store which answer is better and let the talk go on from it."""
    said = said_in(request.POST, kind=TaskKind.CONVERSATION, responses=0)["answer"]
    choice = {"preference": said.get("preference"), "rationale": said.get("why", ""), "flags": said.get("flags", ())}

    def act(**lease: Any) -> Turn:
        return choose(**lease, **choice)

    return acted(request, queue, act, announce=_("Chosen. Go on talking, or submit."))


@require_POST
@in_queue
def turn_retry(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Ask once more for answers that could not be had."""

    def act(*, active_seconds: float, **lease: Any) -> Turn:
        return retry(**lease)

    return acted(request, queue, act, announce=_("Trying again."))


@require_GET
@in_queue
def turn_state(request: SignedInRequest, queue: Queue, task: uuid.UUID) -> HttpResponse:
    """Show the talk again once there is something new; 204 while what the page has `seen` still holds.

    Of a task that the person no longer holds, show what a claim gives: this GET may write then.
    """
    found = task_of(queue, task)
    now = timezone.now()
    held = Assignment.objects.held_by(request.user, now).filter(task=found)
    mark = mark_now(task=found, annotator=request.user, now=now)
    if mark == request.GET.get("seen") and held.exists():
        return HttpResponse(status=204)
    slot = held.with_task().first()
    if slot is None:
        return next_task(request, queue, announce=_("Your time for the talk had run out."))
    said = _("Two answers are there. Which one is better?") if "choosing" in mark else ""
    said = _("No answer could be had. Your words are kept.") if "failed" in mark else said
    context = task_context(queue=queue, slot=slot, annotator=request.user, now=now)
    return answer(request, queue, "_task.html", {**context, "announce": said})


@require_GET
@in_queue
def turn_again(request: SignedInRequest, queue: Queue, task: uuid.UUID) -> HttpResponse:
    """Show the last choice to be made anew, as long as the talk has not gone on from it."""
    found = task_of(queue, task)
    now = timezone.now()
    slot = Assignment.objects.held_by(request.user, now).filter(task=found).with_task().first()
    if slot is None:
        return next_task(request, queue)
    context = task_context(queue=queue, slot=slot, annotator=request.user, now=now, again=True)
    return answer(request, queue, "_task.html", {**context, "announce": _("Choose again.")})


# What the views share


def acted(request: SignedInRequest, queue: Queue, act: Act, *, announce: str) -> HttpResponse:
    """Do what the person asked under their lease and show the talk; a lease that ran out is taken again if it can be.

    What is refused comes back with all that was typed.
    """
    now = timezone.now()
    form = TurnForm(request.POST)
    if not form.is_valid():
        return refused(request, queue, form, now)
    sent = form.cleaned_data
    task = task_of(queue, sent["task"], assignments=sent["assignment"])
    about = {
        "annotator": request.user,
        "number": sent["turn"],
        "active_seconds": seconds_of(sent, task, request, now),
        "now": now,
    }
    try:
        try:
            act(**lease_of(form), **about)
        except LeaseLost as error:
            if not error.slot_free or not was_theirs(form, task, request):
                raise
            again = reclaim(task=task, annotator=request.user, now=now)
            act(assignment_id=again.pk, lease_token=again.lease_token, **about)
    except (LeaseLost, SlotGone):
        return lost(request, queue, task, now)
    except BadJudgment as error:
        form.add_error(None, in_language(error.message))
        return refused(request, queue, form, now)
    except TurnConflict as error:
        form.add_error(None, _("%(what)s.") % {"what": in_language(str(error)).capitalize()})
        return refused(request, queue, form, now, status=409)
    return talk_page(request, queue, task, now, announce=announce)


def talk_page(request: SignedInRequest, queue: Queue, task: Task, now: datetime, *, announce: str) -> HttpResponse:
    slot = Assignment.objects.held_by(request.user, now).filter(task=task).with_task().first()
    if not request.htmx or slot is None:
        return redirect("label", queue.pk)
    context = task_context(queue=queue, slot=slot, annotator=request.user, now=now)
    return answer(request, queue, "_task.html", {**context, "announce": announce})


def was_theirs(form: TurnForm, task: Task, request: SignedInRequest) -> bool:
    """Tell whether the person had the lease: who never had it cannot take a task by saying something into it."""
    lease = lease_of(form)
    return was_given_out(
        lease["lease_token"],
        salt=task.queue.project.salt,
        assignment_id=lease["assignment_id"],
        person=request.user.pk,
    )


def task_of(queue: Queue, task: uuid.UUID, **where: object) -> Task:
    found: Task = get_object_or_404(queue.tasks, pk=task, **where)
    found.queue = queue
    return found


urlpatterns = [
    path("q/<uuid:queue>/talk/say/", turn_say, name="turn-say"),
    path("q/<uuid:queue>/talk/choose/", turn_choose, name="turn-choose"),
    path("q/<uuid:queue>/talk/retry/", turn_retry, name="turn-retry"),
    path("q/<uuid:queue>/talk/<uuid:task>/", turn_state, name="turn-state"),
    path("q/<uuid:queue>/talk/<uuid:task>/again/", turn_again, name="turn-again"),
]
