"""Pages of snapshots: freeze one, read its manifest, download it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_http_methods, require_safe

from feedback.access import project_or_404
from feedback.contract import EVALUATION, TRAIN
from feedback.forms import FreezeForm
from feedback.models import Project
from feedback.snapshots import (
    SnapshotDamaged,
    SnapshotRefused,
    eligible_judgments,
    freeze_snapshot,
    snapshot_zip,
    verify_snapshot,
)

PAGE = 50


@require_safe
@login_required
def snapshot_list(request: HttpRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_snapshots")
    snapshots = within.snapshots.select_related("created_by")
    page_obj = Paginator(snapshots, PAGE).get_page(request.GET.get("page"))
    return render(request, "feedback/snapshots.html", {"project": within, "page_obj": page_obj})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def snapshot_freeze(request: HttpRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.freeze")
    asked = request.POST if request.method == "POST" else request.GET
    initial = {"name": f"{within.slug}-{within.snapshots.count() + 1}"}
    form = FreezeForm(asked or None, initial=initial, project=within)
    form.is_valid()
    chosen = form.cleaned_data if form.is_bound else {}
    context = {"project": within, "form": form, "counts": freeze_counts(within, chosen)}
    if request.method != "POST":
        template = "feedback/_freeze_preview.html" if request.htmx else "feedback/snapshot_freeze.html"
        return render(request, template, context)
    if form.errors:
        return render(request, "feedback/snapshot_freeze.html", context, status=422)
    try:
        snapshot = freeze_snapshot(
            project=within,
            name=chosen["name"],
            created_by=request.user,
            queues=list(chosen["queues"]) or None,
            include_simulated=chosen["include_simulated"],
            now=timezone.now(),
        )
    except SnapshotRefused as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        return render(request, "feedback/snapshot_freeze.html", context, status=422)
    messages.success(request, f"Snapshot “{snapshot.name}” is frozen.")
    return redirect("snapshot", within.slug, snapshot.pk)


@require_safe
@login_required
def snapshot_detail(request: HttpRequest, project: str, snapshot: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_snapshots")
    found = get_object_or_404(within.snapshots.select_related("created_by"), pk=snapshot)
    damage = ""
    try:
        verify_snapshot(found)
    except SnapshotDamaged as broken:
        damage = str(broken)
    context = {
        "project": within,
        "snapshot": found,
        "manifest": found.manifest,
        "damage": damage,
        "judgment_count": found.judgments.count(),
    }
    return render(request, "feedback/snapshot.html", context)


@require_safe
@login_required
def snapshot_download(request: HttpRequest, project: str, snapshot: str) -> HttpResponseBase:
    within = project_or_404(request.user, project, "feedback.read_snapshots")
    found = get_object_or_404(within.snapshots, pk=snapshot)
    try:
        archive = snapshot_zip(found)
    except SnapshotDamaged as broken:
        messages.error(request, str(broken))
        return redirect("snapshot", within.slug, found.pk)
    name = f"{slugify(found.name) or 'snapshot'}-{found.sha256[:8]}.zip"
    if isinstance(archive, str | Path):
        return FileResponse(Path(archive).open("rb"), as_attachment=True, filename=name)
    response = StreamingHttpResponse(archive, content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def freeze_counts(project: Project, chosen: dict) -> dict[str, int]:
    """Count what a freeze with these choices would take, and what it would leave out."""
    queues = list(chosen.get("queues") or ()) or None
    simulated = bool(chosen.get("include_simulated"))
    rows = eligible_judgments(project=project, queues=queues, include_simulated=simulated)
    splits = Counter(rows.values_list("comparison__prompt__split", flat=True))
    return {
        "rows": sum(splits.values()),
        "train": splits[TRAIN],
        "evaluation": splits[EVALUATION],
        "annotators": rows.values("annotator").distinct().count(),
        "simulated_left_out": 0
        if simulated
        else eligible_judgments(project=project, queues=queues, include_simulated=True).count() - sum(splits.values()),
    }
