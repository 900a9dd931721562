"""Pages of judgments: find them, read one with its provenance, accept or reject it."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from feedback.access import may, names_for, project_or_404
from feedback.forms import JudgmentFilter, ReviewForm, show_refusal
from feedback.gold import is_right
from feedback.models import Gold, Judgment, Project
from feedback.models.judgments import JudgmentQuerySet
from feedback.reviewing import ReviewRefused, review_judgment
from feedback.snapshot_members import snapshots_holding
from feedback.views.answer_parts import answer_parts, said
from feedback.views.requests import SignedInRequest

PAGE = 50
PARTS = ("queue", "annotator", "assignment", "guideline", "policy", "schema__queue", "task__prompt")


@require_safe
@login_required
def judgment_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_judgments")
    name_of = names_for(request.user, within)
    filters = JudgmentFilter(request.GET, project=within, names=name_of)
    found = filters.select(judgments_of(within).select_related("queue", "annotator", "schema__queue", "task__prompt"))
    page_obj = Paginator(found, PAGE).get_page(request.GET.get("page"))
    context = {
        "project": within,
        "filters": filters,
        "page_obj": page_obj,
        "rows": [(judgment, name_of(judgment.annotator), said(judgment)) for judgment in page_obj],
        "next_to_review": next_to_review(within) if may(request.user, "feedback.review", within) else None,
    }
    return render(request, "feedback/judgments.html", context)


@require_safe
@login_required
def judgment_detail(request: SignedInRequest, project: str, judgment: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_judgments")
    found = get_object_or_404(Judgment.objects.in_project(within).select_related(*PARTS), pk=judgment)
    return render(request, "feedback/judgment.html", judgment_context(request, within, found, ReviewForm()))


@require_POST
@login_required
def judgment_review(request: SignedInRequest, project: str, judgment: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.review")
    found = get_object_or_404(Judgment.objects.in_project(within).select_related(*PARTS), pk=judgment)
    form = ReviewForm(request.POST)
    status = 422
    if form.is_valid():
        accepted, reason = form.cleaned_data["verdict"] == "accept", form.cleaned_data["reason"]
        try:
            review_judgment(judgment=found, reviewer=request.user, accepted=accepted, reason=reason)
        except ReviewRefused as refusal:
            show_refusal(form, refusal)
            status = 409 if refusal.field == "judgment" else 422
    if form.errors:
        context = judgment_context(request, within, found, form)
        return render(request, "feedback/judgment.html", context, status=status)
    following = next_to_review(within) if "next" in request.POST else None
    messages.success(
        request, f"{'Accepted' if accepted else 'Rejected'}.{' Here is the next one.' if following else ''}"
    )
    return redirect("judgment", within.slug, following.pk if following else found.pk)


def judgments_of(project: Project) -> JudgmentQuerySet:
    """Return the judgments that count now, those of people and of simulated annotators."""
    return Judgment.objects.in_project(project).current()


def next_to_review(project: Project) -> Judgment | None:
    """Return the oldest judgment of a person that nobody has reviewed."""
    return judgments_of(project).by_people().unreviewed().first()


def judgment_context(request: SignedInRequest, project: Project, judgment: Judgment, form: ReviewForm) -> dict:
    name_of = names_for(request.user, project)
    others = (
        judgments_of(project)
        .filter(task=judgment.task_id)
        .exclude(assignment=judgment.assignment)
        .select_related("annotator", "schema__queue")
    )
    revisions = list(
        Judgment.objects.filter(assignment=judgment.assignment).select_related("schema__queue").order_by("-revision")
    )
    answer = answer_parts(judgment)
    return {
        **answer,
        "shown": [answer["sides"][place] for place in judgment.display_order],
        "project": project,
        "judgment": judgment,
        "annotator_name": name_of(judgment.annotator),
        "revisions": [(revision, said(revision)) for revision in revisions],
        "newest": revisions[0],
        "is_right": right_by_gold(judgment),
        "is_current": revisions[0] == judgment,
        "reviews": judgment.reviews.select_related("reviewer"),
        "snapshots": snapshots_holding(judgment),
        "others": [(other, name_of(other.annotator), said(other)) for other in others],
        "form": form,
        "may_review": may(request.user, "feedback.review", project),
    }


def right_by_gold(judgment: Judgment) -> bool | None:
    """Tell whether a judgment of a gold task is right; None where there is no gold."""
    gold = Gold.objects.filter(task=judgment.task_id).first()
    return None if gold is None else is_right(judgment.schema.asks, gold.answer, judgment.answer)
