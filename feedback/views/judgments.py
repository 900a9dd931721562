"""Pages of judgments: find them, read one with its provenance, decide one after the other."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from feedback.access import may, names_for, project_or_404
from feedback.commenting import CommentRefused, comment_on
from feedback.forms import show_refusal
from feedback.gold import is_right
from feedback.judgment_filter_forms import JudgmentFilter
from feedback.judgment_search import find, in_order_of
from feedback.models import Comment, Gold, Judgment, Project, Review, User
from feedback.models.judgments import JudgmentQuerySet
from feedback.review_forms import BulkForm, CommentForm, ReviewForm
from feedback.reviewing import ReviewMovedOn, ReviewRefused, fixed_answer, review_judgment, undo_review
from feedback.schemas import TaskKind
from feedback.snapshot_members import snapshots_holding
from feedback.views.answer_parts import answer_parts, in_words, said
from feedback.views.requests import SignedInRequest
from feedback.views.tasks import ids_in
from feedback.views.words import sentence

PAGE = 50
PARTS = ("queue__project", "annotator", "assignment", "guideline", "policy", "schema__queue", "task__prompt")
TO_REVIEW = {"review": "none", "drawn": "on", "simulated": "no", "order": "oldest"}
"""What the review goes through where nobody chose anything: each person's drawn share, the oldest first."""
UNREVIEWED = {"review": "none", "simulated": "no", "order": "oldest"}
DONE = {"accept": "Accepted.", "reject": "Rejected.", "requeue": "Rejected; somebody else is asked."}


@require_safe
@login_required
def judgment_list(request: SignedInRequest, project: str) -> HttpResponse:
    """List judgments page by page; `beyond` names the one before the first of the page."""
    within = project_or_404(request.user, project, "feedback.read_judgments")
    name_of = names_for(request.user, within)
    filters = JudgmentFilter(request.GET, project=within, names=name_of)
    beyond = next(iter(ids_in([request.GET.get("beyond", "")])), None)
    found = find(filters.search(), beyond=beyond, limit=PAGE, newest_first=filters.newest_first)
    rows = in_order_of(
        found.judgments,
        Judgment.objects.with_review_state().select_related("queue", "annotator", "schema__queue", "task__prompt"),
    )
    reached = Judgment.objects.filter(pk=found.resume).first() if found.resume and not found.in_full else None
    context = {
        "project": within,
        "filters": filters,
        "beyond": beyond,
        "found": found,
        "reached": reached,
        "rows": [(judgment, name_of(judgment.annotator), said(judgment)) for judgment in rows],
        "may_review": may(request.user, "feedback.review", within),
        "bulk_form": BulkForm(),
        "to_review": urlencode(filters.as_told() if filters.is_narrow else TO_REVIEW),
    }
    return render(request, "feedback/judgments.html", context)


@require_safe
@login_required
def judgment_next(request: SignedInRequest, project: str) -> HttpResponse:
    """Go on to the next judgment that the filters choose beyond `beyond`, or back to the one before it."""
    within = project_or_404(request.user, project, "feedback.read_judgments")
    filters = JudgmentFilter(request.GET, project=within)
    beyond = next(iter(ids_in([request.GET.get("beyond", "")])), None)
    forwards = "back" not in request.GET
    following = next_in(filters, beyond=beyond, person=request.user, forwards=forwards)
    if following is not None:
        return redirect(address(within, following, filters))
    if forwards:
        messages.info(request, "That was the last one that these filters choose." if beyond else "Nothing is waiting.")
    else:
        messages.info(request, "There is none before it.")
    if beyond is not None and not forwards:
        return redirect(f"{reverse('judgment', args=[within.slug, beyond])}?{filters.query}")
    return redirect(f"{reverse('judgments', args=[within.slug])}?{filters.query}")


def next_in(filters: JudgmentFilter, *, beyond: Any, person: User, forwards: bool = True) -> Judgment | None:
    """Return the judgment after or before `beyond`, without the person's own."""
    search = filters.search(without=person)
    found = find(search, beyond=beyond, limit=1, newest_first=filters.newest_first == forwards, seconds=None)
    return Judgment.objects.filter(pk__in=found.judgments).first()


def address(project: Project, judgment: Judgment, filters: JudgmentFilter) -> str:
    query = filters.query
    return f"{reverse('judgment', args=[project.slug, judgment.pk])}{'?' if query else ''}{query}"


@require_safe
@login_required
def judgment_detail(request: SignedInRequest, project: str, judgment: str) -> HttpResponse:
    within, found = judgment_or_404(request, project, judgment, "feedback.read_judgments")
    return render(request, "feedback/judgment.html", judgment_context(request, within, found, ReviewForm()))


@require_POST
@login_required
def judgment_review(request: SignedInRequest, project: str, judgment: str) -> HttpResponse:
    """Accept or reject, then go on to the next one that the filters of the address choose."""
    within, found = judgment_or_404(request, project, judgment, "feedback.review")
    form, status = ReviewForm(request.POST), 422
    if form.is_valid():
        verdict = form.cleaned_data["verdict"]
        try:
            review_judgment(
                judgment=found,
                reviewer=request.user,
                accepted=verdict == "accept",
                requeue=verdict == "requeue",
                reason=form.cleaned_data["reason"],
                seen=form.cleaned_data["seen"],
            )
        except ReviewRefused as refusal:
            show_refusal(form, refusal)
            status = 409 if refusal.field == "judgment" else 422
        except ReviewMovedOn as moved:
            form.add_error(None, sentence(moved))
            status = 409
    if form.errors:
        context = judgment_context(request, within, found, form)
        return render(request, "feedback/judgment.html", context, status=status)
    return going_on(request, within, found, DONE[form.cleaned_data["verdict"]])


