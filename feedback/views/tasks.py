"""Pages of a queue's tasks: find them, look into one, put it first, take it out, give it to somebody."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Max, Q
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from feedback.access import may, names_for, project_or_404
from feedback.appointing import AppointmentRefused, give_task
from feedback.gold import KINDS
from feedback.models import Assignment, Judgment, Project, Skip, Task, User
from feedback.schemas import Schema
from feedback.steering import SteeringRefused, return_task, set_priority, set_priority_by_tag, withdraw_task
from feedback.steering_forms import PersonForm, PriorityForm, TagPriorityForm, TaskFilter
from feedback.views.answer_parts import in_words, said, sides_of
from feedback.views.queues import queue_or_404
from feedback.views.requests import SignedInRequest
from feedback.views.words import count, sentence

PAGE = 50


@require_safe
@login_required
def task_list(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.read_queues")
    now = timezone.now()
    filters = TaskFilter(request.GET, label_suffix="")
    tasks = filters.select(found.tasks.filter(repeat_of__isnull=True).select_related("prompt", "gold"), now)
    page_obj = Paginator(tasks.order_by("id"), PAGE).get_page(request.GET.get("page"))
    slots = slots_of(page_obj, now)
    context = {
        "project": within,
        "queue": found,
        "filters": filters,
        "page_obj": page_obj,
        "rows": [(task, slots.get(task.pk)) for task in page_obj],
        "tag_form": TagPriorityForm(),
        "may_manage": may(request.user, "feedback.manage_queues", within),
    }
    return render(request, "feedback/tasks.html", context)


def slots_of(tasks: Iterable[Task], now: datetime) -> dict[uuid.UUID, dict[str, Any]]:
    """Count each task's slots by what stands with them; a lease that ran out counts as open."""
    live = Q(state=Assignment.State.LEASED, lease_expires_at__gt=now)
    counted = (
        Assignment.objects.filter(task__in=[task.pk for task in tasks])
        .values("task_id")
        .annotate(
            done=Count("pk", filter=Q(state=Assignment.State.DONE)),
            held=Count("pk", filter=live),
            open=Count("pk", filter=Q(state__in=[Assignment.State.OPEN, Assignment.State.LEASED]) & ~live),
            withdrawn=Count("pk", filter=Q(state=Assignment.State.WITHDRAWN)),
            priority=Max("priority"),
        )
    )
    return {row["task_id"]: dict(row) for row in counted}


