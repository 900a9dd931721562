"""Pages of snapshots: freeze one, read its manifest, download it."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from feedback.access import may, project_or_404
from feedback.contract import EVALUATION, ROW_SPLITS, TRAIN, table_file
from feedback.models import Snapshot
from feedback.schemas import TaskKind
from feedback.snapshot_files import COLUMNS, MANIFEST
from feedback.snapshot_words import SPLIT_WORDS
from feedback.snapshots import SnapshotDamaged, archive_name, snapshot_zip, verify_snapshot
from feedback.views.requests import SignedInRequest
from feedback.views.snapshot_exports import formats_shown
from feedback.views.snapshot_freeze import words_of
from feedback.views.snapshot_parts import chosen_words, figures_shown

PAGE = 50
ANNOTATORS_SHOWN = 20
PEEK_ROWS, PEEK_LENGTH = 2, 280
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
        "splits": [SPLIT_WORDS[split] for split in ROW_SPLITS],
        "rows": [(table, [found.rows(table, split) for split in ROW_SPLITS]) for table in found.tables],
        "kinds": [
            (TaskKind(kind).label, count)
            for kind in TaskKind.values
            if (count := found.manifest["counts"]["kinds"].get(kind))
        ],
        "annotators": sorted(found.manifest["annotators"], key=lambda one: -one["judgments"])[:ANNOTATORS_SHOWN],
        "left_out": words_of(found.manifest["counts"]["left_out"]),
        "chosen": chosen_words(found.manifest["selection"]),
        "figures": figures_shown(found.manifest.get("figures") or {}),
        **({} if damage else {**formats_shown(request, within, found), "peek": peek_of(found)}),
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


def peek_of(snapshot: Snapshot) -> list[tuple[str, list[list[tuple[str, str]]]]]:
    """Return the first rows of every table, their texts cut short."""
    found = []
    for table in snapshot.tables:
        split = next(split for split in ROW_SPLITS if snapshot.rows(table, split))
        with pyarrow.parquet.ParquetFile(snapshot.directory / table_file(table, split)) as file:
            batch = next(file.iter_batches(PEEK_ROWS, columns=[*COLUMNS[table], "weight", "annotators"]))
        rows = batch.to_pylist()
        found.append((table, [[(name, shortened(value)) for name, value in row.items()] for row in rows]))
    return found


def shortened(value: Any) -> str:
    """Return a value of a row for a glance: a chat as its last message."""
    if isinstance(value, list) and value and isinstance(value[-1], dict) and "content" in value[-1]:
        value = value[-1]["content"]
    if isinstance(value, list):
        value = ", ".join(shortened(one) for one in value)
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text if len(text) <= PEEK_LENGTH else f"{text[:PEEK_LENGTH]}…"


def card_text(snapshot: Snapshot) -> str:
    """Return the dataset card without its YAML header; empty when the file is gone."""
    path = snapshot.directory / "README.md"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return text.split("---\n", 2)[-1]
