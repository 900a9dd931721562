"""Make a task gold: answer it in the annotator's own form, but in response order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from feedback.gold import KINDS, GoldRefused, make_gold
from feedback.label_forms import said_in
from feedback.models import Project, Task
from feedback.steering_forms import GoldForm
from feedback.views.label_parts import parts
from feedback.views.requests import SignedInRequest
from feedback.views.tasks import task_or_404

NOTHING: Mapping[str, Any] = {"answer": {}, "rationale": "", "flags": [], "active_seconds": 0.0}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def task_gold(request: SignedInRequest, project: str, task: str) -> HttpResponse:
    within, found = task_or_404(request, project, task, "feedback.review")
    if found.queue.kind not in KINDS or hasattr(found, "gold"):
        messages.info(request, "This task is gold already, or has no one good answer.")
        return redirect("task", within.slug, found.pk)
    if request.method != "POST":
        return render(request, "feedback/task_gold.html", gold_context(request, within, found, GoldForm(), {}))
    form = GoldForm(request.POST)
    said = said_in(request.POST, kind=found.queue.kind, responses=len(found.texts))["answer"]
    context = gold_context(request, within, found, form, said)
    if not form.is_valid():
        return render(request, "feedback/task_gold.html", context, status=422)
    try:
        make_gold(task=found, answer=said, explanation=form.cleaned_data["explanation"], created_by=request.user)
    except GoldRefused as refusal:
        return render(request, "feedback/task_gold.html", {**context, "problem": refusal.message}, status=422)
    messages.success(request, "The task is gold now: it goes to people unseen, and tells how they do.")
    return redirect("task", within.slug, found.pk)


def gold_context(
    request: SignedInRequest, project: Project, task: Task, form: GoldForm, said: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the annotator's own templates read, with the answer that was given so far."""
    schema = task.queue.schema
    assert schema is not None, "a queue has its label schema"
    entered = {**NOTHING, "answer": {name: value for name, value in said.items() if value is not None}}
    asks = dataclasses.replace(schema.asks, edit_winner=False)  # nobody is held to an edit
    shown = parts(task=task, shown=task.texts, annotator=request.user, schema=asks, entered=entered)
    return {**shown, "project": project, "queue": task.queue, "task": task, "form": form}
