"""Pages of queues: open, watch, fill, pause and close. What a queue asks and by which rules is in `queue_rules`."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from feedback.access import may, names_for, project_or_404
from feedback.contract import HOLDOUT, SPLITS
from feedback.counting import count_up_to, said_count
from feedback.filling import fill_from_responses, fillable_prompts
from feedback.models import (
    Arm,
    Assignment,
    Judgment,
    Project,
    Queue,
    QueuePolicy,
    Response,
    Skip,
    TaskResponse,
    Turn,
    User,
)
from feedback.models.tasks import AssignmentQuerySet
from feedback.policies import policies
from feedback.queue_forms import FillForm, QueueStateForm, RulesForm, rules_in_words
from feedback.queues import QueueProgress, default_rules, queue_progress, set_queue_state
from feedback.schemas import RESPONSES, Schema, TaskKind
from feedback.views.requests import SignedInRequest
from feedback.views.words import count

PAGE = 50
UNANSWERED_SHOWN = 3
FILLABLE_SHOWN = 1_000
MANY_SLOTS = 50_000
LATEST = 5_000
"""So many of a queue's latest judgments say how long people take, and why tasks were handed out."""
"""From so many on, counting them takes a good part of a second, so the page asks less often."""


@require_safe
@login_required
def queue_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_queues")
    # Counted by subqueries, so that only the queues on this page of the list are.
    slots = Assignment.objects.filter(queue=OuterRef("pk"))
    queues = (
        within.queues.select_related("created_by")
        .annotate(slots=number_of(slots), done=number_of(slots.done()))
        .order_by("-id")
    )
    page_obj = Paginator(queues, PAGE).get_page(request.GET.get("page"))
    naming = Response.objects.naming_itself().in_project(within).filter(naming_settled_at__isnull=True)
    context = {
        "project": within,
        "page_obj": page_obj,
        "review_waiting": Skip.objects.up_for_review()
        .filter(task__queue__project=within)
        .values("task")
        .distinct()
        .count(),
        "naming_waiting": naming.count(),
    }
    return render(request, "feedback/queues.html", context)


