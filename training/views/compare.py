"""Pages that lay several runs over each other, and the glossary of their curves."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from feedback.access import may, project_or_404
from feedback.views.requests import SignedInRequest
from training.comparing import (
    MOST_RUNS,
    charts_together,
    figures_together,
    offered,
    rows_of_a_step,
    runs_named,
    settings_apart,
    steps_after,
)
from training.glossary import CHARTS
from training.glossary.figures import FIGURES
from training.glossary.settings import settings_explained
from training.models import Run


@require_safe
@login_required
def runs_compare(request: SignedInRequest, project: str) -> HttpResponse:
    """Show the runs of `?run=&run=`, or those of `?sweep=`; without either, runs to choose from."""
    within = project_or_404(request.user, project, "training.read")
    runs = runs_named(within, request.GET.getlist("run"), request.GET.get("sweep", ""))
    rows = [rows_of_a_step(run) for run in runs]
    context = {
        "project": within,
        "runs": runs,
        "lines": list(zip(runs, rows, strict=True)),
        "rows_of_steps": all(rows),
        "charts": charts_together(runs),
        "apart": settings_apart(runs) if len(runs) > 1 else [],
        "figures": figures_together(runs) if runs else [],
        "offered": offered(within),
        "most": MOST_RUNS,
        "may_run": may(request.user, "training.run", within),
    }
    return render(request, "training/compare.html", context)


@never_cache
@require_safe
@login_required
def runs_compare_metrics(request: SignedInRequest, project: str) -> HttpResponse:
    """Answer the new steps of every run that `?run=<id>:<last step>` names, as JSON."""
    within = project_or_404(request.user, project, "training.read")
    return JsonResponse({"runs": steps_after(within, request.GET.getlist("run"))})


@require_safe
@login_required
def runs_glossary(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "training.read")
    kinds = [(Run.Kind(kind), charts) for kind, charts in CHARTS.items()]
    context = {"project": within, "kinds": kinds, "figures": FIGURES.items(), "settings": settings_explained()}
    return render(request, "training/glossary.html", context)
