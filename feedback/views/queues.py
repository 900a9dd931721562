"""Pages of queues: open, watch, fill, change guidelines and policy, pause and close."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Avg, Count, Max, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from feedback.access import may, names_for, project_or_404
from feedback.filling import fill_from_responses, fillable_prompts
from feedback.forms import (
    FIRST_GUIDELINE,
    FillForm,
    GuidelineForm,
    PolicyForm,
    QueueForm,
    QueueStateForm,
    show_refusal,
)
from feedback.models import Assignment, Project, Queue, User
from feedback.queues import (
    GUIDELINE_LENGTH_LIMIT,
    QueueRefused,
    change_guideline,
    change_policy,
    open_queue,
    queue_progress,
    set_queue_state,
)
from feedback.views.requests import SignedInRequest

PAGE = 50
RULES = ("overlap", "lease_minutes", "allow_tie", "require_rationale")


@require_safe
@login_required
def queue_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_queues")
    queues = within.queues.select_related("created_by").annotate(
        slots=Count("assignments"), done=Count("assignments", filter=Q(assignments__state=Assignment.State.DONE))
    )
    queues = queues.order_by("-id")
    page_obj = Paginator(queues, PAGE).get_page(request.GET.get("page"))
    return render(request, "feedback/queues.html", {"project": within, "page_obj": page_obj})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def queue_open(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_queues")
    form = QueueForm(request.POST if request.method == "POST" else None, initial={"guideline": FIRST_GUIDELINE})
    context = {"project": within, "form": form}
    if request.method != "POST":
        return render(request, "feedback/queue_open.html", context)
    if not form.is_valid():
        return render(request, "feedback/queue_open.html", context, status=422)
    try:
        queue = open_queue(project=within, created_by=request.user, **form.cleaned_data)
    except QueueRefused as refusal:
        show_refusal(form, refusal)
        return render(request, "feedback/queue_open.html", context, status=422)
    messages.success(request, f"Queue “{queue.name}” is open. Now fill it with comparisons.")
    return redirect("queue", within.slug, queue.pk)


@require_safe
@login_required
def queue_detail(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.read_queues")
    context = {
        **progress_context(request.user, within, found),
        "guideline": found.guideline,
        "guidelines": found.guidelines.select_related("created_by").order_by("-number"),
        "policy": found.policy,
        "policies": found.policies.select_related("created_by").order_by("-number"),
        "fill_form": FillForm(),
        "may_manage": may(request.user, "feedback.manage_queues", within),
        "may_sample": may(request.user, "training.run", within),
        "pairable": fillable_prompts(found).count(),
    }
    return render(request, "feedback/queue.html", context)


@require_safe
@login_required
def queue_progress_live(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.read_queues")
    return render(request, "feedback/_queue_progress.html", progress_context(request.user, within, found))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def queue_guidelines(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.manage_queues")
    current = found.guideline
    form = GuidelineForm(request.POST if request.method == "POST" else None, initial={"guideline": current.text})
    context = {"project": within, "queue": found, "current": current, "form": form}
    if request.method != "POST":
        return render(request, "feedback/queue_guidelines.html", context)
    if not form.is_valid():
        return render(request, "feedback/queue_guidelines.html", context, status=422)
    try:
        version = change_guideline(queue=found, text=form.cleaned_data["guideline"], changed_by=request.user)
    except QueueRefused as refusal:
        form.add_error("guideline", refusal.message)
        return render(request, "feedback/queue_guidelines.html", context, status=422)
    if version == current:
        messages.info(request, "The text is unchanged, so there is no new version.")
    else:
        messages.success(request, f"Guidelines version {version.number} is what annotators read from now on.")
    return redirect("queue", within.slug, found.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def queue_policy(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.manage_queues")
    current = found.policy
    form = PolicyForm(
        request.POST if request.method == "POST" else None, initial={name: getattr(current, name) for name in RULES}
    )
    context = {"project": within, "queue": found, "current": current, "form": form}
    if request.method != "POST":
        return render(request, "feedback/queue_policy.html", context)
    if not form.is_valid():
        return render(request, "feedback/queue_policy.html", context, status=422)
    try:
        version = change_policy(queue=found, changed_by=request.user, **form.cleaned_data)
    except QueueRefused as refusal:
        show_refusal(form, refusal)
        return render(request, "feedback/queue_policy.html", context, status=422)
    if version == current:
        messages.info(request, "The rules are unchanged, so there is no new version.")
    else:
        messages.success(request, f"Policy version {version.number} holds for every claim from now on.")
    return redirect("queue", within.slug, found.pk)


@require_POST
@login_required
def queue_fill(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.manage_queues")
    form = FillForm(request.POST)
    if not form.is_valid():
        messages.error(request, f"Pairs per prompt: {form.errors['pairs'][0]}")
        return redirect("queue", within.slug, found.pk)
    filled = fill_from_responses(queue=found, pairs=form.cleaned_data["pairs"])
    if filled.comparisons:
        messages.success(request, f"Added {filled.comparisons} comparisons from {filled.prompts} prompts.")
    else:
        messages.info(
            request,
            "Nothing to add: every prompt with two or more responses is in the queue already.",
        )
    return redirect("queue", within.slug, found.pk)


@require_POST
@login_required
def queue_state(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.manage_queues")
    form = QueueStateForm(request.POST)
    if not form.is_valid():
        return HttpResponse("state must be open, paused or closed", status=422, content_type="text/plain")
    set_queue_state(queue=found, state=form.cleaned_data["state"])
    return redirect("queue", within.slug, found.pk)


@require_POST
@login_required
def guideline_preview(request: SignedInRequest, project: str) -> HttpResponse:
    """Show how annotators will see the text; writes nothing."""
    within = project_or_404(request.user, project, "feedback.manage_queues")
    text = request.POST.get("guideline", "")[:GUIDELINE_LENGTH_LIMIT]
    template = "feedback/_guideline_preview.html" if request.htmx else "feedback/guideline_preview.html"
    return render(request, template, {"project": within, "text": text})


def queue_or_404(request: SignedInRequest, project: str, queue: str, permission: str) -> tuple[Project, Queue]:
    within = project_or_404(request.user, project, permission)
    return within, get_object_or_404(within.queues.select_related("created_by"), pk=queue)


def progress_context(reader: User, project: Project, queue: Queue) -> dict:
    """Return what the page and its live fragment share."""
    progress = queue_progress(queue, timezone.now())
    name_of = names_for(reader, project)
    mine = Q(judgments__queue=queue, judgments__superseded_by__isnull=True)
    people = (
        User.objects.filter(mine)
        .annotate(
            judged=Count("judgments"), seconds=Avg("judgments__active_seconds"), last=Max("judgments__created_at")
        )
        .order_by("-judged", "username")
    )
    waiting = queue.state == Queue.State.OPEN and progress.done < progress.slots
    return {
        "project": project,
        "queue": queue,
        "progress": progress,
        "people": [(person, name_of(person)) for person in people[:PAGE]],
        "live": waiting,
    }
