"""Pages of the annotator: label, skip, take back what was lost. `own_judgments` has the history and revisions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST, require_safe

from feedback.claims import BadSkip, LeaseLost, QueueNotOpen, SlotGone, claim_next, free_slot, renew_lease, skip
from feedback.display import BadSeal, shown_first_of
from feedback.forms import show_refusal
from feedback.judging import (
    AlreadyJudged,
    BadJudgment,
    SubmissionDiffers,
    SubmissionIdTaken,
    flag_labels,
    save_draft,
    submit_judgment,
)
from feedback.label_forms import DraftForm, JudgmentForm, LeaseForm, RetakeForm, SkipForm
from feedback.markdown import render_document
from feedback.models import Assignment, Comparison, Judgment, Queue, Skip
from feedback.own_work import credible_seconds, own_progress, retake_and_submit
from feedback.views import own_judgments
from feedback.views.label_page import (
    answer,
    in_queue,
    in_words,
    refusal,
    seconds_left,
    task_context,
)
from feedback.views.requests import SignedInRequest


@require_GET
@in_queue
def label(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Show the comparison that the person holds, or take the next one under a lease: this GET writes."""
    return next_task(request, queue)


@require_POST
@in_queue
def label_submit(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Store the judgment and show the next comparison; what is refused comes back as it was typed."""
    now = timezone.now()
    form = JudgmentForm(request.POST)
    if not form.is_valid():
        return refused(request, queue, form, now)
    said = form.cleaned_data
    comparison = get_object_or_404(queue.comparisons, pk=said["comparison"], assignments=said["assignment"])
    try:
        shown_first_id = shown_first_of(comparison=comparison, annotator=request.user, mark=said["order"])
        submit_judgment(
            **lease_of(form),
            annotator=request.user,
            submission_id=said["submission_id"],
            preference=comparison.turn(said["preference"], shown_first_id),
            rationale=said["rationale"],
            flags=said["flags"],
            active_seconds=seconds_of(said, comparison, request, now),
            interface="page",
            now=now,
        )
    except BadSeal as error:
        form.add_error(None, str(error))
        return refused(request, queue, form, now)
    except BadJudgment as error:
        show_refusal(form, error)
        return refused(request, queue, form, now)
    except SubmissionDiffers:
        return lost(request, queue, comparison, said, now)
    except SubmissionIdTaken as error:
        form.add_error(None, f"{error}. Submit again.")
        return refused(request, queue, form, now, status=409, forget_submission=True)
    except LeaseLost:
        return lost(request, queue, comparison, said, now)
    return next_task(request, queue, announce="Saved. Next comparison.")


@require_POST
@in_queue
def label_retake(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Take a lost comparison again and submit what was typed, if a slot is free."""
    now = timezone.now()
    form = RetakeForm(request.POST)
    if not form.is_valid():
        return refused(request, queue, form, now)
    said = form.cleaned_data
    comparison = get_object_or_404(queue.comparisons, pk=said["comparison"])
    try:
        retake_and_submit(
            comparison=comparison,
            annotator=request.user,
            shown_first_id=shown_first_of(comparison=comparison, annotator=request.user, mark=said["order"]),
            submission_id=said["submission_id"],
            preference=said["preference"],
            rationale=said["rationale"],
            flags=said["flags"],
            active_seconds=seconds_of(said, comparison, request, now),
            interface="page",
            now=now,
        )
    except (BadSeal, BadJudgment, SubmissionIdTaken) as error:
        return lost(request, queue, comparison, said, now, problem=getattr(error, "message", str(error)))
    except (SlotGone, LeaseLost):
        return lost(request, queue, comparison, said, now)
    return next_task(request, queue, announce="Saved. Next comparison.")


@require_POST
@in_queue
def label_skip(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Free the slot, remember the reason, and show the next comparison."""
    form = SkipForm(request.POST)
    if not form.is_valid():
        return next_task(request, queue, problem="Choose one of the reasons to skip.", status=422)
    said = form.cleaned_data
    try:
        skip(annotator=request.user, reason=said["reason"], note=said["note"], now=timezone.now(), **lease_of(form))
    except BadSkip as error:
        return next_task(request, queue, problem=error.message, status=422)
    except LeaseLost:
        return next_task(request, queue, announce="That comparison was no longer yours. Here is the next one.")
    return next_task(request, queue, announce=f"Skipped: {Skip.Reason(said['reason']).label}. Next comparison.")


@require_POST
@in_queue
def label_draft(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Keep what was typed. 204; 422 with the errors; 409 once the comparison is judged."""
    form = DraftForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=422)
    said = form.cleaned_data
    comparison = get_object_or_404(queue.comparisons, pk=said["comparison"])
    try:
        shown_first_id = shown_first_of(comparison=comparison, annotator=request.user, mark=said["order"])
        preference = said["preference"]
        save_draft(
            comparison=comparison,
            annotator=request.user,
            preference=None if preference is None else comparison.turn(preference, shown_first_id),
            rationale=said["rationale"],
            flags=said["flags"],
            active_seconds=seconds_of(said, comparison, request, timezone.now()),
        )
    except BadSeal as error:
        return refusal("bad_seal", str(error), status=422)
    except AlreadyJudged as error:
        return refusal("already_judged", str(error))
    except BadJudgment as error:
        return refusal(error.field, error.message, status=422)
    return HttpResponse(status=204)


@require_POST
@in_queue
def label_renew(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Let the lease run anew; a script calls it while the person is at work."""
    form = LeaseForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=422)
    now = timezone.now()
    try:
        slot = renew_lease(annotator=request.user, now=now, **lease_of(form))
    except LeaseLost as error:
        return refusal("lease_lost", str(error), slot_free=error.slot_free)
    return JsonResponse({"lease_expires_at": slot.lease_expires_at, "seconds_left": seconds_left(slot, now)})


@require_safe
@in_queue
def label_guidelines(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Show the queue's guidelines on a page of their own."""
    guideline = queue.guideline
    context = {"guideline_number": guideline.number, "guideline_html": render_document(guideline.text)}
    return answer(request, queue, "_guidelines_page.html", context)


# What the views share


def next_task(
    request: SignedInRequest, queue: Queue, *, announce: str = "", problem: str = "", status: int = 200
) -> HttpResponse:
    """Show the next comparison, or that there is none; without htmx, a post is answered by a redirect."""
    if request.method == "POST" and not request.htmx and status == 200:
        return redirect("label", queue.pk)
    now = timezone.now()
    shared: dict[str, Any] = {"announce": announce, "problem": problem}
    try:
        slot = claim_next(queue=queue, annotator=request.user, now=now)
    except QueueNotOpen:
        return answer(request, queue, "_no_task.html", {**shared, **rest(request, queue, now), "not_open": True})
    if slot is None:
        return answer(request, queue, "_no_task.html", {**shared, **rest(request, queue, now)})
    context = task_context(queue=queue, slot=slot, annotator=request.user, now=now)
    seen = request.POST.get("guideline", "")
    context["guideline_swap"] = bool(request.htmx) and seen != str(context["guideline_number"])
    return answer(request, queue, "_task.html", {**context, **shared}, status=status)


def rest(request: SignedInRequest, queue: Queue, now: datetime) -> dict[str, Any]:
    """Return what the page without a task says."""
    others = Queue.objects.for_annotator(request.user).open().exclude(pk=queue.pk).select_related("project")
    return {
        "progress": own_progress(queue=queue, annotator=request.user, now=now),
        "elsewhere": [
            (other, progress)
            for other in others[:10]
            if (progress := own_progress(queue=other, annotator=request.user, now=now)).left
        ],
    }


def refused(
    request: SignedInRequest,
    queue: Queue,
    form: RetakeForm,
    now: datetime,
    *,
    status: int = 422,
    forget_submission: bool = False,
) -> HttpResponse:
    """Show the same comparison with what was typed and what is wrong with it."""
    said = form.cleaned_data
    held = Assignment.objects.filter(queue=queue, annotator=request.user, state=Assignment.State.LEASED)
    named = said.get("assignment")
    slot = held.filter(pk=named).with_task().first() if named is not None else None
    if slot is None:
        comparison = queue.comparisons.filter(pk__in=[said["comparison"]] if "comparison" in said else []).first()
        if comparison is None:
            return next_task(request, queue, problem=first_problem(form), status=status)
        typed = {"preference": None, "flags": [], "active_seconds": 0.0, **said, "rationale": text_in(form)}
        return lost(request, queue, comparison, typed, now, problem=first_problem(form))
    entered = {
        "preference": said.get("preference"),
        "rationale": text_in(form),
        "flags": said.get("flags", []),
        "active_seconds": said.get("active_seconds", 0.0),
        "submission_id": None if forget_submission else said.get("submission_id"),
    }
    context = task_context(queue=queue, slot=slot, annotator=request.user, now=now, entered=entered)
    return answer(request, queue, "_task.html", {**context, "problem": first_problem(form)}, status=status)


def text_in(form: RetakeForm) -> str:
    """Return the rationale as it was typed, even one that is refused."""
    return str(form.cleaned_data.get("rationale", form.data.get("rationale", "")))


def first_problem(form: RetakeForm) -> str:
    """Return the first message of the form in words for a person."""
    for messages in form.errors.values():
        return str(messages[0])
    return ""


def lost(
    request: SignedInRequest,
    queue: Queue,
    comparison: Comparison,
    said: dict[str, Any],
    now: datetime,
    *,
    problem: str = "",
) -> HttpResponse:
    """Tell that the comparison is no longer the person's, with all they typed and what they can do."""
    judged = Judgment.objects.current().filter(comparison=comparison, annotator=request.user).first()
    is_open = queue.state == Queue.State.OPEN
    may_go_on = judged is None and is_open and said["preference"] is not None
    free = may_go_on and free_slot(comparison=comparison, annotator=request.user, now=now) is not None
    context = {
        "said": said,
        "choice": in_words(said["preference"]),
        "flags": flag_labels(said["flags"]),
        "slot_free": free,
        "judged_id": judged.pk if judged else None,
        "not_open": not is_open,
        "problem": problem,
        "person": request.user.pk,
    }
    return answer(request, queue, "_lost.html", context, status=409)


def seconds_of(said: dict[str, Any], comparison: Comparison, request: SignedInRequest, now: datetime) -> float:
    return credible_seconds(claimed=said["active_seconds"], comparison=comparison, annotator=request.user, now=now)


def lease_of(form: LeaseForm | JudgmentForm) -> dict[str, Any]:
    return {"assignment_id": form.cleaned_data["assignment"], "lease_token": form.cleaned_data["lease_token"]}


urlpatterns = [
    path("q/<uuid:queue>/", label, name="label"),
    path("q/<uuid:queue>/submit/", label_submit, name="label-submit"),
    path("q/<uuid:queue>/retake/", label_retake, name="label-retake"),
    path("q/<uuid:queue>/skip/", label_skip, name="label-skip"),
    path("q/<uuid:queue>/draft/", label_draft, name="label-draft"),
    path("q/<uuid:queue>/renew/", label_renew, name="label-renew"),
    path("q/<uuid:queue>/guidelines/", label_guidelines, name="label-guidelines"),
    path("q/<uuid:queue>/history/", own_judgments.history, name="label-history"),
    path("q/<uuid:queue>/history/<uuid:judgment>/", own_judgments.revise, name="label-revise"),
]
