"""What people do to a run from its page: cancel, pause, resume and retry it."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST
from django.views.decorators.vary import vary_on_headers

from feedback.views.requests import SignedInRequest
from training.models import Run
from training.runs import NoRetry, NotPaused, RunEnded, cancel_run, pause_run, resume_run, retry_run
from training.views.runs import live_context, run_or_404


@require_POST
@vary_on_headers("HX-Request")
@login_required
def run_cancel(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    return answer(request, project, run, lambda found: cancel_run(run=found, now=timezone.now()), "is asked to stop")


@require_POST
@vary_on_headers("HX-Request")
@login_required
def run_pause(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    return answer(request, project, run, lambda found: pause_run(run=found, now=timezone.now()), "is asked to pause")


@require_POST
@vary_on_headers("HX-Request")
@login_required
def run_resume(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    return answer(request, project, run, lambda found: resume_run(run=found), "goes on as soon as a worker is free")


@require_POST
@vary_on_headers("HX-Request")
@login_required
def run_retry(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    return answer(request, project, run, lambda found: retry_run(run=found), "is tried again")


def answer(
    request: SignedInRequest, project: str, run: str, change: Callable[[Run], Run], what_happens: str
) -> HttpResponse:
    """Change the run and answer its live fragment, or lead to its page; 409 says why it cannot be."""
    within, found = run_or_404(request, project, run, "training.run")
    try:
        change(found)
    except (RunEnded, NotPaused, NoRetry) as refusal:
        within, found = run_or_404(request, project, run, "training.run")
        context = {**live_context(request, within, found), "refusal": str(refusal)}
        template = "training/_run_live.html" if request.htmx else "training/run_refused.html"
        return render(request, template, context, status=409)
    if request.htmx:
        within, found = run_or_404(request, project, run, "training.run")
        return render(request, "training/_run_live.html", live_context(request, within, found))
    messages.success(request, f"“{found.name}” {what_happens}.")
    return redirect("run", within.slug, found.pk)
