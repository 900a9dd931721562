"""What is new on a run's page since it was last asked: the page asks once every two seconds, and for everything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feedback.models import Response
from training.models import Run
from training.reading import metrics_after, step_named
from training.rundir import RunDirectory
from training.watching import LogTail, log_tail

STEPS_AT_ONCE = 200
"""More are fetched by themselves."""
LIVE_LOG_BYTES = 4_000
"""Of the log's end, while it grows; the page begins with more."""


@dataclass(frozen=True)
class Seen:
    """What a page shows already."""

    after: int = 0
    """The last step whose metrics it has."""
    attempt: int = 0
    log: int = 0
    """Size of the log in bytes."""
    texts: int = 0
    """Size of the texts: bytes of previews, or responses that have landed."""
    preflight: int = 0
    """How many checks and figures of its preflight there were, and whether the run stopped for somebody to look."""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Seen:
        """Read what a page sends back; nonsense is nothing seen."""
        return cls(**{name: step_named(query.get(name, "")) or 0 for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class News:
    now: Seen
    steps: str
    """New steps as JSON for the curves: {"steps": [...], "values": {metric: [...]}}."""
    is_behind: bool
    """The page has to fetch its metrics by itself: it is far behind, or the run was taken up again."""
    log: LogTail | None
    texts: bool
    preflight: bool


def seen_now(run: Run) -> Seen:
    """Return what a page shows that is made now."""
    last = run.metrics.order_by("-step").values_list("step", flat=True).first()
    return Seen(
        after=last or 0,
        attempt=run.attempt,
        log=size_of(RunDirectory(run.directory).log_path),
        texts=texts_size(run),
        preflight=preflight_size(run),
    )


def news(run: Run, seen: Seen) -> News:
    """Return what has come since `seen`; what is as it was is left out."""
    now = seen_now(run)
    is_behind = seen.attempt != run.attempt and seen.after > 0
    rows: list[dict[str, Any]] = []
    if now.after > seen.after and not is_behind:
        found = metrics_after(run, seen.after, STEPS_AT_ONCE)
        rows, is_behind = found["rows"], found["more"]
    return News(
        now=now,
        steps=columns([] if is_behind else rows),
        is_behind=is_behind,
        log=log_tail(run, LIVE_LOG_BYTES) if now.log != seen.log else None,
        texts=now.texts != seen.texts,
        preflight=now.preflight != seen.preflight,
    )


def columns(rows: list[dict[str, Any]]) -> str:
    """Return the rows as columns of numbers, no finer than a curve shows: few bytes, often."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in ("step", "time")]
    values = {name: [rounded(row.get(name)) for row in rows] for name in names}
    return json.dumps({"steps": [row["step"] for row in rows], "values": values}, separators=(",", ":"))


def rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def preflight_size(run: Run) -> int:
    found = len(run.preflight.get("checks", ())) + len(run.preflight.get("estimate", ()))
    return 2 * found + (run.state == Run.State.PAUSED)


def texts_size(run: Run) -> int:
    if run.kind == Run.Kind.SAMPLE:
        return Response.objects.filter(prompt__project=run.project_id, run_id=run.pk).count()
    return size_of(RunDirectory(run.directory).previews_path)


def size_of(path: Any) -> int:
    try:
        return int(path.stat().st_size)
    except OSError:
        return 0
