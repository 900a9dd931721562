"""A person's own page in a queue: pace, hours for pay, and what the queue lets them see of their evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from feedback.models import Queue
from feedback.own_hours import Day, own_agreement, own_gold, own_hours
from feedback.own_work import own_progress
from feedback.views.label_page import in_queue
from feedback.views.requests import SignedInRequest

WIDTH, HEIGHT, GAP = 40, 96, 8


@dataclass(frozen=True)
class Bar:
    """One day in the picture, in plain numbers for SVG attributes."""

    day: Day
    x: int
    y: int
    height: int


@require_safe
@in_queue
def me(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Show the person what they did, and what it adds up to."""
    now = timezone.now()
    policy = queue.policy
    assert policy is not None, "a queue has its policy"
    here = own_hours(project=queue.project, annotator=request.user, now=now, queue=queue)
    context: dict[str, Any] = {
        "project": queue.project,
        "queue": queue,
        "progress": own_progress(queue=queue, annotator=request.user, now=now),
        "here": here,
        "whole": own_hours(project=queue.project, annotator=request.user, now=now),
        "bars": bars(here.days),
        "width": len(here.days) * (WIDTH + GAP),
        "height": HEIGHT,
        "gold": own_gold(queue=queue, annotator=request.user) if policy.show_gold else None,
        "agreement": own_agreement(queue=queue, annotator=request.user) if policy.show_agreement else None,
    }
    return render(request, "feedback/annotator/me.html", context)


def bars(days: list[Day]) -> list[Bar]:
    most = max((day.judgments for day in days), default=0) or 1
    drawn = []
    for place, day in enumerate(days):
        height = round((HEIGHT - 20) * day.judgments / most)
        drawn.append(Bar(day, place * (WIDTH + GAP), HEIGHT - height, height))
    return drawn
