"""Pages of queues: open, watch, fill, pause and close. What a queue asks and by which rules is in `queue_rules`."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Avg, Count, Max, Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from feedback.access import may, names_for, project_or_404
from feedback.filling import fill_from_responses, fillable_prompts
from feedback.first_guidelines import FIRST_GUIDELINES
from feedback.forms import show_refusal
from feedback.models import Assignment, Project, Queue, User
from feedback.queue_forms import FillForm, OpenForm, QueueStateForm
from feedback.queues import QueueRefused, open_queue, queue_progress, set_queue_state
from feedback.schemas import RESPONSES, TaskKind
from feedback.views.requests import SignedInRequest

PAGE = 50
KIND_SAYS: dict[str, tuple[str, str]] = {
    TaskKind.COMPARISON: ("Which of two responses is better, and how much?", "Pairs for reward models and DPO."),
    TaskKind.RANKING: ("Put three to nine responses in order.", "Many pairs from one reading."),
    TaskKind.RATING: ("Rate one to four responses on several attributes.", "Scores to steer and to measure by."),
    TaskKind.DEMONSTRATION: ("Write the ideal response to a prompt.", "Texts for supervised fine-tuning."),
    TaskKind.CORRECTION: ("Edit a response until it is right.", "Edited over original, a pair by construction."),
    TaskKind.CONVERSATION: ("Talk with a model; choose between two answers at every turn.", "Pairs from live talks."),
}
"""What people do in a queue of each kind, and what comes out of it."""


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
def queue_kinds(request: SignedInRequest, project: str) -> HttpResponse:
    """Let the curator choose what people will do in the new queue."""
    within = project_or_404(request.user, project, "feedback.manage_queues")
    kinds = [(TaskKind(kind), says, gives) for kind, (says, gives) in KIND_SAYS.items()]
    return render(request, "feedback/queue_kinds.html", {"project": within, "kinds": kinds})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def queue_open(request: SignedInRequest, project: str, queue_kind: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_queues")
    if queue_kind not in TaskKind.values:
        raise Http404("there is no such kind of task")
    first = {"guideline": FIRST_GUIDELINES[queue_kind]}
    form = OpenForm(request.POST if request.method == "POST" else None, project=within, initial=first)
    context = {"project": within, "form": form, "new_kind": TaskKind(queue_kind), "says": KIND_SAYS[queue_kind][0]}
    if request.method != "POST":
        return render(request, "feedback/queue_open.html", context)
    if not form.is_valid():
        return render(request, "feedback/queue_open.html", context, status=422)
    chosen = {name: form.cleaned_data[name] for name in ("name", "guideline", "is_qualification")}
    try:
        queue = open_queue(project=within, created_by=request.user, kind=queue_kind, **chosen, **form.rules)
    except QueueRefused as refusal:
        show_refusal(form, refusal)
        return render(request, "feedback/queue_open.html", context, status=422)
    messages.success(request, f"Queue “{queue.name}” is open. Now fill it with tasks.")
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