def going_on(request: SignedInRequest, project: Project, judgment: Judgment, done: str) -> HttpResponse:
    """Say what was done, and show the next judgment if the page asked for it."""
    filters = JudgmentFilter(request.GET, project=project)
    if "next" not in request.POST:
        messages.success(request, done)
        return redirect(address(project, judgment, filters))
    stream = filters if filters.is_narrow else JudgmentFilter(UNREVIEWED, project=project)
    following = next_in(stream, beyond=judgment.pk, person=request.user)
    if following is None and not filters.is_narrow:
        following = next_in(stream, beyond=None, person=request.user)
    messages.success(request, f"{done}{' Here is the next one.' if following else ' That was the last one.'}")
    return redirect(address(project, following or judgment, filters))


@require_POST
@login_required
def judgment_undo(request: SignedInRequest, project: str) -> HttpResponse:
    """Take back the latest decision that this person made here one by one, and show what it was about."""
    within = project_or_404(request.user, project, "feedback.review")
    filters = JudgmentFilter(request.GET, project=within)
    mine = Review.objects.filter(reviewer=request.user, judgment__queue__project=within, bulk__isnull=True)
    latest = mine.filter(undoes__isnull=True, undone_by__isnull=True).select_related("judgment__queue__project").first()
    if latest is None:
        messages.info(request, "You have decided nothing here that could be taken back.")
        return redirect(f"{reverse('judgments', args=[within.slug])}?{filters.query}")
    try:
        restored = undo_review(review=latest, undone_by=request.user)
    except (ReviewRefused, ReviewMovedOn) as refusal:
        messages.error(request, sentence(getattr(refusal, "message", refusal)))
    else:
        messages.success(request, f"Taken back: it is {restored.state or 'not reviewed'} again.{slot_words(latest)}")
    return redirect(address(within, latest.judgment, filters))


def slot_words(review: Review) -> str:
    """Say what became of the slot that a decision gave the task."""
    if review.slot is None:
        return ""
    review.slot.refresh_from_db()
    if review.slot.state == "withdrawn":
        return " Nobody else is asked any more."
    return " Somebody else has the task already, and keeps it."


@require_POST
@login_required
def judgment_comment(request: SignedInRequest, project: str, judgment: str) -> HttpResponse:
    within, found = judgment_or_404(request, project, judgment, "feedback.review")
    form = CommentForm(request.POST)
    if form.is_valid():
        try:
            comment_on(judgment=found, author=request.user, now=timezone.now(), **form.cleaned_data)
        except CommentRefused as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, "Your comment is there.")
            return redirect(address(within, found, JudgmentFilter(request.GET, project=within)))
    context = judgment_context(request, within, found, ReviewForm(), comment_form=form)
    return render(request, "feedback/judgment.html", context, status=422)


def judgment_or_404(request: SignedInRequest, project: str, judgment: str, permission: str) -> tuple[Project, Judgment]:
    within = project_or_404(request.user, project, permission)
    found = Judgment.objects.in_project(within).select_related(*PARTS).prefetch_related("task__links__response")
    return within, get_object_or_404(found, pk=judgment)


def judgments_of(project: Project) -> JudgmentQuerySet:
    """Return the judgments that count now, those of people and of simulated annotators."""
    return Judgment.objects.in_project(project).current()


def judgment_context(
    request: SignedInRequest,
    project: Project,
    judgment: Judgment,
    form: ReviewForm,
    *,
    comment_form: CommentForm | None = None,
) -> dict[str, Any]:
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
    reviews = list(judgment.reviews.select_related("reviewer"))
    latest = reviews[0] if reviews else None
    own = judgment.annotator_id == request.user.pk
    filters = JudgmentFilter(request.GET, project=project, names=name_of)
    comments = Comment.objects.filter(judgment__assignment=judgment.assignment_id).select_related("author")
    return {
        **answer,
        "shown": [answer["sides"][place] for place in judgment.display_order],
        "project": project,
        "judgment": judgment,
        "annotator_name": name_of(judgment.annotator),
        "revisions": [(revision, said(revision)) for revision in revisions],
        "newest": revisions[0],
        "is_right": right_by_gold(judgment),
        "is_current": revisions[0] == judgment and judgment.erased_by_id is None,
        "reviews": [(review, fixed_in_words(review, judgment)) for review in reviews],
        "latest": latest,
        "snapshots": snapshots_holding(judgment),
        "others": [(other, name_of(other.annotator), said(other)) for other in others],
        "comments": [(one, name_of(one.author)) for one in comments],
        "form": form,
        "comment_form": comment_form or CommentForm(),
        "filters": filters,
        "is_own": own,
        "may_review": may(request.user, "feedback.review", project),
        "may_fix": judgment.schema.asks.kind != TaskKind.CONVERSATION,
    }


def fixed_in_words(review: Review, judgment: Judgment) -> str:
    """Say what a fix put in place of the answer; nothing of other reviews."""
    if review.fixed is None:
        return ""
    answer = fixed_answer(review, judgment)
    return in_words(judgment.schema.asks, answer.preference, answer.content)


def right_by_gold(judgment: Judgment) -> bool | None:
    """Tell whether a judgment of a gold task is right; None where there is no gold."""
    gold = Gold.objects.filter(task=judgment.task_id).first()
    return None if gold is None else is_right(judgment.schema.asks, gold.answer, judgment.answer)


def back_to(request: HttpRequest, name: str, *args: Any) -> str:
    """Return the address of a page with the filters that stand in this request's address."""
    query = request.GET.urlencode()
    return f"{reverse(name, args=args)}{'?' if query else ''}{query}"
