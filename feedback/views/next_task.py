"""What comes next: the task that the person holds or takes now, or the page that says why there is none."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from feedback.claims import QueueNotOpen, claim_next, held_slot
from feedback.eligibility import NotEligible
from feedback.models import Queue
from feedback.own_queues import own_queues
from feedback.own_work import own_progress
from feedback.qualifying import standing
from feedback.standings import suspension_of
from feedback.views.label_page import answer, last_judgment_id, task_context
from feedback.views.own_tests import answers_of_test
from feedback.views.requests import SignedInRequest


def next_task(
    request: SignedInRequest,
    queue: Queue,
    *,
    announce: str = "",
    problem: str = "",
    status: int = 200,
    skipped: uuid.UUID | None = None,
) -> HttpResponse:
    """Show the next task, or that there is none; without htmx, a post is answered by a redirect.

    With the status of a refusal, show the task that the person holds: what is refused takes nothing.
    """
    if request.method == "POST" and not request.htmx and status == 200:
        return redirect("label", queue.pk)
    now = timezone.now()
    shared: dict[str, Any] = {"announce": announce, "problem": problem, "skipped": skipped or named_skip(request)}
    if status != 200:
        return held_task(request, queue, shared, now, status=status)
    test = standing(queue=queue, person=request.user) if queue.is_qualification else None
    if test is not None and test.decision is not None:
        over = {**shared, **rest(request, queue, now), "test": test, "opens": opened_by(queue)}
        if queue.policy and queue.policy.show_gold:
            over["answers"] = answers_of_test(queue=queue, person=request.user)
        return answer(request, queue, "_test_over.html", over)
    try:
        slot = claim_next(queue=queue, annotator=request.user, now=now)
    except QueueNotOpen:
        return answer(request, queue, "_no_task.html", {**shared, **rest(request, queue, now), "not_open": True})
    except NotEligible as error:
        context = {**shared, **rest(request, queue, now), "code": error.code, "policy": queue.policy}
        context["suspension"] = suspension_of(project=queue.project, person=request.user)
        return answer(request, queue, "_not_eligible.html", context)
    if slot is None:
        return answer(request, queue, "_no_task.html", {**shared, **rest(request, queue, now), "test": test})
    context = task_context(queue=queue, slot=slot, annotator=request.user, now=now)
    seen = request.POST.get("guideline", "")
    context["guideline_swap"] = bool(request.htmx) and seen != str(context["guideline_number"])
    return answer(request, queue, "_task.html", {**context, **shared, "test": test})


def held_task(
    request: SignedInRequest, queue: Queue, shared: dict[str, Any], now: datetime, *, status: int
) -> HttpResponse:
    """Show the task that the person holds, or the page without one, and what was refused."""
    slot = held_slot(queue=queue, annotator=request.user, now=now)
    if slot is None:
        alone = {**shared, **rest(request, queue, now), "not_open": queue.state != Queue.State.OPEN}
        return answer(request, queue, "_no_task.html", alone, status=status)
    context = task_context(queue=queue, slot=slot, annotator=request.user, now=now)
    seen = request.POST.get("guideline", "")
    context["guideline_swap"] = bool(request.htmx) and seen != str(context["guideline_number"])
    return answer(request, queue, "_task.html", {**context, **shared}, status=status)


def named_skip(request: SignedInRequest) -> uuid.UUID | None:
    """Return the task that the address says was skipped a moment ago."""
    try:
        return uuid.UUID(request.GET["skipped"]) if "skipped" in request.GET else None
    except ValueError:
        return None


def rest(request: SignedInRequest, queue: Queue, now: datetime) -> dict[str, Any]:
    """Return what a page without a task says: how far the person is, and where work waits for them."""
    others = Queue.objects.for_annotator(request.user).open().exclude(pk=queue.pk).in_force()
    elsewhere = own_queues(queues=others, annotator=request.user, now=now)
    return {
        "progress": own_progress(queue=queue, annotator=request.user, now=now),
        "elsewhere": [own for own in elsewhere if own.has_work][:10],
        "last_judgment_id": last_judgment_id(queue=queue, annotator=request.user),
    }


def opened_by(test: Queue) -> list[Queue]:
    """Return the open queues of the project that ask for this test."""
    return list(Queue.objects.filter(project=test.project, policy__qualification=test).open().order_by("name"))
