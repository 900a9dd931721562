"""Freeze a snapshot, or count what a freeze would take, as a job."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.urls import reverse
from django.utils import timezone

from feedback.contract import ROW_SPLITS
from feedback.jobs import JobFailed, JobRun
from feedback.models import Project, Snapshot
from feedback.schemas import TaskKind
from feedback.selection import LEFT_OUT, Selection
from feedback.snapshot_verdicts import RULES, decide
from feedback.snapshot_votes import Progress, read_votes
from feedback.snapshots import freeze_snapshot

TABLE_OF = {
    TaskKind.COMPARISON: "preference",
    TaskKind.RANKING: "ranking",
    TaskKind.RATING: "rating",
    TaskKind.DEMONSTRATION: "sft",
    TaskKind.CORRECTION: "sft",
    TaskKind.CONVERSATION: "conversation",
}
"""The table in which each answer of a kind has a row of its own; pairs and thumbs that follow from it are more."""
TIES = "ranking"
"""That of a tied comparison, where ties are kept."""


def freeze(run: JobRun) -> dict[str, Any]:
    """Carry out a job of kind FREEZE: {name, selection}, or {preview: true, selection}."""
    project, selection = run.job.project, Selection.from_json(run.params["selection"])
    if run.params.get("preview"):
        return counted(run, project, selection)
    snapshot = project.snapshots.filter(name=run.params["name"].strip()).first() if run.cursor.get("frozen") else None
    if snapshot is None:
        if run.job.created_by is None:
            raise JobFailed("Nobody is named as the one who freezes it.")
        snapshot = freeze_snapshot(
            project=project,
            name=run.params["name"],
            created_by=run.job.created_by,
            selection=selection,
            progress=run.progress,
            step=lambda: run.step(cursor={"frozen": True}),
            now=timezone.now(),
        )
    return frozen(project, snapshot)


def frozen(project: Project, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "snapshot": str(snapshot.pk),
        "words": f"“{snapshot.name}” is frozen: {snapshot.judgment_count:,} judgments.",
        "url": reverse("snapshot", args=[project.slug, snapshot.pk]),
        "label": "Open the snapshot",
    }


def counted(run: JobRun, project: Project, selection: Selection) -> dict[str, Any]:
    counts = preview(project=project, selection=selection, progress=run.progress)
    url = reverse("snapshot-freeze", args=[project.slug])
    return {
        "counts": counts,
        "words": f"It would take {counts['judgments']:,} judgments.",
        "url": f"{url}?{urlencode({'preview': run.job.pk})}",
        "label": "Show the counts",
    }


def preview(*, project: Project, selection: Selection, progress: Progress | None = None) -> dict[str, Any]:
    """Count what a freeze would take now, by table and split, and what it would leave out and why; writes nothing."""
    votes = read_votes(project=project, selection=selection, progress=progress)
    rows = decide(votes, selection)
    left_out, members = votes.left_out(), np.unique(rows.votes)
    kinds = [votes.kinds[one.queue] for one in votes.shared]
    answers: Counter[tuple[str, str]] = Counter()
    of_row = votes.circumstances[rows.votes[rows.start[:-1]]] if len(rows) else np.zeros(0, np.int32)
    for is_tie in (False, True):
        at = (rows.preference == 0) == is_tie
        key = of_row[at].astype(np.int64) * len(ROW_SPLITS) + rows.split[at]
        for place, count in enumerate(np.bincount(key).tolist()):
            if count:
                table = TIES if is_tie else TABLE_OF[TaskKind(kinds[place // len(ROW_SPLITS)])]
                answers[table, ROW_SPLITS[place % len(ROW_SPLITS)]] += count
    tables = [table for table in dict.fromkeys(TABLE_OF.values()) if any(answers[table, one] for one in ROW_SPLITS)]
    return {
        "judgments": len(members),
        "answers": len(rows),
        "annotators": len(np.unique(votes.person[members])),
        "tables": [{"table": table, "splits": {one: answers[table, one] for one in ROW_SPLITS}} for table in tables],
        "train": sum(answers[table, ROW_SPLITS[0]] for table in tables),
        "left_out": {reason: left_out[reason] for reason in LEFT_OUT if left_out[reason]},
        "rules": {
            rule: count
            for rule, count in zip(RULES, np.bincount(rows.rule, minlength=len(RULES)).tolist(), strict=True)
            if count
        },
    }
