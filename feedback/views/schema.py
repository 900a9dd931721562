"""Pages of a queue's label schema: edit it with a preview of the annotator's page, and publish the next version."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from feedback.access import project_or_404
from feedback.models import Assignment, Project, Queue, User
from feedback.policies import policies
from feedback.queues import QueueRefused, change_schema
from feedback.schema_forms import SchemaEditor
from feedback.schemas import BadSchema, Schema, TaskKind, check_schema, default_schema
from feedback.views.queues import queue_or_404
from feedback.views.requests import SignedInRequest
from feedback.views.schema_preview import preview_parts


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def queue_schema(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.manage_queues")
    current = found.schema
    assert current is not None, "a queue has its label schema"
    editor = editor_for(request, within, current.asks)
    context = {"project": within, "queue": found, "current": current, "held": held_tasks(found)}
    if request.method != "POST" or button_pressed(request, editor):
        return answer(request, "feedback/queue_schema.html", {**context, **editing(editor, request.user)})
    if not editor.is_valid():
        return answer(request, "feedback/queue_schema.html", {**context, **editing(editor, request.user)}, status=422)
    try:
        version = change_schema(queue=found, content=editor.content, changed_by=request.user)
    except QueueRefused as refusal:
        editor.show_refusal(refusal)
        return answer(request, "feedback/queue_schema.html", {**context, **editing(editor, request.user)}, status=422)
    if version == current:
        messages.info(request, "Nothing is changed, so there is no new version.")
    else:
        messages.success(request, f"Version {version.number} of the label schema holds for every claim from now on.")
    return redirect("queue", within.slug, found.pk)


@require_POST
@login_required
def schema_preview(request: SignedInRequest, project: str, queue_kind: str) -> HttpResponse:
    """Show what annotators will see of what was typed; writes nothing."""
    within = project_or_404(request.user, project, "feedback.manage_queues")
    kind = kind_or_404(queue_kind)
    editor = editor_for(request, within, default_schema(kind))
    context = {"project": within, "new_kind": kind, **preview_context(editor, request.user)}
    template = "feedback/_schema_preview.html" if request.htmx else "feedback/schema_preview.html"
    return render(request, template, context)


def kind_or_404(name: str) -> TaskKind:
    if name not in TaskKind.values:
        raise Http404("there is no such kind of task")
    return TaskKind(name)


def editor_for(request: SignedInRequest, project: Project, schema: Schema) -> SchemaEditor:
    """Return the form as it was posted, or showing `schema`."""
    choices = policies().policy_choices(project) if schema.kind == TaskKind.CONVERSATION else []
    if request.method == "POST":
        return SchemaEditor(schema.kind, request.POST, policies=choices)
    return SchemaEditor.showing(schema, policies=choices)


def button_pressed(request: SignedInRequest, editor: SchemaEditor) -> bool:
    """Do what a button within the form asks, and tell whether one was pressed."""
    button = request.POST.get("do", "")
    if button:
        editor.press(button)
    return bool(button)


def answer(request: SignedInRequest, page: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Return the page, or for a button pressed by htmx the form's fragment with its preview."""
    if request.htmx and request.POST.get("do"):
        return render(request, "feedback/_schema_swap.html", context)
    return render(request, page, context, status=status)


def editing(editor: SchemaEditor, person: User) -> dict[str, Any]:
    return {"editor": editor, "new_kind": TaskKind(editor.kind), **preview_context(editor, person)}


def preview_context(editor: SchemaEditor, person: User) -> dict[str, Any]:
    """Return what the preview shows: the annotator's page, or why there is none."""
    if not editor.is_valid():
        return {"preview_problem": "Mend what is marked first."}
    try:
        schema = check_schema(editor.kind, editor.content)
    except BadSchema as refusal:
        return {"preview_problem": refusal.message}
    return {"preview": preview_parts(schema, person)}


def held_tasks(queue: Queue) -> int:
    """Return how many tasks somebody holds now; they are finished under the version that their holders see."""
    live = Assignment.objects.filter(queue=queue, state=Assignment.State.LEASED, lease_expires_at__gt=timezone.now())
    return live.count()
