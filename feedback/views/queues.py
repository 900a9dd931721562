"""Pages of queues: open, watch, fill, pause and close. What a queue asks and by which rules is in `queue_rules`."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Avg, Count, Max, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from feedback.access import may, names_for, project_or_404
from feedback.filling import fill_from_responses, fillable_prompts
from feedback.models import Assignment, Project, Queue, User
from feedback.queue_forms import FillForm, QueueStateForm
from feedback.queues import queue_progress, set_queue_state
from feedback.schemas import RESPONSES
from feedback.views.requests import SignedInRequest

PAGE = 50


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
        "enough": RESPONSES[found.kind][0],
        "fill_form": FillForm(),
        "may_manage": may(request.user, "feedback.manage_queues", within),
        "may_sample": may(request.user, "training.run", within),
        "fillable": fillable_prompts(found).count(),
    }
    return render(request, "feedback/queue.html", context)


@require_safe
@login_required
def queue_progress_live(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.read_queues")
    return render(request, "feedback/_queue_progress.html", progress_context(request.user, within, found))


@require_POST
@login_required
def queue_fill(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.manage_queues")
    form = FillForm(request.POST)
    if not form.is_valid():
        messages.error(request, f"Tasks per prompt: {form.errors['pairs'][0]}")
        return redirect("queue", within.slug, found.pk)
    filled = fill_from_responses(queue=found, pairs=form.cleaned_data["pairs"])
    if filled.tasks:
        messages.success(request, f"Added {count(filled.tasks, 'task')} from {count(filled.prompts, 'prompt')}.")
    else:
        messages.info(
            request,
            f"Nothing to add: every prompt with enough responses for a {found.kind} is in the queue already.",
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


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def queue_or_404(request: SignedInRequest, project: str, queue: str, permission: str) -> tuple[Project, Queue]:
    within = project_or_404(request.user, project, permission)
    return within, get_object_or_404(within.queues.in_force().select_related("created_by"), pk=queue)


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
