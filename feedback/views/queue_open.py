"""Pages on which a queue is opened: choose a kind of task, then say what is asked and by which rules."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from feedback.access import may, project_or_404
from feedback.appointing import name_person
from feedback.first_guidelines import FIRST_GUIDELINES
from feedback.forms import show_refusal
from feedback.models import Project, Queue, User
from feedback.queue_forms import OpenForm
from feedback.queues import QueueRefused, open_queue
from feedback.schema_forms import SchemaEditor
from feedback.schemas import FIELDS, TaskKind, default_schema
from feedback.views.requests import SignedInRequest
from feedback.views.schema import answer, button_pressed, editing, editor_for, kind_or_404

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
def queue_kinds(request: SignedInRequest, project: str) -> HttpResponse:
    """Let the curator choose what people will do in the new queue."""
    within = project_or_404(request.user, project, "feedback.manage_queues")
    kinds = [(TaskKind(kind), says, gives) for kind, (says, gives) in KIND_SAYS.items()]
    return render(request, "feedback/queue_kinds.html", {"project": within, "kinds": kinds})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def queue_open(request: SignedInRequest, project: str, queue_kind: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_queues")
    kind = kind_or_404(queue_kind)
    editor = editor_for(request, within, default_schema(kind))
    may_name = may(request.user, "feedback.manage_annotators", within)
    first = {"guideline": FIRST_GUIDELINES[kind]}
    form = OpenForm(request.POST or None, project=within, kind=kind, may_name=may_name, initial=first)
    context = {"project": within, "form": form, "says": KIND_SAYS[kind][0]}
    page = "feedback/queue_open.html"
    if request.method != "POST" or button_pressed(request, editor):
        return answer(request, page, {**context, **editing(editor, request.user)})
    if not (form.is_valid() & editor.is_valid()):  # both, so that all that is wrong is marked at once
        return answer(request, page, {**context, **editing(editor, request.user)}, status=422)
    try:
        queue = open_as_asked(within, kind, form, editor, request.user)
    except QueueRefused as refusal:
        if refusal.field in FIELDS[kind]:
            editor.show_refusal(refusal)
        else:
            show_refusal(form, refusal)
        return answer(request, page, {**context, **editing(editor, request.user)}, status=422)
    messages.success(request, f"Queue “{queue.name}” is open. Now fill it with tasks.")
    return redirect("queue", within.slug, queue.pk)


@transaction.atomic
def open_as_asked(project: Project, kind: str, form: OpenForm, editor: SchemaEditor, person: User) -> Queue:
    """Open the queue and name its people, both or neither. Raises QueueRefused."""
    asked = form.cleaned_data
    chosen = {name: asked[name] for name in ("name", "guideline", "is_qualification") if name in asked}
    queue = open_queue(project=project, created_by=person, kind=kind, schema=editor.content, **chosen, **form.rules)
    for named in asked.get("people", []):
        name_person(queue=queue, person=named, named_by=person)
    return queue
