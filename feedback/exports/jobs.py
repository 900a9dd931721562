"""Export a snapshot to a file that stays beside it, and push it to a hub, as jobs."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from django.urls import reverse

from feedback.audit import record
from feedback.exports.formats import splits_of
from feedback.exports.forms import export_name, export_stream
from feedback.exports.hub import push_directory
from feedback.jobs import JobFailed, JobRun
from feedback.models import Snapshot
from feedback.snapshot_files import SnapshotDamaged, sync
from feedback.snapshots import verify_snapshot

KEPT_IN = "exports"
"""A folder in the snapshot's directory that its manifest does not list; withdrawing the snapshot deletes it too."""


def kept_export(snapshot: Snapshot, name: str, form: str) -> Path:
    """Return where an export that was made once lies."""
    return snapshot.directory / KEPT_IN / export_name(snapshot, name, form)


def export(run: JobRun) -> dict[str, Any]:
    """Carry out a job of kind EXPORT: {snapshot, format, form}. What is there already is not made again."""
    snapshot, name, form = snapshot_of(run), run.params["format"], run.params["form"]
    path = kept_export(snapshot, name, form)
    total = snapshot_bytes(snapshot)
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        aside = path.with_name(f".writing-{uuid.uuid4().hex}")
        done = 0
        try:
            with aside.open("wb") as file:
                for piece in export_stream(snapshot, name=name, form=form):
                    file.write(piece)
                    done += len(piece)
                    run.progress(done, None, f"Writing {name} as {form}")
            sync(aside)
            aside.rename(path)
        except SnapshotDamaged as damage:
            raise JobFailed(f"The snapshot is damaged: {damage}") from damage
        finally:
            aside.unlink(missing_ok=True)
    size = path.stat().st_size
    arguments = [snapshot.project.slug, snapshot.pk, name, form]
    return {
        "bytes": size,
        "of": total,
        "rows": sum(splits_of(snapshot, name).values()),
        "words": f"{path.name}, {size / 1e6:,.1f} MB.",
        "url": reverse("snapshot-export", args=arguments),
        "label": "Download",
    }


def push(run: JobRun) -> dict[str, Any]:
    """Carry out a job of kind PUSH: {snapshot, repository, private}."""
    snapshot, repository = snapshot_of(run), run.params["repository"]
    try:
        verify_snapshot(snapshot)
    except SnapshotDamaged as damage:
        raise JobFailed(f"The snapshot is damaged, so it is not pushed: {damage}") from damage
    run.progress(0, None, f"Pushing to {repository}")
    url = push_directory(
        snapshot.directory,
        files=[name for name in snapshot.manifest["files"] if name.startswith("data/") or name == "README.md"],
        repository=repository,
        private=bool(run.params.get("private", True)),
        message=f"Snapshot {snapshot.sha256[:12]}",
    )
    with run.step(cursor={"pushed": url}):
        record(
            project=snapshot.project, actor=run.job.created_by, action="snapshot.push", subject=snapshot,
            after={"repository": repository, "url": url},
        )  # fmt: skip
    return {"words": f"Pushed to {url}.", "repository": repository, "pushed": url}


def snapshot_of(run: JobRun) -> Snapshot:
    found = Snapshot.objects.select_related("project").filter(project=run.job.project, pk=run.params["snapshot"])
    return found.get()


def snapshot_bytes(snapshot: Snapshot) -> int:
    return sum(snapshot.manifest.get("bytes", {}).values())