@require_safe
@login_required
def queue_detail(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.read_queues")
    assert found.policy is not None, "a queue has its rules"
    assert found.schema is not None, "a queue has its label schema"
    # From the few responses that name a model to the queue's many tasks, never the other way round.
    here = TaskResponse.objects.filter(response=OuterRef("pk"), task__queue=found)
    naming = Response.objects.naming_itself().filter(Exists(here), naming_settled_at__isnull=True)
    fillable = count_up_to(fillable_prompts(found, splits=SPLITS), FILLABLE_SHOWN)
    context = {
        **progress_context(request.user, within, found),
        "guideline": found.guideline,
        "policy": found.policy,
        "rules": chosen_rules(found.policy),
        "schema": found.schema,
        "asks": found.schema.asks,
        "arms": arms_of(found),
        "review_waiting": Skip.objects.up_for_review().filter(task__queue=found).values("task").distinct().count(),
        "naming_waiting": naming.count(),
        "unanswered": Turn.objects.unanswered().filter(task__queue=found)[:UNANSWERED_SHOWN],
        "named": found.named.count(),
        "nobody_talks": nobody_talks(found.schema.asks),
        "without_gold": found.tasks.filter(gold__isnull=True).count() if found.is_qualification else 0,
        "fill_form": FillForm(),
        "fillable": fillable,
        "fillable_said": said_count(fillable, FILLABLE_SHOWN),
        "any_holdout": found.project.prompts.pool().filter(split=HOLDOUT).exists(),
        "enough": RESPONSES[found.kind][0],
        "may_manage": may(request.user, "feedback.manage_queues", within),
        "may_sample": may(request.user, "training.run", within),
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
    filled = fill_from_responses(queue=found, pairs=form.cleaned_data["pairs"], **form.which())
    if filled.tasks:
        messages.success(request, f"Added {count(filled.tasks, 'task')} from {count(filled.prompts, 'prompt')}.")
    else:
        messages.info(
            request,
            f"Nothing to add: every such prompt with enough responses for a {found.kind} is in the queue already.",
        )
    return redirect("queue", within.slug, found.pk)


@require_POST
@login_required
def queue_state(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.manage_queues")
    form = QueueStateForm(request.POST)
    if not form.is_valid():
        return HttpResponse("state must be open, paused or closed", status=422, content_type="text/plain")
    set_queue_state(queue=found, state=form.cleaned_data["state"], set_by=request.user)
    return redirect("queue", within.slug, found.pk)


def nobody_talks(asks: Schema) -> str:
    """Say why nobody would answer in a conversation queue; empty where somebody would, and for other kinds."""
    if asks.kind != TaskKind.CONVERSATION:
        return ""
    if not asks.policies:
        return "No checkpoint is chosen to answer, so nobody can talk here."
    return (
        ""
        if policies().somebody_answers(timezone.now())
        else "Nothing that answers is running at the moment; an operator starts it with manage.py talker."
    )


def number_of(slots: AssignmentQuerySet) -> Coalesce:
    """Count the slots of the outer queue in a subquery."""
    counted = slots.order_by().values("queue").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(counted), 0)


def chosen_rules(policy: QueuePolicy) -> dict[str, str]:
    """Return the rules that differ from the default, in words; the others go without saying."""
    said, default = rules_in_words(policy), rules_in_words(QueuePolicy(**default_rules()))
    always = {str(RulesForm.base_fields[name].label) for name in ("overlap", "lease_minutes")}
    return {label: value for label, value in said.items() if label in always or value != default[label]}


def arms_of(queue: Queue) -> list[tuple[str, int, float]]:
    """Count why people were handed the latest that they judged: each arm, its number and its share in percent."""
    counted = Counter(latest(queue).values_list("arm", flat=True)[:LATEST])
    whole = sum(counted.values())
    return [(Arm(arm).label, counted[arm], 100 * counted[arm] / whole) for arm in Arm.values if counted.get(arm)]


def people_at_work(queue: Queue) -> list[User]:
    """Return those who judged most in the queue, each with `judged`, `last`, and `seconds`: the mean active time of
    what they judged among the queue's latest. Counted by slots, so that no long queue is read whole."""
    done = Assignment.objects.filter(queue=queue, annotator__isnull=False).done()
    # COUNT(*), because an index holds all of it but the rows' ids.
    judged = dict(done.values_list("annotator").annotate(number=Count("*")).order_by("-number", "annotator")[:PAGE])
    times: dict[int, list[float]] = defaultdict(list)
    for annotator, seconds in (
        latest(queue).exclude(active_seconds=None).values_list("annotator", "active_seconds")[:LATEST]
    ):
        assert seconds is not None, "what nobody measured is left out"
        times[annotator].append(seconds)
    own = Judgment.objects.filter(queue=queue, annotator=OuterRef("pk")).order_by("-id")
    people = User.objects.annotate(last=Subquery(own.values("created_at")[:1])).in_bulk(judged)
    for pk, person in people.items():
        person.judged = judged[pk]  # type: ignore[attr-defined]
        person.seconds = statistics.fmean(times[pk]) if times[pk] else None  # type: ignore[attr-defined]
    return [people[pk] for pk in judged]


def latest(queue: Queue) -> QuerySet[Judgment]:
    return Judgment.objects.filter(queue=queue).order_by("-id")


def segments(progress: QueueProgress) -> list[dict[str, Any]]:
    """Return the bar of a queue's slots, in percent of its width."""
    bar, at = [], 0.0
    for state in ("done", "leased", "open", "withdrawn"):
        number = getattr(progress, state)
        width = 100 * number / progress.slots if progress.slots else 0.0
        if number:
            bar.append({"state": state, "number": number, "at": round(at, 3), "width": round(width, 3)})
        at += width
    return bar


def queue_or_404(request: SignedInRequest, project: str, queue: str, permission: str) -> tuple[Project, Queue]:
    within = project_or_404(request.user, project, permission)
    return within, get_object_or_404(within.queues.in_force().select_related("created_by"), pk=queue)


def progress_context(reader: User, project: Project, queue: Queue) -> dict:
    """Return what the page and its live fragment share."""
    progress = queue_progress(queue, timezone.now())
    name_of = names_for(reader, project)
    waiting = queue.state == Queue.State.OPEN and progress.done < progress.slots
    return {
        "project": project,
        "queue": queue,
        "progress": progress,
        "segments": segments(progress),
        "people": [(person, name_of(person)) for person in people_at_work(queue)],
        "live": waiting,
        "poll_seconds": 4 if progress.slots < MANY_SLOTS else 60,
    }
