"""Pages of splits, of clusters of near-duplicates, and of languages."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from feedback.access import project_or_404
from feedback.forms import show_refusal
from feedback.hygiene.languages import contradicts
from feedback.hygiene.showing import (
    MEMBERS_SHOWN,
    clusters_with_duplicates,
    counted,
    members_of,
)
from feedback.hygiene_forms import SplitsForm
from feedback.models import Finding, Job, Project
from feedback.splits import SplitRefused, set_percents
from feedback.views.requests import SignedInRequest

PAGE = 20


@require_safe
@login_required
def splits(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    form = SplitsForm(
        initial={"evaluation_percent": within.evaluation_percent, "holdout_percent": within.holdout_percent}
    )
    return render(request, "feedback/splits.html", splits_context(within, form))


@require_POST
@login_required
def splits_change(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    form = SplitsForm(request.POST)
    if form.is_valid():
        try:
            set_percents(project=within, changed_by=request.user, **form.cleaned_data)
        except SplitRefused as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, "The shares hold for prompts that come in from now on.")
            return redirect("splits", within.slug)
    return render(request, "feedback/splits.html", splits_context(within, form), status=422)


def splits_context(project: Project, form: SplitsForm) -> dict[str, object]:
    known = counted(project)
    rows = known.splits if known else []
    total = sum(prompts for _, prompts, _ in rows)
    leaks = Finding.objects.filter(project=project, kind=Finding.Kind.LEAK)
    return {
        "project": project,
        "form": form,
        "rows": [(*row, round(100 * row[1] / total) if total else 0) for row in rows],
        "bar": bar_of(rows, total),
        "total": total,
        "known": known,
        "spread": known.spread if known else [],
        "leaks": leaks.unsettled().count(),
        "settled_leaks": leaks.exclude(settlement="").count(),
        "scan": project.jobs.filter(kind=Job.Kind.SCAN, state=Job.State.SUCCEEDED).first(),
        "held_out_people": project.held_out.count(),
    }


def bar_of(rows: list[tuple[str, int, int]], total: int) -> list[tuple[str, float, float]]:
    """Return (split, where it begins, how wide it is) of a bar that is 100 wide."""
    parts: list[tuple[str, float, float]] = []
    at = 0.0
    for split, prompts, _ in rows:
        width = 100 * prompts / total if total else 0.0
        parts.append((split, round(at, 2), round(width, 2)))
        at += width
    return parts


@require_safe
@login_required
def cluster_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    page_obj = Paginator(clusters_with_duplicates(within), PAGE).get_page(request.GET.get("page"))
    context = {
        "project": within,
        "page_obj": page_obj,
        "rows": [(row, members_of(within, row["cluster"])[:3]) for row in page_obj],
    }
    return render(request, "feedback/clusters.html", context)


@require_safe
@login_required
def cluster_detail(request: SignedInRequest, project: str, cluster: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    members = members_of(within, cluster)
    if not members:
        raise Http404("no such cluster")
    context = {
        "project": within,
        "cluster": cluster,
        "members": members,
        "count": within.prompts.filter(cluster=cluster).count(),
        "splits": sorted({member.prompt.split for member in members}),
        "shown": MEMBERS_SHOWN,
    }
    return render(request, "feedback/cluster.html", context)


@require_safe
@login_required
def language_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    known = counted(within)
    rows = known.languages if known else []
    total = sum(row["prompts"] for row in rows)
    context = {
        "project": within,
        "rows": [
            {
                **row,
                "differs": contradicts(row["language"], row["text_language"]),
                "percent": 100 * row["prompts"] / total,
            }
            for row in rows
        ],
        "known": known,
        "total": total,
        "unsaid": sum(row["prompts"] for row in rows if not row["language"]),
        "differing": sum(row["prompts"] for row in rows if contradicts(row["language"], row["text_language"])),
    }
    return render(request, "feedback/languages.html", context)
