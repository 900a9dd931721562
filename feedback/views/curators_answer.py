"""A curator's own answer to a task, in the annotator's form but in response order: a fix, or an adjudication."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from feedback.forms import show_refusal
from feedback.judgment_filter_forms import JudgmentFilter
from feedback.label_forms import said_in
from feedback.models import Task, User
from feedback.review_forms import ReasonForm
from feedback.reviewing import ReviewMovedOn, ReviewRefused, fix_judgment
from feedback.schemas import Schema, TaskKind
from feedback.views.judgments import address, going_on, judgment_or_404
from feedback.views.label_parts import parts
from feedback.views.requests import SignedInRequest
from feedback.views.words import sentence


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def judgment_fix(request: SignedInRequest, project: str, judgment: str) -> HttpResponse:
    """Put another answer in place of what was said; what was said stays on record."""
    within, found = judgment_or_404(request, project, judgment, "feedback.review")
    schema = found.schema.asks
    filters = JudgmentFilter(request.GET, project=within)
    if schema.kind == TaskKind.CONVERSATION:
        return redirect(address(within, found, filters))
    latest = found.reviews.first()
    context: dict[str, Any] = {
        "project": within,
        "queue": found.queue,
        "judgment": found,
        "filters": filters,
        "seen": latest.pk if latest else "none",
    }
    if request.method != "POST":
        said = {"answer": found.answer.as_sent(schema.kind), "flags": found.flags}
        context |= {**answer_fields(found.task, schema, request.user, said), "form": ReasonForm()}
        return render(request, "feedback/judgment_fix.html", context)
    form, said = ReasonForm(request.POST), said_in(request.POST, kind=schema.kind, responses=len(found.display_order))
    problem, status = "", 422
    if form.is_valid():
        try:
            fix_judgment(judgment=found, reviewer=request.user, answer=said["answer"], **form.cleaned_data)
        except ReviewRefused as refusal:
            problem, status = sentence(refusal.message), 409 if refusal.field == "judgment" else 422
            show_refusal(form, refusal)
        except ReviewMovedOn as moved:
            problem, status = sentence(moved), 409
        else:
            return going_on(request, within, found, "Fixed: your answer counts in its place.")
    context |= {**answer_fields(found.task, schema, request.user, said), "form": form, "problem": problem}
    return render(request, "feedback/judgment_fix.html", context, status=status)


def answer_fields(task: Task, schema: Schema, person: User, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the annotator's own templates read, with an answer in response order filled in."""
    answer = {name: value for name, value in said.get("answer", {}).items() if value is not None}
    entered = {"answer": answer, "rationale": "", "flags": said.get("flags", []), "active_seconds": 0.0}
    return parts(task=task, shown=task.texts, annotator=person, schema=schema, entered=entered)
