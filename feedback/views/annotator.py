"""Pages of the annotator: label, skip, keep a draft. `retaking` has what was lost, `own_judgments` what is judged."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from feedback.claims import BadSkip, LeaseLost, QueueNotOpen, SlotGone, claim_next, reclaim, renew_lease, skip
from feedback.eligibility import NotEligible
from feedback.guidelines import mark_read
from feedback.judging import (
    AlreadyJudged,
    BadJudgment,
    SubmissionDiffers,
    SubmissionIdTaken,
    save_draft,
    submit_judgment,
)
from feedback.label_forms import DraftForm, JudgmentForm, LeaseForm, RetakeForm, SkipForm, UnskipForm, said_in
from feedback.markdown import render_document
from feedback.models import Assignment, Queue, Skip, Task
from feedback.own_work import credible_seconds, retake_and_submit
from feedback.views import own_judgments, own_page
from feedback.views.label_page import (
    answer,
    guideline_context,
    in_queue,
    refusal,
    seconds_left,
    task_context,
    wants_json,
)
from feedback.views.label_parts import in_language
from feedback.views.losing import first_problem, lost
from feedback.views.next_task import next_task
from feedback.views.requests import SignedInRequest


@require_GET
@in_queue
def label(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Show the task that the person holds, or take the next one under a lease: this GET writes.

    With `ahead`, return the fragment of the task after those in `beside`, which the page has already; 204 without one.
    """
    if "ahead" in request.GET:
        return task_ahead(request, queue)
    return next_task(request, queue)


def task_ahead(request: SignedInRequest, queue: Queue) -> HttpResponse:
    try:
        beside = {uuid.UUID(given) for given in request.GET.getlist("beside")[:10]}
    except ValueError:
        return refusal("malformed", "beside holds ids of assignments", status=400)
    if queue.is_qualification:
        return HttpResponse(status=204)  # any judgment may decide the test, and the page then says so at once
    now = timezone.now()
    try:
        slot = claim_next(queue=queue, annotator=request.user, now=now, beside=beside)
    except (QueueNotOpen, NotEligible):
        slot = None
    if slot is None or slot.pk in beside:
        return HttpResponse(status=204)
    context = task_context(queue=queue, slot=slot, annotator=request.user, now=now, ahead=True)
    if request.GET.get("guideline") != str(context["guideline_number"]):
        context |= {**guideline_context(slot.guideline, request.user), "guideline_swap": True}
    return answer(request, queue, "_task.html", context)


