"""Pages of bulk actions: how many it would be, start it, watch it, take the whole of it back."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from feedback.access import names_for, project_or_404
from feedback.bulk import BulkRefused, start_bulk, undo_bulk
from feedback.forms import show_refusal
from feedback.judgment_filter_forms import JudgmentFilter
from feedback.judgment_search import count_up_to
from feedback.models import BulkAction, Project
from feedback.review_forms import BulkForm
from feedback.views.requests import SignedInRequest
from feedback.views.words import sentence

PAGE = 50
COUNTED = 100_000
COUNT_SECONDS = 1.0


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def bulk_start(request: SignedInRequest, project: str) -> HttpResponse:
    """Show how many judgments the filters of the address choose, and decide them all at once."""
    within = project_or_404(request.user, project, "feedback.review")
    filters = JudgmentFilter(request.GET, project=within, names=names_for(request.user, within))
    if request.method != "POST":
        form = BulkForm(initial={"do": request.GET.get("do") or "accept"})
        return render(request, "feedback/bulk_start.html", bulk_context(request, within, filters, form))
    form = BulkForm(request.POST)
    if form.is_valid():
        asked = form.cleaned_data
        try:
            bulk = start_bulk(
                project=within, action=asked["do"], filters=filters, reason=asked["reason"], started_by=request.user,
                now=timezone.now(),
            )  # fmt: skip
        except BulkRefused as refusal:
            show_refusal(form, refusal)
        else:
            return redirect("bulk", within.slug, bulk.pk)
    return render(request, "feedback/bulk_start.html", bulk_context(request, within, filters, form), status=422)


def bulk_context(request: SignedInRequest, project: Project, filters: JudgmentFilter, form: BulkForm) -> dict[str, Any]:
    usable = not filters.errors and filters.is_narrow
    search = filters.search(without=request.user)
    counted, is_all = count_up_to(search, limit=COUNTED, seconds=COUNT_SECONDS) if usable else (0, True)
    return {
        "project": project,
        "filters": filters,
        "form": form,
        "counted": counted,
        "is_all": is_all,
        "usable": usable,
        "chosen": chosen_in_words(filters),
    }


def chosen_in_words(filters: JudgmentFilter) -> list[tuple[str, str]]:
    """Return label and value of every filter that is used."""
    said = []
    for name, value in filters.asked.items():
        field = filters.fields[name]
        choices = dict(getattr(field, "choices", ())) if not hasattr(field, "queryset") else {}
        words = "yes" if value is True else str(choices.get(value, value))
        said.append((str(field.label or name.capitalize()), words))
    return said


@require_safe
@login_required
def bulk_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.review")
    actions = BulkAction.objects.filter(project=within).select_related("created_by", "undone_by", "job")
    page_obj = Paginator(actions, PAGE).get_page(request.GET.get("page"))
    return render(request, "feedback/bulks.html", {"project": within, "page_obj": page_obj})


@require_safe
@login_required
def bulk_detail(request: SignedInRequest, project: str, bulk: str) -> HttpResponse:
    within, found = bulk_or_404(request, project, bulk)
    filters = JudgmentFilter(found.filters, project=within, names=names_for(request.user, within))
    context = {"project": within, "bulk": found, "job": found.job, "chosen": chosen_in_words(filters)}
    return render(request, "feedback/bulk.html", context)


@require_POST
@login_required
def bulk_undo(request: SignedInRequest, project: str, bulk: str) -> HttpResponse:
    within, found = bulk_or_404(request, project, bulk)
    try:
        undo_bulk(bulk=found, undone_by=request.user, now=timezone.now())
    except BulkRefused as refusal:
        messages.error(request, sentence(refusal.message))
    return redirect("bulk", within.slug, found.pk)


def bulk_or_404(request: SignedInRequest, project: str, bulk: str) -> tuple[Project, BulkAction]:
    within = project_or_404(request.user, project, "feedback.review")
    actions = BulkAction.objects.filter(project=within).select_related(
        "created_by", "undone_by", "job__project", "project"
    )
    return within, get_object_or_404(actions, pk=bulk)
