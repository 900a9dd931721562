"""Pages of quality: what to look at first, and the button that measures anew."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from feedback.access import project_or_404
from feedback.models import Job, Project, Report
from feedback.quality.problems import key_figures, problems_of
from feedback.quality.reports import FUNCTIONS, Shown, age_in_words, measure, shown_for
from feedback.views.requests import SignedInRequest


@require_safe
@login_required
def quality(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_judgments")
    shown = shown_for(project=within, kind=Report.Kind.AGREEMENT)
    context = {
        "project": within,
        "problems": problems_of(within, request.user),
        "figures": key_figures(within),
        **report_context(within, shown),
    }
    return render(request, "feedback/quality.html", context)


@require_POST
@login_required
def quality_measure(request: SignedInRequest, project: str) -> HttpResponse:
    """Measure one of the project's reports anew, or all of them, and go back to where the button was."""
    within = project_or_404(request.user, project, "feedback.read_judgments")
    asked = request.POST.get("report", "")
    kinds = WHOLE_PROJECT if asked == "all" else [asked]
    if unknown := [kind for kind in kinds if kind not in WHOLE_PROJECT]:
        return HttpResponse(
            f"{unknown[0]!r} is no report; use {', '.join(WHOLE_PROJECT)} or all", status=422, content_type="text/plain"
        )
    for kind in kinds:
        job = measure(project=within, kind=kind, created_by=request.user)
        if job.state == Job.State.FAILED:
            messages.error(request, f"{Report.Kind(kind).label} could not be measured: {job.error}")
    return redirect(back_to(request, within))


WHOLE_PROJECT = [kind for kind in FUNCTIONS if kind != Report.Kind.WHAT_IF]


def back_to(request: SignedInRequest, project: Project) -> str:
    """Return the page of this site that the form names, or the overview."""
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if safe else f"/p/{project.slug}/quality/"


def report_context(project: Project, shown: Shown) -> dict[str, Any]:
    """Return what `_report_age.html` says of a report."""
    return {
        "shown": shown,
        "report": shown.report,
        "job": shown.job,
        "age": age_in_words(shown.report, timezone.now()) if shown.report else "",
    }
