"""Who takes part in a project. Curators and ML staff may look; admins change it."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from feedback.access import may, project_or_404
from feedback.forms import MemberForm, show_refusal
from feedback.models import Project, Role
from feedback.people import MemberRefused, add_member, remove_member
from feedback.views.requests import SignedInRequest


@require_safe
@login_required
def member_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_queues")
    return render(request, "feedback/members.html", members_context(request, within, MemberForm()))


@require_POST
@login_required
def member_add(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_people")
    form = MemberForm(request.POST)
    if not form.is_valid():
        return render(request, "feedback/members.html", members_context(request, within, form), status=422)
    role = Role(form.cleaned_data["role"])
    try:
        add_member(project=within, user=form.user, role=role, added_by=request.user)
    except MemberRefused as refusal:
        show_refusal(form, refusal)
        return render(request, "feedback/members.html", members_context(request, within, form), status=422)
    messages.success(request, f"{form.user.username} is {role.label} in this project.")
    return redirect("members", within.slug)


@require_POST
@login_required
def member_remove(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_people")
    form = MemberForm(request.POST)
    if not form.is_valid():
        return render(request, "feedback/members.html", members_context(request, within, form), status=422)
    if form.user == request.user and form.cleaned_data["role"] == Role.ADMIN:
        messages.error(request, "You cannot take the admin role from yourself; another admin can.")
        return redirect("members", within.slug)
    remove_member(project=within, user=form.user, role=form.cleaned_data["role"], removed_by=request.user)
    messages.success(request, f"{form.user.username} is no longer {Role(form.cleaned_data['role']).label}.")
    return redirect("members", within.slug)


def members_context(request: SignedInRequest, project: Project, form: MemberForm) -> dict:
    """Return one row per person with all their roles, people before simulated annotators."""
    people: dict = {}
    memberships = project.memberships.select_related("user").order_by("user__simulation_rule", "user__username", "role")
    for membership in memberships:
        people.setdefault(membership.user, []).append(membership)
    may_erase = may(request.user, "feedback.erase", project)
    return {
        "project": project,
        "people": people.items(),
        "held_out": set(project.held_out.values_list("person", flat=True)),
        "form": form,
        "may_look": may(request.user, "feedback.manage_annotators", project),
        "may_manage": may(request.user, "feedback.manage_people", project),
        "may_erase": may_erase,
        "erasure_requests": project.erasure_requests.filter(settled_at__isnull=True).count() if may_erase else 0,
    }
