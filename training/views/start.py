"""The page that starts a run of any kind."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods
from django.views.decorators.vary import vary_on_headers

from feedback.access import may, project_or_404
from feedback.queues import QueueRefused
from feedback.views.requests import SignedInRequest
from training.configs import CONFIGS, BadConfig
from training.forms import RunForm
from training.kind_words import GROUPS, WORDS
from training.models import Run
from training.plans import lacking, plan
from training.runs import RunRefused
from training.snapshot_tables import to_freeze
from training.starting import start_chosen_run, start_sweep


@require_http_methods(["GET", "HEAD", "POST"])
@vary_on_headers("HX-Request")
@login_required
def run_start(request: SignedInRequest, project: str, kind: str) -> HttpResponse:
    """Show the form, filled from the query string; with htmx, only what the run would use; POST starts it."""
    within = project_or_404(request.user, project, "training.run")
    if kind not in CONFIGS:
        raise Http404("no such kind of run")
    if request.method == "POST":
        form = RunForm(request.POST, project=within, kind=kind)
    elif request.htmx:
        form = RunForm(request.GET, project=within, kind=kind)
    else:
        form = RunForm(project=within, kind=kind, asked=request.GET)
    if request.method == "POST" and form.is_valid():
        try:
            runs = start_chosen(form, project=within, kind=kind, created_by=request.user)
        except (BadConfig, RunRefused, QueueRefused) as refusal:
            form.refuse(refusal)
        else:
            if len(runs) > 1:
                messages.success(request, f"{len(runs)} runs are queued, one for each seed.")
                return redirect(f"{reverse('runs-compare', args=[within.slug])}?sweep={runs[0].sweep}")
            messages.success(request, f"“{runs[0].name}” is queued.")
            return redirect("run", within.slug, runs[0].pk)
    context = {
        "project": within,
        "form": form,
        "kind": Run.Kind(kind),
        "about": WORDS[kind].about,
        "groups": GROUPS,
        "to_freeze": to_freeze(kind),
        "lacking": lacking(within, kind),
        "may_prompts": may(request.user, "feedback.manage_prompts", within),
        "plan": plan(project=within, kind=kind, runs=len(form.wanted_seeds()), **form.chosen()),
    }
    template = "training/_run_plan.html" if request.method != "POST" and request.htmx else "training/run_start.html"
    return render(request, template, context, status=422 if request.method == "POST" else 200)


def start_chosen(form: RunForm, **of: Any) -> list[Run]:
    """Start what the form says: one run, or one for each seed."""
    seeds = form.wanted_seeds()
    if len(seeds) > 1:
        return start_sweep(seeds=seeds, **of, **form.chosen())
    return [start_chosen_run(**of, **form.chosen())]
