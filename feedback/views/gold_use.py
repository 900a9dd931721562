"""Pages of a queue's gold: how worn each is, taking it out of use and back, and making more of what is settled."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from feedback.access import may
from feedback.gold import KINDS
from feedback.gold_forms import GoldFilter, MakeGoldForm
from feedback.gold_rotation import (
    GoldUse,
    RetirementRefused,
    retire_gold,
    return_gold,
    rotate_gold,
    suggestions,
)
from feedback.gold_sources import VOTES, SourceRefused, candidates, make_gold_from
from feedback.models import Gold, GoldRetirement, Project, Queue, Task
from feedback.quality.gold_reports import uses_shown
from feedback.quality.reports import age_in_words
from feedback.schemas import TaskKind
from feedback.stats.intervals import wilson
from feedback.views.charts import percent, track
from feedback.views.queues import queue_or_404
from feedback.views.requests import SignedInRequest
from feedback.views.tasks import gold_in_words, ids_in
from feedback.views.words import count, sentence

PAGE = 50
CANDIDATES = 100


@require_safe
@login_required
def queue_gold(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    """Show the queue's gold, what is worn out first."""
    within, found = queue_or_404(request, project, queue, "feedback.read_queues")
    return render(request, "feedback/queue_gold.html", gold_context(request, within, found))


@require_POST
@login_required
def gold_rotate(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    """Retire all gold of the queue that is beyond a limit of its rules, as the product does by itself."""
    within, found = queue_or_404(request, project, queue, "feedback.review")
    retired = rotate_gold(queue=found, now=timezone.now())
    messages.success(request, f"Took {count(len(retired), 'gold task')} out of use. Each can be put back.")
    return redirect("queue-gold", within.slug, found.pk)


@require_POST
@login_required
def gold_retire(request: SignedInRequest, project: str, queue: str, gold: int) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.review")
    known = get_object_or_404(Gold, pk=gold, queue=found)
    try:
        retire_gold(
            gold=known,
            reason=request.POST.get("reason") or GoldRetirement.Reason.CURATOR,
            note=request.POST.get("note", ""),
            retired_by=request.user,
            now=timezone.now(),
        )
    except RetirementRefused as refusal:
        messages.error(request, sentence(refusal.message))
    else:
        messages.success(request, "Out of use: nobody gets it anew. Who holds it may finish it.")
    return redirect("queue-gold", within.slug, found.pk)


@require_POST
@login_required
def gold_return(request: SignedInRequest, project: str, queue: str, gold: int) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.review")
    known = get_object_or_404(Gold, pk=gold, queue=found)
    try:
        return_gold(gold=known, note=request.POST.get("note", ""), returned_by=request.user, now=timezone.now())
    except RetirementRefused as refusal:
        messages.error(request, sentence(refusal.message))
    else:
        messages.success(request, "Mixed in again. The limits of the rules leave it alone from now on.")
    return redirect("queue-gold", within.slug, found.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def gold_make(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    """Propose settled tasks as gold; posted, make gold of those that are ticked."""
    within, found = queue_or_404(request, project, queue, "feedback.review")
    form = MakeGoldForm(request.POST if request.method == "POST" else (request.GET or None))
    if request.method != "POST":
        return render(request, "feedback/gold_make.html", making_context(within, found, form))
    chosen = ids_in(request.POST.getlist("task"))
    if not form.is_valid() or not chosen:
        context = making_context(within, found, form, problem="" if chosen else "Tick at least one task first.")
        return render(request, "feedback/gold_make.html", context, status=422)
    try:
        done = make_gold_from(
            queue=found, tasks=chosen, **form.cleaned_data, created_by=request.user, now=timezone.now()
        )
    except SourceRefused as refusal:
        context = making_context(within, found, form, problem=sentence(refusal.message))
        return render(request, "feedback/gold_make.html", context, status=422)
    messages.success(request, f"Made {count(len(done.made), 'task')} gold.")
    for _, why in done.refused[:5]:
        messages.warning(request, f"One was left as it is: {why}.")
    return redirect("queue-gold", within.slug, found.pk)


# What the pages show


def gold_context(request: SignedInRequest, project: Project, queue: Queue) -> dict[str, Any]:
    assert queue.policy is not None, "a queue has its policy"
    uses, report = uses_shown(queue)
    worn = {use.gold.pk: reason for use, reason in suggestions(uses, queue)}
    retired = {one.gold_id: one for one in standing_retirements(queue)}
    filters = GoldFilter(request.GET)
    shown = [use for use in uses if filters.shows(in_use=use.gold.pk not in retired, worn=use.gold.pk in worn)]
    shown.sort(key=lambda use: (use.gold.pk not in worn, use.gold.pk in retired, use.accuracy, -use.gold.pk))
    page_obj = Paginator(shown, PAGE).get_page(request.GET.get("page"))
    return {
        "project": project,
        "queue": queue,
        "policy": queue.policy,
        "filters": filters,
        "page_obj": page_obj,
        "rows": [gold_row(queue, use, worn.get(use.gold.pk, ""), retired.get(use.gold.pk)) for use in page_obj],
        "all": len(uses),
        "in_use": len(uses) - len(retired),
        "worn": len(worn),
        "possible": queue.kind in KINDS,
        "asked": sum(use.judged for use in uses),
        "much": report is not None,
        "report": report.report if report else None,
        "age": age_in_words(report.report, timezone.now()) if report and report.report else "",
        "may_review": may(request.user, "feedback.review", project),
    }


def standing_retirements(queue: Queue) -> list[GoldRetirement]:
    standing = GoldRetirement.objects.filter(gold__queue=queue, returned_at__isnull=True)
    return list(standing.select_related("retired_by"))


def gold_row(queue: Queue, use: GoldUse, worn: str, retirement: GoldRetirement | None) -> dict[str, Any]:
    assert queue.schema is not None, "a queue has its label schema"
    low, high = wilson(use.right, use.judged)
    right = [use.right / use.judged, float(low), float(high)] if use.judged else None
    return {
        "use": use,
        "gold": use.gold,
        "prompt": use.gold.task.prompt.last_turn,
        "answer": gold_in_words(queue.schema.asks, use.gold.answer),
        "track": track(right, scale=(0.0, 1.0), tone="bad" if worn == GoldRetirement.Reason.DISPUTED else "plain"),
        "right_words": percent(right),
        "worn": GoldRetirement.Reason(worn).label if worn else "",
        "worn_reason": worn,
        "retirement": retirement,
    }


def making_context(project: Project, queue: Queue, form: MakeGoldForm, problem: str = "") -> dict[str, Any]:
    source, votes = form.asked()
    try:
        found = candidates(queue=queue, source=source, votes=votes, limit=CANDIDATES)
    except SourceRefused as refusal:
        found, problem = [], problem or sentence(refusal.message)
    tasks = Task.objects.select_related("prompt").in_bulk([one.task for one in found])
    assert queue.schema is not None, "a queue has its label schema"
    return {
        "project": project,
        "queue": queue,
        "form": form,
        "source": source,
        "votes": votes,
        "usual_votes": VOTES,
        "has_unanimous": queue.kind == TaskKind.COMPARISON,
        "problem": problem,
        "rows": [(one, tasks[one.task], gold_in_words(queue.schema.asks, one.answer)) for one in found],
        "more": len(found) >= CANDIDATES,
    }
