"""Reports and pages on a filled database: `make bench-curation` runs each measurement in a process of its own.

    python -m benchmarks.curation_reports columns|report|pages --project SLUG [--kind agreement]

`columns` reads all judgments as columns of numbers, `report` computes one report from the database to its stored JSON,
`pages` opens every page of the project as a curator, seven times each, with everything measured before.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.measured import measured

BENCHMARK = "curation_reports"
TIMES = 7
GOAL_MS = 300
FAR_TOO_SLOW_MS = 3_000
"""A page that takes so long is opened once."""
LONGEST_S = 20


def main() -> None:
    import django

    parser = argparse.ArgumentParser(prog="python -m benchmarks.curation_reports", description=__doc__)
    parser.add_argument("what", choices=["columns", "report", "pages", "kinds"])
    parser.add_argument("--project", required=True)
    parser.add_argument("--kind", default="agreement")
    asked = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rlhf_site.settings")
    django.setup()
    from feedback.models import Project

    project = Project.objects.get(slug=asked.project)
    if asked.what == "kinds":
        from feedback.quality.reports import FUNCTIONS

        print(json.dumps([str(kind) for kind in FUNCTIONS]))
    elif asked.what == "columns":
        measure_columns(project)
    elif asked.what == "report":
        measure_report(project, asked.kind)
    else:
        measure_pages(project)


def database() -> str:
    from django.db import connection

    return str(connection.vendor)


def measure_columns(project: Any) -> None:
    from feedback.quality.columns import read_columns

    with measured(BENCHMARK, "read_columns", database=database(), goal_s=10, goal_mib=600) as found:
        found["judgments"] = len(read_columns(project=project))


def measure_report(project: Any, kind: str) -> None:
    """Queue a report as a person would, and carry it out as the clerk would."""
    from feedback.jobs import carry_out
    from feedback.quality.reports import measure

    with measured(BENCHMARK, "report", database=database(), kind=kind) as found:
        job = carry_out(measure(project=project, kind=kind, params=params_of(kind), created_by=curator_of(project)))
        found |= {"state": str(job.state), "judgments": (job.result or {}).get("judgments")}
        if job.state != "succeeded":
            found["error"] = job.error


def params_of(kind: str) -> dict[str, Any]:
    """Return what a report is asked about; nothing, where it is about the whole project."""
    return {}


def curator_of(project: Any) -> Any:
    from feedback.models import Role

    return project.memberships.get(role=Role.CURATOR).user


def measure_pages(project: Any) -> None:
    """Open every page whose address the project's rows fill."""
    from django.core.signals import request_finished, request_started
    from django.db import close_old_connections, connection, reset_queries
    from django.test import Client
    from django.test.utils import CaptureQueriesContext
    from django.urls import URLResolver, get_resolver, reverse

    for sent, receiver in (
        (request_finished, close_old_connections),
        (request_started, close_old_connections),
        (request_started, reset_queries),
    ):
        sent.disconnect(receiver)
    logging.getLogger("django.request").setLevel(logging.CRITICAL)  # what a curator may not open says so each time
    client = Client(headers={"Host": "127.0.0.1"}, raise_request_exception=False)
    client.force_login(curator_of(project))
    rows = rows_of(project)
    patterns = list(get_resolver().url_patterns)
    while patterns:
        one = patterns.pop()
        if isinstance(one, URLResolver):
            if str(one.pattern) not in ("admin/", "api/v1/"):
                patterns += one.url_patterns
            continue
        wanted = one.pattern.converters
        if "project" not in wanted or not set(wanted) <= set(rows):
            continue
        address = reverse(one.name, kwargs={name: rows[name] for name in wanted})
        line = {"benchmark": BENCHMARK, "figure": "page", "database": database(), "page": one.name, "goal_ms": GOAL_MS}
        began = time.monotonic()
        with CaptureQueriesContext(connection) as asked, at_most(LONGEST_S):
            first = client.get(address)
        lasted, statements = [1000 * (time.monotonic() - began)], list(asked.captured_queries)
        if first.status_code >= 500:
            worst = max(statements, key=lambda query: float(query["time"]), default={"sql": ""})
            line |= {"status": first.status_code, "gave_up_after_ms": round(lasted[0]), "slowest": worst["sql"][:400]}
            print(json.dumps(line), flush=True)
        if first.status_code != 200 or first.streaming or "html" not in first.headers["Content-Type"]:
            continue
        while len(lasted) < TIMES + 1 and lasted[0] < FAR_TOO_SLOW_MS:
            began = time.monotonic()
            client.get(address)
            lasted.append(1000 * (time.monotonic() - began))
        times = lasted[1:] or lasted
        line |= {"median_ms": round(statistics.median(times), 1), "best_ms": round(min(times), 1),
                 "statements": len(statements), "html_kb": round(len(first.content) / 1000)}  # fmt: skip
        if line["median_ms"] > GOAL_MS:
            slowest = max(statements, key=lambda query: float(query["time"]))
            line |= {"slowest_statement_ms": round(1000 * float(slowest["time"])), "slowest": slowest["sql"][:200]}
        print(json.dumps(line), flush=True)


class TooSlow(Exception):
    """A page took longer than anybody would wait."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """End what takes longer: a statement from a thread beside, Python by a signal."""
    from django.db import connection

    def give_up(*_: Any) -> None:
        raise TooSlow

    connection.ensure_connection()
    raw = connection.connection
    beside = threading.Timer(seconds, raw.interrupt if connection.vendor == "sqlite" else raw.cancel)
    before = signal.signal(signal.SIGALRM, give_up)
    beside.start()
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        beside.cancel()


def rows_of(project: Any) -> dict[str, Any]:
    """Return what stands in the addresses of the project's pages: a busy queue, the busiest person, a disputed task."""
    from django.db.models import Count

    from feedback.models import Job, Judgment, Queue, Snapshot

    queue = Queue.objects.filter(project=project, kind="comparison").first()
    judgments = Judgment.objects.filter(queue=queue)
    busiest = judgments.order_by().values("annotator").annotate(many=Count("pk")).order_by("-many").first()
    newest = judgments.filter(arm="priority").order_by("-id").first()
    assert queue is not None
    assert busiest is not None
    assert newest is not None
    rows: dict[str, Any] = {
        "project": project.slug,
        "queue": queue.pk,
        "person": busiest["annotator"],
        "judgment": newest.pk,
        "task": newest.task_id,
        "prompt": newest.task.prompt_id,
        "what": "guidelines",
        "number": 1,
        "queue_kind": "comparison",
    }
    for name, model in (("snapshot", Snapshot), ("job", Job)):
        if last := model.objects.filter(project=project).order_by("-pk").first():
            rows[name] = last.pk
    return rows


if __name__ == "__main__":
    main()
