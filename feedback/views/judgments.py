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
from feedback.models import Judgment, Project
from feedback.models.judgments import JudgmentQuerySet
from feedback.reviewing import ReviewRefused, review_judgment
from feedback.views.requests import SignedInRequest

PAGE = 50
PARTS = (
    "queue",
    "annotator",
    "assignment",
    "guideline",
    "policy",
    "comparison__prompt",
    "comparison__response_a",
    "comparison__response_b",
)


@require_safe
@login_required
def judgment_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_judgments")
    name_of = names_for(request.user, within)
    filters = JudgmentFilter(request.GET, project=within, names=name_of)
    found = filters.select(judgments_of(within).select_related("queue", "annotator", "comparison__prompt"))
    page_obj = Paginator(found, PAGE).get_page(request.GET.get("page"))
    context = {
        "project": within,
        "filters": filters,
        "page_obj": page_obj,
        "rows": [(judgment, name_of(judgment.annotator)) for judgment in page_obj],
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
    pair = judgment.comparison
    name_of = names_for(request.user, project)
    others = judgments_of(project).filter(comparison=pair).exclude(assignment=judgment.assignment)
    revisions = Judgment.objects.filter(assignment=judgment.assignment).order_by("-revision")
    return {
        "project": project,
        "judgment": judgment,
        "annotator_name": name_of(judgment.annotator),
        "sides": [
            {"letter": "A", "response": pair.response_a, "chosen": judgment.preference < 0},
            {"letter": "B", "response": pair.response_b, "chosen": judgment.preference > 0},
        ],
        "flags": [raised["flag"] for raised in judgment.flags],
        "revisions": revisions,
        "is_current": revisions.first() == judgment,
        "reviews": judgment.reviews.select_related("reviewer"),
        "snapshots": judgment.snapshots.all(),
        "others": [(other, name_of(other.annotator)) for other in others.select_related("annotator")],
        "form": form,
        "may_review": may(request.user, "feedback.review", project),
    }
