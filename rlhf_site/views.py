"""The person's home, the project page with the picture of the loop, and the health check."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from feedback.access import may, project_or_404, roles_of
from feedback.forms import ProjectForm, show_refusal
from feedback.models import Project, Role, User
from feedback.people import ProjectRefused, create_project
from feedback.views.requests import SignedInRequest
from rlhf_site.loop import draw, stations
from rlhf_site.next_steps import next_steps


@require_safe
@login_required
def home(request: SignedInRequest) -> HttpResponse:
    now = timezone.now()
    projects: list[dict[str, Any]] = [
        {
            "project": project,
            "roles": role_labels(request.user, project),
            "steps": next_steps(project=project, person=request.user, now=now),
        }
        for project in Project.objects.visible_to(request.user)
    ]
    projects.sort(key=lambda one: not one["steps"][0].url)
    context = {"projects": projects, "may_create": request.user.is_superuser}
    return render(request, "home.html", context)


def role_labels(person: User, project: Project) -> list[str]:
    held = roles_of(person, project)
    return [str(role.label) for role in Role if role in held]


@require_safe
@login_required
def project_page(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project)
    context = {
        **loop_context(request, within),
        "roles": role_labels(request.user, within),
        "steps": next_steps(project=within, person=request.user, now=timezone.now()),
        "queues": within.queues.open() if may(request.user, "feedback.label", within) else (),
    }
    return render(request, "project.html", context)


@require_safe
@login_required
def project_loop(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_queues")
    return render(request, "_loop.html", loop_context(request, within))


def loop_context(request: SignedInRequest, project: Project) -> dict:
    """Return the two pictures, or none for people who only label."""
    if not may(request.user, "feedback.read_queues", project):
        return {"project": project, "pictures": []}
    found = stations(project, request.user, timezone.now())
    live = any(station.live for station in found)
    return {"project": project, "pictures": [draw(found, wide=True), draw(found, wide=False)], "live": live}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def project_new(request: SignedInRequest) -> HttpResponse:
    if not request.user.is_superuser:
        raise PermissionDenied("only a superuser starts projects")
    form = ProjectForm(request.POST if request.method == "POST" else None)
    if request.method != "POST":
        return render(request, "project_new.html", {"form": form})
    if form.is_valid():
        try:
            project = create_project(**form.cleaned_data, admin=request.user)
        except ProjectRefused as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, f"Project “{project.name}” is there. Give people their roles next.")
            return redirect("members", project.slug)
    return render(request, "project_new.html", {"form": form}, status=422)


@never_cache
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Answer 200 when the site can reach its database, 503 when not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("database unavailable", status=503, content_type="text/plain")
    return HttpResponse("ok", content_type="text/plain")
