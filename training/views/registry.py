"""What people do with a checkpoint: promote it, describe it, read its card, take its files, delete them, import it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from feedback.access import may, project_or_404
from feedback.forms import show_refusal
from feedback.markdown import render_document
from feedback.models import Project
from feedback.refusals import Refusal
from feedback.views.requests import SignedInRequest
from training.downloads import DownloadRefused, archive_name, checkpoint_zip
from training.importing import allowed_directories, start_import
from training.model_cards import model_card
from training.models import Checkpoint
from training.promotions import current_promotion, promote
from training.registry import delete_files, describe_checkpoint, needed_by
from training.registry_forms import DeleteForm, DescribeForm, ImportForm, PromoteForm
from training.views.checkpoints import to_imported

T = TypeVar("T")
PROMOTIONS_SHOWN = 20


def checkpoint_or_404(
    request: SignedInRequest, project: str, checkpoint: str, permission: str
) -> tuple[Project, Checkpoint]:
    within = project_or_404(request.user, project, permission)
    related = within.checkpoints.select_related("project", "parent", "run", "run__reward", "snapshot")
    return within, get_object_or_404(related, pk=checkpoint)


def carried_out(form: forms.Form, verb: Callable[..., T], **arguments: Any) -> T | None:
    """Call the verb with what the form says, if that has the right shape; None when the form then shows a refusal."""
    if not form.is_valid():
        return None
    try:
        return verb(**form.cleaned_data, **arguments)
    except Refusal as refusal:
        show_refusal(form, refusal)
        return None


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def checkpoint_promote(request: SignedInRequest, project: str, checkpoint: str) -> HttpResponse:
    """Ask why; posted, make it the project's current one of its kind."""
    within, found = checkpoint_or_404(request, project, checkpoint, "training.run")
    form = PromoteForm(request.POST if request.method == "POST" else None)
    if carried_out(form, promote, checkpoint=found, promoted_by=request.user):
        messages.success(request, f"“{found.name}” is the project's current {found.get_kind_display().lower()}.")
        return redirect("checkpoint", within.slug, found.pk)
    promotions = within.promotions.filter(checkpoint__kind=found.kind).select_related("checkpoint", "promoted_by")
    context = {
        "project": within,
        "checkpoint": found,
        "form": form,
        "current": current_promotion(within, found.kind),
        "history": promotions[:PROMOTIONS_SHOWN],
    }
    return render(request, "training/checkpoint_promote.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def checkpoint_describe(request: SignedInRequest, project: str, checkpoint: str) -> HttpResponse:
    within, found = checkpoint_or_404(request, project, checkpoint, "training.run")
    stands = {"licence": found.licence, "note": found.note}
    form = DescribeForm(request.POST) if request.method == "POST" else DescribeForm(initial=stands)
    if carried_out(form, describe_checkpoint, checkpoint=found, by=request.user):
        messages.success(request, "Stored; it stands in the model card.")
        return redirect("checkpoint", within.slug, found.pk)
    context = {"project": within, "checkpoint": found, "form": form}
    return render(request, "training/checkpoint_describe.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def checkpoint_delete(request: SignedInRequest, project: str, checkpoint: str) -> HttpResponse:
    """Say what keeps its files, or ask once more; posted, delete them."""
    within, found = checkpoint_or_404(request, project, checkpoint, "training.run")
    form = DeleteForm(request.POST if request.method == "POST" else None)
    if carried_out(form, delete_files, checkpoint=found, by=request.user, now=timezone.now()):
        messages.success(request, f"The files of “{found.name}” are deleted. What it was stays on record.")
        return redirect("checkpoint", within.slug, found.pk)
    context = {"project": within, "checkpoint": found, "form": form, "reasons": needed_by(found)}
    return render(request, "training/checkpoint_delete.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def checkpoint_import(request: SignedInRequest, project: str) -> HttpResponse:
    """Offer the models that lie on this machine; posted, make a checkpoint of one, by a job where it is large."""
    within = project_or_404(request.user, project, "training.run")
    form = ImportForm(request.POST if request.method == "POST" else None, project=within)
    if job := carried_out(form, start_import, project=within, by=request.user):
        return to_imported(request, job)
    context = {"project": within, "form": form, "directories": allowed_directories()}
    return render(request, "training/checkpoint_import.html", context, status=422 if form.errors else 200)


@require_safe
@login_required
def checkpoint_card(request: SignedInRequest, project: str, checkpoint: str) -> HttpResponse:
    """Show its model card; with `?as=markdown`, send it as README.md."""
    within, found = checkpoint_or_404(request, project, checkpoint, "training.read")
    card = model_card(found)
    if request.GET.get("as") == "markdown":
        answer = HttpResponse(card, content_type="text/markdown; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="README.md"'
        return answer
    head, _, body = card.removeprefix("---\n").partition("\n---\n")
    context = {
        "project": within,
        "checkpoint": found,
        "head": head,
        "body": render_document(body),
        "may_run": may(request.user, "training.run", within),
    }
    return render(request, "training/checkpoint_card.html", context)


@require_safe
@login_required
def checkpoint_download(request: SignedInRequest, project: str, checkpoint: str) -> HttpResponseBase:
    within, found = checkpoint_or_404(request, project, checkpoint, "training.run")
    try:
        archive = checkpoint_zip(found)
    except DownloadRefused as refusal:
        messages.error(request, f"There is nothing to download: {refusal.message}.")
        return redirect("checkpoint", within.slug, found.pk)
    answer = StreamingHttpResponse(archive, content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="{archive_name(found)}"'
    return answer
