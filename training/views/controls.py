"""What people ask of a run: stop it, pause it, let it go on, try again, run it again."""

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
from training.configs import BadConfig
from training.models import Run
from training.news import Seen
from training.repeating import repeat_run
from training.retrying import NoRetry, retry_run
from training.runs import RunRefused
from training.stopping import NotPaused, RunEnded, cancel_run, pause_run, resume_run
from training.views.runs import news_context, run_or_404


@require_POST
@vary_on_headers("HX-Request")
@login_required
def run_cancel(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    return ask(
        request, project, run, lambda one: cancel_run(run=one, now=timezone.now(), by=request.user), "is asked to stop"
    )


@require_POST
@vary_on_headers("HX-Request")
@login_required
def run_pause(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    return ask(
        request, project, run, lambda one: pause_run(run=one, now=timezone.now(), by=request.user), "is asked to pause"
    )


@require_POST
@vary_on_headers("HX-Request")
@login_required
def run_resume(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    return ask(request, project, run, lambda one: resume_run(run=one, by=request.user), "goes on")


@require_POST
@vary_on_headers("HX-Request")
@login_required
def run_retry(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    return ask(request, project, run, lambda one: retry_run(run=one, by=request.user), "is tried again")


@require_POST
@login_required
def run_repeat(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    within, found = run_or_404(request, project, run, "training.run")
    try:
        again = repeat_run(run=found, created_by=request.user)
    except (RunRefused, BadConfig) as refusal:
        context = {"project": within, "run": found, "refusal": refusal.message[:1].upper() + refusal.message[1:]}
        return render(request, "training/run_refused.html", context, status=409)
    messages.success(request, f"“{again.name}” is queued. Its page says whether the same came of it.")
    return redirect("run", within.slug, again.pk)


def ask(request: SignedInRequest, project: str, run: str, verb: Callable[[Run], Run], done: str) -> HttpResponse:
    """Carry out `verb` and answer the state of the run, or the run's page without htmx; 409 says why it cannot be."""
    within, found = run_or_404(request, project, run, "training.run")
    try:
        verb(found)
    except (RunEnded, NotPaused, NoRetry) as refusal:
        found.refresh_from_db()
        context = {**news_context(request, within, found, Seen.of(request.POST)), "refusal": str(refusal)}
        template = "training/_run_news.html" if request.htmx else "training/run_refused.html"
        return render(request, template, context, status=409)
    if request.htmx:
        _, found = run_or_404(request, project, run)
        return render(request, "training/_run_news.html", news_context(request, within, found, Seen.of(request.POST)))
    messages.success(request, f"“{found.name}” {done}.")
    return redirect("run", within.slug, found.pk)
