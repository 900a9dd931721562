"""Page of one person of a project: languages, verified expertise, tests, and for admins what an hour costs."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from feedback.access import may, project_or_404
from feedback.forms import show_refusal
from feedback.models import AnnotatorProfile, Expertise, Project, Qualification, Role, User
from feedback.people import ExpertiseRefused, ProfileRefused, save_profile, verify_expertise, withdraw_expertise
from feedback.steering_forms import ExpertiseForm, LanguagesForm, ProfileForm
from feedback.views.requests import SignedInRequest


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def member_detail(request: SignedInRequest, project: str, person: int) -> HttpResponse:
    """Show a person; posted, store their languages and, from an admin, their rate."""
    within, found = person_or_404(request, project, person)
    if request.method != "POST":
        return render(request, "feedback/member.html", person_context(request, within, found))
    form = (ProfileForm if may_see_rate(request, within) else LanguagesForm)(request.POST)
    if form.is_valid():
        before = profile_of(found)
        values = {"hourly_rate": before.hourly_rate, "currency": before.currency, **form.cleaned_data}
        try:
            save_profile(person=found, **values)
        except ProfileRefused as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, "Saved.")
            return redirect("member", within.slug, found.pk)
    return render(
        request, "feedback/member.html", person_context(request, within, found, profile_form=form), status=422
    )


@require_POST
@login_required
def expertise_verify(request: SignedInRequest, project: str, person: int) -> HttpResponse:
    within, found = person_or_404(request, project, person)
    form = ExpertiseForm(request.POST)
    if form.is_valid():
        try:
            verify_expertise(person=found, verified_by=request.user, project=within, **form.cleaned_data)
        except ExpertiseRefused as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, f"Verified: {found.username} knows {form.cleaned_data['domain'].lower()}.")
            return redirect("member", within.slug, found.pk)
    context = person_context(request, within, found, expertise_form=form)
    return render(request, "feedback/member.html", context, status=422)


@require_POST
@login_required
def expertise_withdraw(request: SignedInRequest, project: str, person: int, expertise: int) -> HttpResponse:
    within, found = person_or_404(request, project, person)
    known = get_object_or_404(Expertise, pk=expertise, user=found)
    withdraw_expertise(expertise=known, withdrawn_by=request.user, project=within, now=timezone.now())
    messages.success(request, f"Withdrawn: {known.domain}.")
    return redirect("member", within.slug, found.pk)


def person_or_404(request: SignedInRequest, project: str, person: int) -> tuple[Project, User]:
    within = project_or_404(request.user, project, "feedback.manage_annotators")
    return within, get_object_or_404(User.objects.filter(memberships__project=within).distinct(), pk=person)


def may_see_rate(request: SignedInRequest, project: Project) -> bool:
    return may(request.user, "feedback.manage_people", project)


def profile_of(person: User) -> AnnotatorProfile:
    return AnnotatorProfile.objects.filter(user=person).first() or AnnotatorProfile(user=person)


def person_context(
    request: SignedInRequest,
    project: Project,
    person: User,
    *,
    profile_form: LanguagesForm | None = None,
    expertise_form: ExpertiseForm | None = None,
) -> dict[str, Any]:
    profile = profile_of(person)
    shape = ProfileForm if may_see_rate(request, project) else LanguagesForm
    now = {
        "languages": ", ".join(profile.languages),
        "hourly_rate": profile.hourly_rate,
        "currency": profile.currency,
    }
    here = Q(queue__project=project)
    return {
        "project": project,
        "person": person,
        "roles": [Role(one.role).label for one in person.memberships.filter(project=project).order_by("role")],
        "profile_form": profile_form or shape(initial=now),
        "expertise_form": expertise_form or ExpertiseForm(),
        "expertise": Expertise.objects.filter(user=person).select_related("verified_by").order_by("-id"),
        "tests": Qualification.objects.filter(here, person=person).select_related("queue", "decided_by"),
        "named_for": person.named_for.filter(here).select_related("queue"),
        "judged": person.judgments.filter(here, superseded_by__isnull=True).count(),
        "held_out": project.held_out.filter(person=person).first(),
        "is_self": person == request.user,
        "is_annotator": person.memberships.filter(project=project, role=Role.ANNOTATOR).exists(),
        "may_erase": may(request.user, "feedback.erase", project),
    }