@require_POST
@login_required
def tasks_steer(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    """Do one thing with all tasks that are ticked: set their priority, take them out, or return them."""
    within, found = queue_or_404(request, project, queue, "feedback.manage_queues")
    chosen = list(found.tasks.filter(pk__in=ids_in(request.POST.getlist("task"))))
    verb, now = request.POST.get("do", ""), timezone.now()
    if verb not in ("priority", "withdraw", "return"):
        return HttpResponse("do must be priority, withdraw or return", status=422, content_type="text/plain")
    if not chosen:
        messages.error(request, "Tick at least one task first.")
    elif verb == "priority":
        form = PriorityForm(request.POST)
        if form.is_valid():
            priority = form.cleaned_data["priority"]
            number = set_priority(queue=found, tasks=chosen, priority=priority, set_by=request.user)
            messages.success(request, f"{count(number, 'task')} now with priority {form.cleaned_data['priority']:g}.")
        else:
            messages.error(request, f"Priority: {form.errors['priority'][0]}")
    elif verb == "withdraw":
        slots = sum(withdraw_task(task=task, withdrawn_by=request.user, now=now) for task in chosen)
        messages.success(request, f"Took out {count(slots, 'free slot')}. What people hold, they may finish.")
    else:
        slots = sum(return_task(task=task, returned_by=request.user, now=now) for task in chosen)
        messages.success(request, f"Opened {count(slots, 'slot')} again.")
    if "one" in request.POST and chosen:
        return redirect("task", within.slug, chosen[0].pk)
    asked = QueryDict(request.POST.get("back", "")).urlencode()
    return redirect(f"{reverse('tasks', args=[within.slug, found.pk])}{'?' if asked else ''}{asked}")


def ids_in(texts: Iterable[str]) -> list[uuid.UUID]:
    """Return those of `texts` that are ids."""
    ids = []
    for text in texts:
        with contextlib.suppress(ValueError):
            ids.append(uuid.UUID(text))
    return ids


@require_POST
@login_required
def tasks_priority(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    """Set the priority of all tasks whose prompt has a tag."""
    within, found = queue_or_404(request, project, queue, "feedback.manage_queues")
    form = TagPriorityForm(request.POST)
    if form.is_valid():
        asked = form.cleaned_data
        try:
            number = set_priority_by_tag(queue=found, tag=asked["tag"], priority=asked["priority"], set_by=request.user)
        except SteeringRefused as refusal:
            messages.error(request, sentence(refusal.message))
        else:
            messages.success(
                request, f"{count(number, 'task')} tagged {asked['tag']} now with priority {asked['priority']:g}."
            )
    else:
        messages.error(request, "; ".join(f"{name.capitalize()}: {errors[0]}" for name, errors in form.errors.items()))
    return redirect("tasks", within.slug, found.pk)


@require_safe
@login_required
def task_detail(request: SignedInRequest, project: str, task: str) -> HttpResponse:
    within, found = task_or_404(request, project, task, "feedback.read_queues")
    return render(request, "feedback/task.html", task_context(request, within, found, PersonForm(project=within)))


@require_POST
@login_required
def task_give(request: SignedInRequest, project: str, task: str) -> HttpResponse:
    within, found = task_or_404(request, project, task, "feedback.manage_annotators")
    form = PersonForm(request.POST, project=within)
    if form.is_valid():
        person = form.cleaned_data["person"]
        try:
            give_task(task=found, person=person, given_by=request.user)
        except AppointmentRefused as refusal:
            form.add_error("person", refusal.message)
        else:
            messages.success(request, f"{person.username} gets this task next, before anything else.")
            return redirect("task", within.slug, found.pk)
    return render(request, "feedback/task.html", task_context(request, within, found, form), status=422)


def task_or_404(request: SignedInRequest, project: str, task: str, permission: str) -> tuple[Project, Task]:
    within = project_or_404(request.user, project, permission)
    tasks = Task.objects.filter(queue__project=within).select_related(
        "prompt", "gold__created_by", "queue__project", "queue__schema__queue", "queue__policy"
    )
    return within, get_object_or_404(tasks.prefetch_related("links__response__person"), pk=task)


def task_context(request: SignedInRequest, project: Project, task: Task, give_form: PersonForm) -> dict[str, Any]:
    name_of, now = names_for(request.user, project), timezone.now()
    slots = task.assignments.select_related("annotator", "reserved_for", "schema").order_by("slot", "pk")
    judgments = Judgment.objects.current().filter(task=task).select_related("annotator", "schema__queue").order_by("id")
    skips = Skip.objects.standing().filter(task=task).select_related("annotator", "settled_by")
    gold = getattr(task, "gold", None)
    schema = task.queue.schema
    assert schema is not None, "a queue has its label schema"
    return {
        "project": project,
        "queue": task.queue,
        "task": task,
        "sides": sides_of(task),
        "slots": [slot_row(slot, name_of, now) for slot in slots],
        "priority_form": PriorityForm(initial={"priority": f"{max((one.priority for one in slots), default=0):g}"}),
        "judgments": [(judgment, name_of(judgment.annotator), said(judgment)) for judgment in judgments],
        "skips": [(skip, name_of(skip.annotator)) for skip in skips],
        "gold": gold,
        "gold_words": gold_in_words(schema.asks, gold.answer) if gold else "",
        "gold_possible": task.queue.kind in KINDS and gold is None and task.repeat_of_id is None,
        "give_form": give_form,
        "may_manage": may(request.user, "feedback.manage_queues", project),
        "may_appoint": may(request.user, "feedback.manage_annotators", project),
        "may_review": may(request.user, "feedback.review", project),
    }


def slot_row(slot: Assignment, name_of: Callable[[User], str], now: datetime) -> dict[str, Any]:
    """Say what stands with a slot, and with whom; a lease that ran out is open again."""
    ran_out = slot.state == Assignment.State.LEASED and slot.is_claimable(now)
    person = None if ran_out else slot.annotator or slot.reserved_for
    return {
        "slot": slot,
        "state": "open" if ran_out else "in hand" if slot.state == Assignment.State.LEASED else STATES[slot.state],
        "name": name_of(person) if person else "",
        "is_reserved": slot.reserved_for_id is not None and slot.state != Assignment.State.DONE,
        "is_simulated": person is not None and person.is_simulated,
        "arm": slot.get_arm_display().lower() if slot.arm and not ran_out else "",
    }


STATES: Mapping[str, str] = {
    Assignment.State.OPEN: "open",
    Assignment.State.DONE: "done",
    Assignment.State.WITHDRAWN: "taken out",
}


def gold_in_words(schema: Schema, answer: Mapping[str, Any]) -> str:
    return in_words(schema, answer.get("preference"), answer)
