"""A person's own judgments: read them, change one's mind."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from feedback.forms import show_refusal
from feedback.judging import BadJudgment, NotCurrent, SubmissionIdTaken, flag_labels, revise_judgment
from feedback.label_forms import RevisionForm
from feedback.models import Judgment, Queue, Review
from feedback.own_work import credible_revision_seconds
from feedback.views.label_page import guideline_context, in_queue, in_words, parts
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
            "choice": in_words(judgment.shown_preference),
            "rationale": judgment.rationale,
            "flags": flag_labels(judgment.flags),
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
            preference=found.comparison.turn(said["preference"], found.shown_first_id),
            rationale=said["rationale"],
            flags=said["flags"],
            active_seconds=credible_revision_seconds(claimed=said["active_seconds"], judgment=found, now=now),
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


def revision_page(
    request: SignedInRequest, queue: Queue, judgment: Judgment, *, form: RevisionForm | None = None, status: int = 200
) -> HttpResponse:
    said = form.cleaned_data if form else {}
    entered = {
        "preference": said.get("preference", judgment.shown_preference),
        "rationale": form.data.get("rationale", "") if form else judgment.rationale,
        "flags": said.get("flags", []) if form else judgment.flags,
        "active_seconds": said.get("active_seconds", 0.0),
        "submission_id": said.get("submission_id") if status == 422 else None,
    }
    later = Judgment.objects.current().filter(assignment=judgment.assignment_id).first()
    context = {
        **parts(
            comparison=judgment.comparison,
            shown=judgment.comparison.shown(judgment.shown_first_id),
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
