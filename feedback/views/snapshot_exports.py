"""Pages of what is made of a snapshot: exports, pushes to a hub, a comparison with another one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from feedback.access import may, project_or_404
from feedback.exports.formats import FORMATS, splits_of
from feedback.exports.forms import FORMS, ExportRefused, check_export, export_name, export_stream, forms_of
from feedback.exports.hub import PushRefused, check_push
from feedback.exports.jobs import kept_export
from feedback.jobs import start_and_carry_out, start_job
from feedback.models import Job, Project, Snapshot
from feedback.selection import LEFT_OUT
from feedback.snapshot_compare import compare
from feedback.snapshot_files import SnapshotDamaged
from feedback.snapshot_words import SPLIT_WORDS
from feedback.views.requests import SignedInRequest
from feedback.views.snapshot_parts import FIGURES

LARGE = 100_000
"""From so many rows on, the page offers to have the file made once and kept, too."""
TYPES = {"parquet": "application/vnd.apache.parquet", "jsonl": "application/jsonl", "openai": "application/jsonl"}


@require_safe
@login_required
def snapshot_export(request: SignedInRequest, project: str, snapshot: str, name: str, form: str) -> HttpResponseBase:
    """Hand out the export that a job made, or stream it."""
    within = project_or_404(request.user, project, "feedback.read_snapshots")
    found = get_object_or_404(within.snapshots, pk=snapshot)
    split = request.GET.get("split", "")
    try:
        check_export(found, name, form, split)
        if not split and (path := kept_export(found, name, form)).is_file() and not found.withdrawn_at:
            return FileResponse(path.open("rb"), as_attachment=True, filename=path.name)
        answer = StreamingHttpResponse(
            export_stream(found, name=name, form=form, split=split),
            content_type=TYPES.get(form, "application/zip") if split else "application/zip",
        )
    except (ExportRefused, SnapshotDamaged) as refusal:
        messages.error(request, refusal.message if isinstance(refusal, ExportRefused) else str(refusal))
        return redirect("snapshot", within.slug, found.pk)
    answer["Content-Disposition"] = f'attachment; filename="{export_name(found, name, form, split)}"'
    return answer


@require_POST
@login_required
def snapshot_exports(request: SignedInRequest, project: str, snapshot: str) -> HttpResponse:
    """Start a job that makes an export and keeps it."""
    within = project_or_404(request.user, project, "feedback.read_snapshots")
    found = get_object_or_404(within.snapshots, pk=snapshot)
    name, form = request.POST.get("format", ""), request.POST.get("form", "")
    try:
        check_export(found, name, form)
    except ExportRefused as refusal:
        messages.error(request, refusal.message)
        return redirect("snapshot", within.slug, found.pk)
    params = {"snapshot": str(found.pk), "format": name, "form": form}
    job = start_and_carry_out(project=within, kind=Job.Kind.EXPORT, params=params, created_by=request.user)
    return redirect("job", within.slug, job.pk)


@require_POST
@login_required
def snapshot_push(request: SignedInRequest, project: str, snapshot: str) -> HttpResponse:
    """Start a job that pushes the snapshot to a hub; only a clerk does it, because it takes as long as the hub does."""
    within = project_or_404(request.user, project, "feedback.freeze")
    found = get_object_or_404(within.snapshots.filter(withdrawn_at__isnull=True), pk=snapshot)
    try:
        repository = check_push(request.POST.get("repository", ""))
    except PushRefused as refusal:
        messages.error(request, refusal.message)
        return redirect("snapshot", within.slug, found.pk)
    params = {"snapshot": str(found.pk), "repository": repository, "private": "public" not in request.POST}
    job = start_job(project=within, kind=Job.Kind.PUSH, params=params, created_by=request.user)
    return redirect("job", within.slug, job.pk)


@require_safe
@login_required
def snapshot_compare(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_snapshots")
    known = {str(one.pk): one for one in within.snapshots.all()}
    first, second = (known.get(request.GET.get(name, "")) for name in ("first", "second"))
    context: dict[str, Any] = {
        "project": within,
        "snapshots": list(known.values()),
        "first": first,
        "second": second,
    }
    if first is not None and second is not None:
        context |= compared_shown(compare(first, second))
    return render(request, "feedback/snapshot_compare.html", context)


def compared_shown(found: dict[str, Any]) -> dict[str, Any]:
    return {
        **found,
        "rows": [
            {**row, "split": SPLIT_WORDS[row["split"]], "change": row["second"] - row["first"]} for row in found["rows"]
        ],
        "figures": [
            {
                "words": "Two people agree" if one["figure"] == "agreement" else FIGURES[one["figure"]][0],
                "first": percent(one["first"]),
                "second": percent(one["second"]),
            }
            for one in found["figures"]
        ],
        "choices": [{**one, "choice": one["choice"].replace("_", " ")} for one in found["choices"]],
        "left_out": [{**one, "words": LEFT_OUT.get(one["reason"], one["reason"])} for one in found["left_out"]],
    }


def percent(one: dict[str, float | None] | None) -> str:
    if one is None or one["value"] is None:
        return "unknown"
    shown = f"{100 * one['value']:.1f} %"
    if one["low"] is None or one["high"] is None:
        return shown
    return f"{shown} ({100 * one['low']:.1f} to {100 * one['high']:.1f})"


def formats_shown(request: SignedInRequest, project: Project, snapshot: Snapshot) -> dict[str, Any]:
    """Return the formats that the snapshot has rows for, and whether it can be pushed from here."""
    shown = []
    for name, about in FORMATS.items():
        splits = splits_of(snapshot, name)
        if not splits:
            continue
        forms = [(form, FORMS[form], kept_export(snapshot, name, form).is_file()) for form in forms_of(name)]
        large = sum(splits.values()) >= LARGE
        shown.append({"name": name, "about": about, "splits": splits, "forms": forms, "large": large})
    return {
        "formats": shown,
        "may_push": may(request.user, "feedback.freeze", project),
        "has_hub": bool(settings.HUB_TOKEN),
    }
