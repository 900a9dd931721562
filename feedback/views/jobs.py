"""Pages of jobs: the list, and one job while it runs and afterwards."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from feedback.access import check, project_or_404
from feedback.clerk import clerk_is_alive
from feedback.job_kinds import PERMISSIONS
from feedback.job_watching import jobs_for
from feedback.jobs import JobNotWaiting, cancel_job, resume_job
from feedback.models import Job
from feedback.views.requests import SignedInRequest

PAGE = 50


@require_safe
@vary_on_headers("HX-Request")
@login_required
def job_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_queues")
    seen = jobs_for(request.user, within)
    kind, state = request.GET.get("kind", ""), request.GET.get("state", "")
    shown = seen.filter(kind=kind) if kind in Job.Kind.values else seen
    shown = shown.filter(state=state) if state in Job.State.values else shown
    unfinished = seen.unfinished().exists()
    context = {
        "project": within,
        "page_obj": Paginator(shown, PAGE).get_page(request.GET.get("page")),
        "live": unfinished,
        "no_clerk": unfinished and not clerk_is_alive(timezone.now()),
        "kinds": Job.Kind.choices,
        "states": Job.State.choices,
        "chosen": {"kind": kind, "state": state},
    }
    return render(request, "feedback/_jobs.html" if request.htmx else "feedback/jobs.html", context)


@require_safe
@login_required
def job_detail(request: SignedInRequest, project: str, job: str) -> HttpResponse:
    found = job_or_404(request, project, job)
    return render(request, "feedback/job.html", {"project": found.project, "job": found})


@never_cache
@require_safe
@login_required
def job_live(request: SignedInRequest, project: str, job: str) -> HttpResponse:
    """Answer the state of the job; with `?refresh=1`, once it is over, have the page around it load itself anew."""
    found = job_or_404(request, project, job)
    refresh = bool(request.GET.get("refresh"))
    answer = render(request, "feedback/_job.html", {"project": found.project, "job": found, "refresh": refresh})
    if refresh and found.is_over:
        answer["HX-Refresh"] = "true"
    return answer


@require_POST
@vary_on_headers("HX-Request")
@login_required
def job_cancel(request: SignedInRequest, project: str, job: str) -> HttpResponse:
    return answer_to(request, job_or_404(request, project, job), cancel_job)


@require_POST
@vary_on_headers("HX-Request")
@login_required
def job_resume(request: SignedInRequest, project: str, job: str) -> HttpResponse:
    return answer_to(request, job_or_404(request, project, job), resume_job)


def answer_to(request: SignedInRequest, job: Job, verb: Callable[..., Job]) -> HttpResponse:
    """Cancel or resume the job; answer the fragment, or without htmx the job's page."""
    refusal = ""
    try:
        verb(job=job, by=request.user)
    except JobNotWaiting as refused:
        refusal = refused.message
        job.refresh_from_db()
    if request.htmx:
        context = {"project": job.project, "job": job, "refusal": refusal}
        return render(request, "feedback/_job.html", context, status=409 if refusal else 200)
    if refusal:
        messages.error(request, refusal)
    return redirect("job", job.project.slug, job.pk)


def job_or_404(request: SignedInRequest, project: str, job: str) -> Job:
    """Return the job; who may start its kind may see it, cancel it and resume it."""
    within = project_or_404(request.user, project)
    found = get_object_or_404(Job.objects.select_related("project", "created_by").filter(project=within), pk=job)
    check(request.user, PERMISSIONS[found.kind], within)
    return found
