"""Pages of what a queue asks and by which rules: guidelines, rules, and their preview."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from feedback.access import project_or_404
from feedback.forms import show_refusal
from feedback.queue_forms import GuidelineForm, RulesForm, rules_of
from feedback.queues import GUIDELINE_LENGTH_LIMIT, QueueRefused, change_guideline, change_policy
from feedback.views.queues import queue_or_404
from feedback.views.requests import SignedInRequest


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def queue_guidelines(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.manage_queues")
    current = found.guideline
    assert current is not None, "a queue has its guidelines"
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
    assert current is not None, "a queue has its policy"
    form = RulesForm(
        request.POST if request.method == "POST" else None,
        project=within,
        kind=found.kind,
        queue=found,
        initial=rules_of(current),
    )
    context = {"project": within, "queue": found, "current": current, "form": form}
    if request.method != "POST":
        return render(request, "feedback/queue_policy.html", context)
    if not form.is_valid():
        return render(request, "feedback/queue_policy.html", context, status=422)
    try:
        version = change_policy(queue=found, changed_by=request.user, **form.rules)
    except QueueRefused as refusal:
        show_refusal(form, refusal)
        return render(request, "feedback/queue_policy.html", context, status=422)
    if version == current:
        messages.info(request, "The rules are unchanged, so there is no new version.")
    else:
        messages.success(request, f"Version {version.number} of the rules holds for every claim from now on.")
    return redirect("queue", within.slug, found.pk)


@require_POST
@login_required
def guideline_preview(request: SignedInRequest, project: str) -> HttpResponse:
    """Show how annotators will see the text; writes nothing."""
    within = project_or_404(request.user, project, "feedback.manage_queues")
    text = request.POST.get("guideline", "")[:GUIDELINE_LENGTH_LIMIT]
    template = "feedback/_guideline_preview.html" if request.htmx else "feedback/guideline_preview.html"
    return render(request, template, {"project": within, "text": text})
