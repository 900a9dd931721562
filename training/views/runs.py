"""Pages of runs: the list, and one run while it runs and afterwards."""

from __future__ import annotations

import csv
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import FileResponse, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from feedback.access import may, project_or_404
from feedback.models import Project
from feedback.views.requests import SignedInRequest
from training.glossary import charts_of
from training.kind_words import GROUPS
from training.models import Run
from training.reading import metric_names, metrics_after, numbers, settings_of
from training.rundir import RunDirectory
from training.watching import (
    advice,
    landed_samples,
    log_tail,
    rollout_previews,
    seconds_per_step,
    watch,
    worker_is_alive,
)

PAGE = 50


@require_safe
@login_required
def run_list(request: SignedInRequest, project: str) -> HttpResponse:
    return render(request, "training/runs.html", list_context(request, project))


@require_safe
@login_required
def run_list_live(request: SignedInRequest, project: str) -> HttpResponse:
    return render(request, "training/_runs.html", list_context(request, project))


@require_safe
@login_required
def run_detail(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    within, found = run_or_404(request, project, run)
    shown = numbers(found)
    context = {
        **live_context(request, within, found),
        **text_context(request, found),
        "numbers": shown,
        "charts": charts_of(found.kind, shown.names) if shown.rows or found.is_unfinished else [],
        "settings": settings_of(found),
        "log": log_tail(found),
    }
    return render(request, "training/run.html", context)


@require_safe
@login_required
def run_live(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    within, found = run_or_404(request, project, run)
    return render(request, "training/_run_live.html", live_context(request, within, found))


@never_cache
@require_safe
@login_required
def run_metrics(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    """Answer the steps after `?after=` as JSON, or all of them with `?format=csv`."""
    _, found = run_or_404(request, project, run)
    if request.GET.get("format") == "csv":
        return metrics_file(found)
    after = request.GET.get("after", "")
    return JsonResponse(metrics_after(found, int(after) if after.isdecimal() else 0))


def metrics_file(run: Run) -> HttpResponse:
    names = metric_names(run)
    response = HttpResponse(
        content_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{run.kind}-{run.pk}.csv"'}
    )
    rows = csv.writer(response)
    rows.writerow(["step", *names])
    for step, values in run.metrics.values_list("step", "values"):
        rows.writerow([step, *(values.get(name) for name in names)])
    return response


@require_safe
@login_required
def run_numbers(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    within, found = run_or_404(request, project, run)
    return render(request, "training/_numbers.html", {"project": within, "run": found, "numbers": numbers(found)})


@require_safe
@login_required
def run_texts(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    within, found = run_or_404(request, project, run)
    return render(request, "training/_texts.html", {"project": within, "run": found, **text_context(request, found)})


@never_cache
@require_safe
@vary_on_headers("HX-Request")
@login_required
def run_log(request: SignedInRequest, project: str, run: str) -> HttpResponseBase:
    """Answer the live end of the log as a fragment; the whole file where a person asked for a page."""
    within, found = run_or_404(request, project, run)
    if request.htmx:
        return render(request, "training/_log.html", {"project": within, "run": found, "log": log_tail(found)})
    path = RunDirectory(found.directory).log_path
    if not path.is_file():
        return HttpResponse("There is no log yet.", content_type="text/plain; charset=utf-8")
    return FileResponse(open(path, "rb"), content_type="text/plain; charset=utf-8")


def run_or_404(
    request: SignedInRequest, project: str, run: str, permission: str = "training.read"
) -> tuple[Project, Run]:
    within = project_or_404(request.user, project, permission)
    related = ("project", "created_by", "policy", "reward", "snapshot", "queue", "checkpoint")
    return within, get_object_or_404(within.runs.select_related(*related), pk=run)


def as_uuid(text: str) -> UUID | None:
    """Return the id that a query string names; None for anything else."""
    try:
        return UUID(text)
    except ValueError:
        return None


def list_context(request: SignedInRequest, project: str) -> dict:
    within = project_or_404(request.user, project, "training.read")
    now = timezone.now()
    runs = within.runs.select_related("created_by", "policy", "reward", "snapshot", "queue", "checkpoint")
    kind, state = request.GET.get("kind", ""), request.GET.get("state", "")
    if kind in Run.Kind.values:
        runs = runs.filter(kind=kind)
    if state in Run.State.values:
        runs = runs.filter(state=state)
    if sweep := as_uuid(request.GET.get("sweep", "")):
        runs = runs.filter(sweep=sweep)
    page_obj = Paginator(runs, PAGE).get_page(request.GET.get("page"))
    unfinished = within.runs.unfinished()
    return {
        "project": within,
        "page_obj": page_obj,
        "watched": [(run, watch(run, now)) for run in page_obj],
        "live": unfinished.exists(),
        "no_worker": unfinished.exists() and not worker_is_alive(now),
        "may_run": may(request.user, "training.run", within),
        "kinds": Run.Kind.choices,
        "groups": GROUPS,
        "states": Run.State.choices,
        "chosen": {"kind": kind, "state": state, "sweep": sweep},
    }


def live_context(request: SignedInRequest, project: Project, run: Run) -> dict:
    """Return what the run page and its live fragment share."""
    now = timezone.now()
    return {
        "project": project,
        "run": run,
        "watched": watch(run, now, seconds_per_step(run)),
        "no_worker": run.is_unfinished and not worker_is_alive(now),
        "may_run": may(request.user, "training.run", project),
        "may_prompts": may(request.user, "feedback.manage_prompts", project),
        "checkpoint": getattr(run, "checkpoint", None),
        "advice": advice(run.error) if run.state == Run.State.FAILED else "",
    }


def text_context(request: SignedInRequest, run: Run) -> dict:
    """Return what the run page and its fragment of texts share."""
    return {
        "may_prompts": may(request.user, "feedback.manage_prompts", run.project),
        "landed": landed_samples(run) if run.kind == Run.Kind.SAMPLE else None,
        "previews": rollout_previews(run) if run.kind == Run.Kind.PPO else [],
    }
