"""The page that says which share of whose work is looked at, and how far curators are with it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from feedback.access import project_or_404
from feedback.models import Project, ReviewRate
from feedback.review_forms import RateForm, people_of
from feedback.review_rates import RateRefused, set_review_rate
from feedback.views.requests import SignedInRequest
from feedback.views.words import sentence

PAGE = 100


@require_safe
@login_required
def rate_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.review")
    return render(request, "feedback/review_rates.html", rates_context(request, within))


def rates_context(request: SignedInRequest, project: Project) -> dict[str, Any]:
    people = people_of(project).order_by("simulation_rule", "username")
    page_obj = Paginator(people, PAGE).get_page(request.GET.get("page"))
    own = ReviewRate.objects.filter(project=project, person__in=list(page_obj))
    rates = dict(own.values_list("person_id", "percent"))
    return {
        "project": project,
        "queues": project.queues.select_related("policy").order_by("name"),
        "page_obj": page_obj,
        "rows": [
            (person, RateForm(initial={"percent": rates.get(person.pk)}, auto_id=f"id_{person.pk}_%s"))
            for person in page_obj
        ],
    }


@require_POST
@login_required
def rate_set(request: SignedInRequest, project: str, person: int) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.review")
    found = get_object_or_404(people_of(within), pk=person)
    form = RateForm(request.POST)
    if not form.is_valid():
        messages.error(request, f"{found.username}: {form.errors['percent'][0]}")
        return redirect("review-rates", within.slug)
    percent = form.cleaned_data["percent"]
    try:
        set_review_rate(project=within, person=found, percent=percent, set_by=request.user, now=timezone.now())
    except RateRefused as refusal:
        messages.error(request, sentence(refusal.message))
    else:
        share = "as each queue says" if percent is None else f"{percent} %"
        messages.success(request, f"{found.username}: {share} of their judgments are drawn for review.")
    return redirect("review-rates", within.slug)