@require_POST
@in_queue
def label_submit(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Store the judgment and show the next task; what is refused comes back as it was typed.

    A script that has the next task already asks for JSON: 201, or 409 and 422 with a reason, and asks again for the
    page with all that was typed.
    """
    now = timezone.now()
    form = JudgmentForm(request.POST)
    if not form.is_valid():
        return refused(request, queue, form, now)
    sent = form.cleaned_data
    task = get_object_or_404(queue.tasks, pk=sent["task"], assignments=sent["assignment"])
    task.queue = queue
    try:
        judgment = submit_judgment(
            **lease_of(form),
            **said_in(request.POST, kind=queue.kind, responses=sent["shown"]),
            annotator=request.user,
            submission_id=sent["submission_id"],
            active_seconds=seconds_of(sent, task, request, now),
            interface="page",
            now=now,
        )
    except BadJudgment as error:
        form.add_error(None, in_language(error.message))
        return refused(request, queue, form, now)
    except SubmissionDiffers as error:
        return refusal("differs", in_language(str(error))) if wants_json(request) else lost(request, queue, task, now)
    except SubmissionIdTaken as error:
        form.add_error(None, _("%(what)s. Submit again.") % {"what": error})
        return refused(request, queue, form, now, status=409, forget_submission=True)
    except LeaseLost as error:
        if wants_json(request):
            return refusal("lease_lost", str(error), slot_free=error.slot_free)
        return lost(request, queue, task, now)
    if wants_json(request):
        link = reverse("label-revise", args=[queue.pk, judgment.pk])
        return JsonResponse({"judgment": judgment.pk, "revise": f"{link}?back=label"}, status=201)
    return next_task(request, queue, announce=_("Saved. Next task."))


@require_POST
@in_queue
def label_retake(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Take a lost task again and submit what was typed, if a slot is free."""
    now = timezone.now()
    form = RetakeForm(request.POST)
    if not form.is_valid():
        return refused(request, queue, form, now)
    sent = form.cleaned_data
    task = get_object_or_404(queue.tasks, pk=sent["task"])
    task.queue = queue
    try:
        retake_and_submit(
            task=task,
            **said_in(request.POST, kind=queue.kind, responses=sent["shown"]),
            annotator=request.user,
            submission_id=sent["submission_id"],
            active_seconds=seconds_of(sent, task, request, now),
            interface="page",
            now=now,
        )
    except (BadJudgment, SubmissionIdTaken) as error:
        return lost(request, queue, task, now, problem=in_language(getattr(error, "message", str(error))))
    except (SlotGone, LeaseLost):
        return lost(request, queue, task, now)
    return next_task(request, queue, announce=_("Saved. Next task."))


@require_POST
@in_queue
def label_skip(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Free the slot, remember kind and reason, and show the next task with a way to take the skip back."""
    form = SkipForm(request.POST)
    if not form.is_valid():
        return next_task(request, queue, problem=_("Choose one of the reasons to skip."), status=422)
    now = timezone.now()
    sent = form.cleaned_data
    try:
        passed = skip(
            **lease_of(form),
            annotator=request.user,
            kind=sent["kind"] or Skip.Kind.OTHERS,
            reason=sent["reason"],
            note=sent["note"],
            active_seconds=seconds_at(sent, request, now),
            now=now,
        )
    except BadSkip as error:
        return next_task(request, queue, problem=error.message, status=422)
    except LeaseLost:
        return next_task(request, queue, problem=_("That task is no longer yours."), status=409)
    announce = _("Skipped: %(reason)s. Next task.") % {"reason": Skip.Reason(sent["reason"]).label}
    if not request.htmx:
        return redirect(f"{reverse('label', args=[queue.pk])}?skipped={passed.task_id}")
    return next_task(request, queue, announce=announce, skipped=passed.task_id)


@require_POST
@in_queue
def label_unskip(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Take a skip back and show its task, if a slot of it is free."""
    form = UnskipForm(request.POST)
    if not form.is_valid():
        return next_task(request, queue, problem=_("Say which task to take back."), status=422)
    skips = Skip.objects.filter(annotator=request.user, task__queue=queue, task=form.cleaned_data["task"])
    passed = skips.filter(taken_back_at__isnull=True).select_related("task").first()
    if passed is None:
        return next_task(request, queue, problem=_("You have not skipped that task."), status=422)
    now = timezone.now()
    try:
        slot = reclaim(task=passed.task, annotator=request.user, now=now)
    except SlotGone as error:
        problem = _("It cannot be taken back: %(why)s.") % {"why": in_language(str(error))}
        return next_task(request, queue, problem=problem, status=409)
    slot = Assignment.objects.with_task().get(pk=slot.pk)
    context = task_context(queue=queue, slot=slot, annotator=request.user, now=now)
    return answer(request, queue, "_task.html", {**context, "announce": _("The skip is taken back.")})


@require_POST
@in_queue
def label_draft(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Keep what was typed. 204; 422 with the errors; 409 once the task is judged."""
    form = DraftForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=422)
    sent = form.cleaned_data
    task = get_object_or_404(queue.tasks, pk=sent["task"])
    task.queue = queue
    try:
        save_draft(
            task=task,
            annotator=request.user,
            **said_in(request.POST, kind=queue.kind, responses=sent["shown"]),
            active_seconds=seconds_of(sent, task, request, timezone.now()),
        )
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


@require_http_methods(["GET", "HEAD", "POST"])
@in_queue
def label_guidelines(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """Show the queue's guidelines on a page of their own; a POST says that the person has them before them."""
    guideline = queue.guideline
    assert guideline is not None, "a queue has its guidelines"
    if request.method == "POST":
        mark_read(guideline=guideline, person=request.user)
        return HttpResponse(status=204) if wants_json(request) else redirect("label", queue.pk)
    context = {
        "guideline_html": render_document(guideline.text),
        **guideline_context(guideline, request.user),
        "guidelines_alone": True,
    }
    return answer(request, queue, "_guidelines_page.html", context)


# What the views share


def refused(
    request: SignedInRequest,
    queue: Queue,
    form: RetakeForm,
    now: datetime,
    *,
    status: int = 422,
    forget_submission: bool = False,
) -> HttpResponse:
    """Show the same task with what was typed and what is wrong with it."""
    problem = first_problem(form)
    if wants_json(request):
        return refusal("refused", problem, status=status)
    sent = form.cleaned_data
    held = Assignment.objects.filter(queue=queue, annotator=request.user, state=Assignment.State.LEASED)
    named = sent.get("assignment")
    slot = held.filter(pk=named).with_task().first() if named is not None else None
    if slot is None:
        task = queue.tasks.filter(pk__in=[sent["task"]] if "task" in sent else []).first()
        if task is None:
            return next_task(request, queue, problem=problem, status=status)
        task.queue = queue
        return lost(request, queue, task, now, problem=problem)
    entered = {
        **said_in(request.POST, kind=queue.kind, responses=len(slot.task.texts)),
        "active_seconds": sent.get("active_seconds", 0.0),
        "submission_id": None if forget_submission else sent.get("submission_id"),
    }
    context = task_context(queue=queue, slot=slot, annotator=request.user, now=now, entered=entered)
    return answer(request, queue, "_task.html", {**context, "problem": problem}, status=status)


def seconds_of(sent: dict[str, Any], task: Task, request: SignedInRequest, now: datetime) -> float:
    return credible_seconds(claimed=sent["active_seconds"], task=task, annotator=request.user, now=now)


def seconds_at(sent: dict[str, Any], request: SignedInRequest, now: datetime) -> float:
    """As `seconds_of`, of a form that names only the slot."""
    task = Task.objects.filter(assignments=sent["assignment"]).select_related("queue__policy").first()
    return 0.0 if task is None else seconds_of(sent, task, request, now)


def lease_of(form: LeaseForm | JudgmentForm) -> dict[str, Any]:
    return {"assignment_id": form.cleaned_data["assignment"], "lease_token": form.cleaned_data["lease_token"]}


urlpatterns = [
    path("q/<uuid:queue>/", label, name="label"),
    path("q/<uuid:queue>/submit/", label_submit, name="label-submit"),
    path("q/<uuid:queue>/retake/", label_retake, name="label-retake"),
    path("q/<uuid:queue>/skip/", label_skip, name="label-skip"),
    path("q/<uuid:queue>/unskip/", label_unskip, name="label-unskip"),
    path("q/<uuid:queue>/draft/", label_draft, name="label-draft"),
    path("q/<uuid:queue>/renew/", label_renew, name="label-renew"),
    path("q/<uuid:queue>/guidelines/", label_guidelines, name="label-guidelines"),
    path("q/<uuid:queue>/me/", own_page.me, name="label-me"),
    path("q/<uuid:queue>/history/", own_judgments.history, name="label-history"),
    path("q/<uuid:queue>/history/<uuid:judgment>/", own_judgments.revise, name="label-revise"),
    path("q/<uuid:queue>/history/<uuid:judgment>/answer/", own_judgments.answer, name="label-answer"),
]
