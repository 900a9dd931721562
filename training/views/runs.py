"""Pages of runs: the list, and one run while it runs and afterwards."""

from __future__ import annotations

import csv
import dataclasses

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import FileResponse, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from feedback.access import may, project_or_404
from feedback.models import Project
from feedback.views.requests import SignedInRequest
from training.capabilities import run_workers, waits_in_vain
from training.comparing import as_uuid
from training.configs import CONFIGS
from training.glossary import charts_of
from training.kind_words import GROUPS
from training.models import Run
from training.news import News, Seen, news, seen_now
from training.reading import (
    environment_of,
    latest_metrics,
    metric_names,
    metrics_after,
    numbers,
    seconds_per_step,
    settings_of,
    step_named,
)
from training.repeating import REPEATED, samenesses
from training.rundir import RunDirectory
from training.runs import ONLINE
from training.starting import SWEPT
from training.watching import (
    advice,
    compared_previews,
    landed_samples,
    log_tail,
    rollout_previews,
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
    looks = bool(found.config.get("evaluate_every"))
    context = {
        **live_context(request, within, found),
        **text_context(request, found),
        "numbers": shown,
        "charts": charts_of(found.kind, shown.names, looks=looks) if shown.rows or found.is_unfinished else [],
        "settings": settings_of(found),
        "environment": environment_of(found),
        "samenesses": samenesses(found),
        "log": log_tail(found),
    }
    return render(request, "training/run.html", context)


@never_cache
@require_safe
@login_required
def run_live(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    """Answer the run's state with whatever else is new on its page: steps, log, texts, preflight."""
    within, found = run_or_404(request, project, run)
    return render(request, "training/_run_news.html", news_context(request, within, found, Seen.of(request.GET)))


@never_cache
@require_safe
@login_required
def run_metrics(request: SignedInRequest, project: str, run: str) -> HttpResponse:
    """Answer the steps after `?after=` as JSON, or all of them with `?format=csv`."""
    _, found = run_or_404(request, project, run)
    if request.GET.get("format") == "csv":
        return metrics_file(found)
    return JsonResponse(metrics_after(found, step_named(request.GET.get("after", "")) or 0))


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


@never_cache
@require_safe
@login_required
def run_log(request: SignedInRequest, project: str, run: str) -> HttpResponseBase:
    """Answer the whole log as a file of text."""
    _, found = run_or_404(request, project, run)
    path = RunDirectory(found.directory).log_path
    if not path.is_file():
        return HttpResponse("There is no log yet.", content_type="text/plain; charset=utf-8")
    return FileResponse(open(path, "rb"), content_type="text/plain; charset=utf-8")


def run_or_404(
    request: SignedInRequest, project: str, run: str, permission: str = "training.read"
) -> tuple[Project, Run]:
    within = project_or_404(request.user, project, permission)
    related = ("project", "created_by", "policy", "reward", "snapshot", "queue", "checkpoint", "repeats__checkpoint")
    return within, get_object_or_404(within.runs.select_related(*related), pk=run)


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
        "no_worker": unfinished.exclude(state=Run.State.PAUSED).exists() and not worker_is_alive(now),
        "workers": run_workers(now),
        "may_run": may(request.user, "training.run", within),
        "kinds": Run.Kind.choices,
        "groups": GROUPS,
        "states": Run.State.choices,
        "chosen": {"kind": kind, "state": state, "sweep": sweep},
    }


def live_context(request: SignedInRequest, project: Project, run: Run, came: News | None = None) -> dict:
    """Return what the run page and its live fragment share; without `came` all that is there is new."""
    now = timezone.now()
    came = came or news(run, seen_now(run))
    return {
        "project": project,
        "run": run,
        "news": came,
        "seen": dataclasses.asdict(came.now),
        "watched": watch(run, now, seconds_per_step(run)),
        "latest": latest_metrics(run),
        "waits_for_a_look": run.waits_for_a_look,
        "has_texts": run.kind == Run.Kind.SAMPLE or run.kind in ONLINE or hasattr(CONFIGS[run.kind], "sample_every"),
        "no_worker": run.state in (Run.State.QUEUED, Run.State.RUNNING) and not worker_is_alive(now),
        "lacking": waits_in_vain(run, now),
        "online": ONLINE,
        "others": run.further_models if run.kind == Run.Kind.SAMPLE else [],
        "may_run": may(request.user, "training.run", project),
        "leaves_checkpoint": run.kind in SWEPT,
        "goes_on": run.state == Run.State.FAILED and RunDirectory(run.directory).kept_step() is not None,
        "may_repeat": run.kind in REPEATED,
        "may_prompts": may(request.user, "feedback.manage_prompts", project),
        "checkpoint": getattr(run, "checkpoint", None),
        "advice": advice(run.error) if run.state == Run.State.FAILED else "",
    }


def news_context(request: SignedInRequest, project: Project, run: Run, seen: Seen) -> dict:
    """Return what the live fragment needs to tell all that a page that shows `seen` does not show yet."""
    came = news(run, seen)
    return {**live_context(request, project, run, came), **(text_context(request, run) if came.texts else {})}


def text_context(request: SignedInRequest, run: Run) -> dict:
    """Return what the run page and its live fragment share of texts."""
    return {
        "may_prompts": may(request.user, "feedback.manage_prompts", run.project),
        "landed": landed_samples(run) if run.kind == Run.Kind.SAMPLE else None,
        "previews": rollout_previews(run) if run.kind in ONLINE else [],
        "compared": compared_previews(run) if run.kind not in ONLINE else [],
    }
