"""A person's own judgments: read them, change one's mind."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from feedback.display import turn
from feedback.forms import show_refusal
from feedback.judging import BadJudgment, Flag, NotCurrent, SubmissionIdTaken, revise_judgment
from feedback.label_forms import RevisionForm
from feedback.models import Comparison, Judgment, Queue, Review
from feedback.views.label_page import as_shown, guideline_context, in_queue, in_words, parts
from feedback.views.requests import SignedInRequest

PAGE = 50
PARTS = ("comparison__prompt", "comparison__response_a", "comparison__response_b", "guideline", "policy")


@require_safe
@in_queue
def history(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """List what the person has judged in this queue, the revisions that count."""
    found = own(request, queue).current().select_related("comparison__prompt").prefetch_related("reviews")
    page_obj = Paginator(found, PAGE).get_page(request.GET.get("page"))
    rows = [
        {
            "id": judgment.pk,
            "prompt": judgment.comparison.prompt.last_turn,
            "choice": in_words(as_shown(judgment)),
            "rationale": judgment.rationale,
            "flags": [Flag(flag).label for flag in judgment.flags],
            "created_at": judgment.created_at,
            "revision": judgment.revision,
            "review": next(iter(judgment.reviews.all()), None),
        }
        for judgment in page_obj
    ]
    context = {"project": queue.project, "queue": queue, "page_obj": page_obj, "rows": rows}
    return render(request, "feedback/annotator/history.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@in_queue
def revise(request: SignedInRequest, queue: Queue, judgment: uuid.UUID) -> HttpResponse:
    """Show a judgment of the person's own as they saw it, and store a new revision of it."""
    found = get_object_or_404(own(request, queue).select_related(*PARTS), pk=judgment)
    if request.method != "POST":
        return revision_page(request, queue, found)
    now = timezone.now()
    form = RevisionForm(request.POST)
    if not form.is_valid():
        return revision_page(request, queue, found, form=form, status=422)
    said = form.cleaned_data
    try:
        revise_judgment(
            judgment=found,
            annotator=request.user,
            submission_id=said["submission_id"],
            preference=turn(said["preference"], comparison=found.comparison, shown_first_id=found.shown_first_id),
            rationale=said["rationale"],
            flags=said["flags"],
            active_seconds=min(said["active_seconds"], since(found.created_at, now)),
            interface="page",
            now=now,
        )
    except BadJudgment as error:
        show_refusal(form, error)
        return revision_page(request, queue, found, form=form, status=422)
    except (NotCurrent, SubmissionIdTaken) as error:
        form.add_error(None, f"{error}.")
        return revision_page(request, queue, found, form=form, status=409)
    messages.success(request, "Your revision is saved; it is the one that counts.")
    return redirect("label" if request.POST.get("back") == "label" else "label-history", queue.pk)


def own(request: SignedInRequest, queue: Queue) -> Any:
    return Judgment.objects.filter(queue=queue, annotator=request.user)


def since(earlier: datetime, now: datetime) -> float:
    return max(0.0, (now - earlier).total_seconds())


def revision_page(
    request: SignedInRequest, queue: Queue, judgment: Judgment, *, form: RevisionForm | None = None, status: int = 200
) -> HttpResponse:
    said = form.cleaned_data if form else {}
    entered = {
        "preference": said.get("preference", as_shown(judgment)),
        "rationale": form.data.get("rationale", "") if form else judgment.rationale,
        "flags": said.get("flags", []) if form else judgment.flags,
        "active_seconds": said.get("active_seconds", 0.0),
        "submission_id": said.get("submission_id") if status == 422 else None,
    }
    later = Judgment.objects.current().filter(assignment=judgment.assignment_id).first()
    context = {
        **parts(
            comparison=judgment.comparison,
            shown=as_seen(judgment.comparison, judgment.shown_first_id),
            annotator=request.user,
            policy=queue.policy,
            entered=entered,
        ),
        **guideline_context(queue.guideline, judgment),
        "project": queue.project,
        "queue": queue,
        "judgment_id": judgment.pk,
        "created_at": judgment.created_at,
        "revision": judgment.revision,
        "later_id": later.pk if later and later.pk != judgment.pk else None,
        "review": Review.objects.filter(judgment=judgment).first(),
        "back": request.POST.get("back") or request.GET.get("back", ""),
        "problem": next((str(found[0]) for found in form.errors.values()), "") if form else "",
    }
    return render(request, "feedback/annotator/revise.html", context, status=status)


def as_seen(comparison: Comparison, shown_first_id: uuid.UUID) -> Any:
    pair = (comparison.response_a, comparison.response_b)
    return pair if shown_first_id == comparison.response_a_id else pair[::-1]
