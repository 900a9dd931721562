"""What comes next: the task that the person holds or takes now, or the page that says why there is none."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from feedback.claims import QueueNotOpen, claim_next
from feedback.models import Queue
from feedback.own_work import own_progress
from feedback.views.label_page import answer, task_context
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
    """Show the next task, or that there is none; without htmx, a post is answered by a redirect."""
    if request.method == "POST" and not request.htmx and status == 200:
        return redirect("label", queue.pk)
    now = timezone.now()
    shared: dict[str, Any] = {"announce": announce, "problem": problem, "skipped": skipped or named_skip(request)}
    try:
        slot = claim_next(queue=queue, annotator=request.user, now=now)
    except QueueNotOpen:
        return answer(request, queue, "_no_task.html", {**shared, **rest(request, queue, now), "not_open": True})
    if slot is None:
        return answer(request, queue, "_no_task.html", {**shared, **rest(request, queue, now)})
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
    """Return what the page without a task says."""
    others = Queue.objects.for_annotator(request.user).open().exclude(pk=queue.pk).in_force()
    return {
        "progress": own_progress(queue=queue, annotator=request.user, now=now),
        "elsewhere": [
            (other, progress)
            for other in others[:10]
            if (progress := own_progress(queue=other, annotator=request.user, now=now)).left
        ],
    }
