"""Pages of snapshots: freeze one, read its manifest, download it."""

from __future__ import annotations

from collections import Counter

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from feedback.access import may, project_or_404
from feedback.contract import EVALUATION, TRAIN
from feedback.forms import FreezeForm, show_refusal
from feedback.models import Project, Snapshot
from feedback.schemas import TaskKind
from feedback.snapshot_files import MANIFEST
from feedback.snapshots import (
    LEFT_OUT,
    SnapshotDamaged,
    SnapshotRefused,
    archive_name,
    considered_judgments,
    freeze_snapshot,
    snapshot_zip,
    verify_snapshot,
)
from feedback.views.requests import SignedInRequest

PAGE = 50
TRAINERS = {"preference": "Reward", "sft": "SFT", "unpaired": "KTO", "conversation": "SFT"}
"""The trainer of TRL that takes a table's rows as they are."""


@require_safe
@login_required
def snapshot_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_snapshots")
    snapshots = within.snapshots.select_related("created_by")
    context = {
        "project": within,
        "page_obj": Paginator(snapshots, PAGE).get_page(request.GET.get("page")),
        "may_freeze": may(request.user, "feedback.freeze", within),
    }
    return render(request, "feedback/snapshots.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def snapshot_freeze(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.freeze")
    chosen = FreezeForm(request.POST if request.method == "POST" else request.GET, project=within)
    is_whole = chosen.is_valid()
    context = {"project": within, "form": chosen, "counts": freeze_counts(within, chosen.cleaned_data)}
    if request.method != "POST":
        if request.htmx:
            return render(request, "feedback/_freeze_preview.html", context)
        initial = {"name": f"{within.slug}-{within.snapshots.count() + 1}", **chosen.cleaned_data}
        fresh = FreezeForm(initial=initial, project=within)
        return render(request, "feedback/snapshot_freeze.html", {**context, "form": fresh})
    if not is_whole:
        return render(request, "feedback/snapshot_freeze.html", context, status=422)
    try:
        snapshot = freeze_snapshot(
            project=within,
            name=chosen.cleaned_data["name"],
            created_by=request.user,
            queues=list(chosen.cleaned_data["queues"]) or None,
            kinds=chosen.cleaned_data.get("kinds") or None,
            include_simulated=chosen.cleaned_data["include_simulated"],
            now=timezone.now(),
        )
    except SnapshotRefused as refusal:
        show_refusal(chosen, refusal)
        return render(request, "feedback/snapshot_freeze.html", {**context, "existing": refusal.existing}, status=422)
    messages.success(request, f"Snapshot “{snapshot.name}” is frozen.")
    return redirect("snapshot", within.slug, snapshot.pk)


@require_safe
@login_required
def snapshot_detail(request: SignedInRequest, project: str, snapshot: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_snapshots")
    found = get_object_or_404(within.snapshots.select_related("created_by"), pk=snapshot)
    damage = ""
    try:
        verify_snapshot(found)
    except SnapshotDamaged as broken:
        damage = str(broken)
    manifest_file = found.directory / MANIFEST
    context = {
        "project": within,
        "snapshot": found,
        "manifest": found.manifest,
        "manifest_bytes": manifest_file.stat().st_size if manifest_file.is_file() else None,
        "files": [
            (name, found.manifest["bytes"].get(name, 0), sha256) for name, sha256 in found.manifest["files"].items()
        ],
        "folder": f"{within.slug}-{found.sha256[:12]}",
        "card": card_text(found),
        "damage": damage,
        "judgment_count": found.judgment_count,
        "rows": [(table, found.rows(table, TRAIN), found.rows(table, EVALUATION)) for table in found.tables],
        "kinds": [
            (TaskKind(kind).label, count)
            for kind in TaskKind.values
            if (count := found.manifest["counts"]["kinds"].get(kind))
        ],
        "left_out": [
            (words, count)
            for reason, words in LEFT_OUT.items()
            if (count := found.manifest["counts"]["left_out"][reason])
        ],
        "never_taken": [LEFT_OUT[reason] for reason in found.manifest["filters"]["left_out"]],
        **example_of(found),
    }
    return render(request, "feedback/snapshot.html", context)


@require_safe
@login_required
def snapshot_download(request: SignedInRequest, project: str, snapshot: str) -> HttpResponseBase:
    within = project_or_404(request.user, project, "feedback.read_snapshots")
    found = get_object_or_404(within.snapshots, pk=snapshot)
    try:
        archive = snapshot_zip(found)
    except SnapshotDamaged as broken:
        messages.error(request, str(broken))
        return redirect("snapshot", within.slug, found.pk)
    response = StreamingHttpResponse(archive, content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{archive_name(found)}"'
    return response


def example_of(snapshot: Snapshot) -> dict:
    """Choose the table of the example that shows how to use the snapshot, and its trainer if one takes the rows."""
    table = next((table for table in TRAINERS if snapshot.rows(table, TRAIN)), snapshot.tables[0])
    name = TRAINERS.get(table) if snapshot.rows(table, TRAIN) else None
    trainer = {"name": name, "evaluation": snapshot.rows(table, EVALUATION)} if name else None
    return {"example": table, "trainer": trainer}


def card_text(snapshot: Snapshot) -> str:
    """Return the dataset card without its YAML header; empty when the file is gone."""
    path = snapshot.directory / "README.md"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return text.split("---\n", 2)[-1]


def freeze_counts(project: Project, chosen: dict) -> dict:
    """Count what a freeze with these choices would take, and what it would leave out and why."""
    considered = considered_judgments(
        project=project,
        queues=list(chosen.get("queues") or ()) or None,
        kinds=chosen.get("kinds") or None,
        include_simulated=bool(chosen.get("include_simulated")),
    )
    left_out = Counter(considered.values_list("left_out", flat=True))  # type: ignore[misc]  # considered_judgments annotates it
    taken = considered.filter(left_out="")  # type: ignore[misc]  # as above
    splits = Counter(taken.values_list("queue__kind", "task__prompt__split"))
    return {
        "judgments": left_out.pop("", 0),
        "kinds": [
            (TaskKind(kind).label, splits[kind, TRAIN], splits[kind, EVALUATION])
            for kind in TaskKind.values
            if splits[kind, TRAIN] or splits[kind, EVALUATION]
        ],
        "train": sum(count for (_, split), count in splits.items() if split == TRAIN),
        "annotators": taken.order_by().values("annotator").distinct().count(),
        "left_out": [(words, left_out[reason]) for reason, words in LEFT_OUT.items() if left_out[reason]],
    }
