"""Freeze, export and compare on a filled database: `make bench-curation` runs it, each step in a process of its own.

    python -m benchmarks.curation_export --project SLUG [--steps freeze:latest export:preference:jsonl ...]

`freeze` goes from the database to a snapshot that is verified on disk; `export` from a frozen snapshot to the last byte
of the stream, which is thrown away; `compare` says what is different in the second of two. Comparisons are counted as
rows of the preference table.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import Any

from benchmarks.measured import measured

BENCHMARK = "curation_export"
FREEZES: dict[str, dict[str, Any]] = {
    "latest": {},
    "majority": {"verdict": "majority"},
    "dawid_skene": {"verdict": "dawid_skene", "weights": "reliability"},
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curation_export", description=__doc__)
    parser.add_argument("--project", required=True)
    parser.add_argument("--steps", nargs="+")
    parser.add_argument("--step", help="Do this one here.")
    asked = parser.parse_args()
    if asked.step:
        do(asked.project, asked.step)
        return 0
    fine = True
    for step in asked.steps or [*(f"freeze:{name}" for name in FREEZES), *exports(), "compare:latest:majority"]:
        command = [sys.executable, "-m", "benchmarks.curation_export", "--project", asked.project, "--step", step]
        fine &= subprocess.run(command).returncode == 0
    return 0 if fine else 1


def exports() -> list[str]:
    setup()
    from feedback.exports.formats import FORMATS
    from feedback.exports.forms import forms_of

    return [f"export:{name}:{form}" for name in FORMATS for form in forms_of(name)]


def setup() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rlhf_site.settings")
    django.setup()


def do(slug: str, step: str) -> None:
    setup()
    from django.db import connection

    from feedback.models import Project

    project = Project.objects.get(slug=slug)
    verb, *names = step.split(":")
    figure = {"database": str(connection.vendor), "goal_s": 30, "goal_mib": 300}
    {"freeze": freeze, "export": export, "compare": compare}[verb](project, *names, figure=figure)


def frozen(project: Any, name: str) -> Any:
    return project.snapshots.filter(name=f"bench {name}").first()


def freeze(project: Any, name: str, *, figure: dict[str, Any]) -> None:
    from django.utils import timezone

    from feedback.models import Snapshot, User
    from feedback.selection import Selection
    from feedback.snapshots import freeze_snapshot

    Snapshot.objects.filter(project=project, name=f"bench {name}").delete()
    curator = User.objects.filter(memberships__project=project, memberships__role="curator").first()
    with measured(BENCHMARK, f"freeze {name}", **figure) as found:
        snapshot = freeze_snapshot(
            project=project, name=f"bench {name}", created_by=curator, selection=Selection(**FREEZES[name]),
            now=timezone.now(),
        )  # fmt: skip
        found["judgments"] = snapshot.judgment_count
        found["rows"] = sum(sum(splits.values()) for splits in snapshot.manifest["counts"]["rows"].values())
        found["mb"] = round(sum(snapshot.manifest["bytes"].values()) / 1e6)


def export(project: Any, name: str, form: str, *, figure: dict[str, Any]) -> None:
    from feedback.exports.formats import splits_of
    from feedback.exports.forms import export_stream

    snapshot = frozen(project, "latest")
    if snapshot is None or not splits_of(snapshot, name):
        return
    with measured(BENCHMARK, f"export {name} {form}", **figure) as found:
        size = sum(len(piece) for piece in export_stream(snapshot, name=name, form=form))
        found["mb"], found["rows"] = round(size / 1e6), sum(splits_of(snapshot, name).values())


def compare(project: Any, first: str, second: str, *, figure: dict[str, Any]) -> None:
    from feedback.snapshot_compare import compare

    snapshots = frozen(project, first), frozen(project, second)
    if None in snapshots:
        return
    with measured(BENCHMARK, f"compare {first} {second}", **figure) as found:
        found["pairs"] = compare(*snapshots)["pairs"]


if __name__ == "__main__":
    sys.exit(main())
