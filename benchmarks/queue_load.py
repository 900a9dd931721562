"""Queues under load: `make bench-queue`.

Starts a site of its own on SQLite and on PostgreSQL, fills queues of 10,000 and of 1,000,000 comparisons, and lets 1, 8
and 32 annotators without think time claim and submit through the HTTP API. Prints one JSON line per row;
docs/benchmarks.md says how to read it. Ends with status 1 when a judgment was lost, doubled or asked for too often, or
a request failed; figures of time never fail it, because they are the machine's, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.annotators import Seen, annotate
from benchmarks.machine import busy_seconds
from benchmarks.own_site import SiteFailed
from benchmarks.queue_rows import RowsFailed, on_database
from benchmarks.queue_site import DATABASES, ServedDatabase, served_database
from tests.cluster import NoCluster

OVERLAP = 1
SMALL = 200_000
"""Of a queue below this size each row gets one of its own, so that the fastest row does not come to its end."""
WARM_UP_SECONDS = 2.0


def main() -> int:
    asked = arguments()
    fine = True
    for database in asked.databases:
        try:
            with served_database(database, say) as served:
                for comparisons in asked.comparisons:
                    fine &= measure(served, database, comparisons, asked.clients, asked.seconds)
        except (SiteFailed, RowsFailed, NoCluster) as failure:
            print(f"bench-queue: {failure}", file=sys.stderr)
            return 1
    return 0 if fine else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-queue ARGS=...", description=__doc__)
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=list(DATABASES))
    parser.add_argument("--comparisons", nargs="+", type=int, default=[10_000, 1_000_000])
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=30.0, help="Per row (default 30).")
    return parser.parse_args()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measure(served: ServedDatabase, database: str, comparisons: int, clients: Sequence[int], seconds: float) -> bool:
    """Print the rows of one size of queue; False when something happened that never may."""
    began = time.monotonic()
    queues = len(clients) if comparisons < SMALL else 1
    filled = on_database(
        served.site.environment,
        "fill",
        comparisons=comparisons,
        overlap=OVERLAP,
        people=max(clients) + 1,
        queues=queues,
    )
    say(f"Filled {queues} x {comparisons:,} comparisons on {database} in {time.monotonic() - began:.0f} s")
    *tokens, spare = filled["tokens"]
    counted = on_database(served.site.environment, "statements", queue=filled["queues"][0], token=spare)
    if served.site.process is None:
        served.site.start()
    asyncio.run(label(served.site.port, [spare], filled["queues"][0], WARM_UP_SECONDS))
    fine = True
    for number, many in enumerate(clients):
        queue = filled["queues"][number % queues]
        row = measured_row(served, tokens[:many], queue, seconds)
        line = {"benchmark": "queue", "database": database, "comparisons": comparisons, "clients": many, **row}
        print(json.dumps({**line, "statements": counted}), flush=True)
        fine &= not any(row[name] for name in ("excess", "lost", "doubles", "locked", "refused", "broken_off"))
    shown = on_database(served.site.environment, "shown_first", queues=filled["queues"])
    share = round(100 * shown["first_shown_is_place_0"] / max(1, shown["claims"]), 2)
    print(json.dumps({"benchmark": "position", "database": database, **shown, "percent": share}), flush=True)
    return fine


def measured_row(served: ServedDatabase, tokens: Sequence[str], queue: str, seconds: float) -> dict[str, Any]:
    own, busy, load = time.process_time(), busy_seconds(), os.getloadavg()[0]
    cpu, began = served.cpu_seconds(), time.monotonic()
    seen = asyncio.run(label(served.site.port, tokens, queue, seconds))
    lasted, cpu = time.monotonic() - began, served.cpu_seconds() - cpu
    own, busy = time.process_time() - own, busy_seconds() - busy
    came = on_database(
        served.site.environment, "outcome", queues=[queue], overlap=OVERLAP, acknowledged=seen.acknowledged
    )
    done = len(seen.acknowledged)
    return {
        "annotations": done,
        "annotations_per_s": round(done / lasted, 1),
        "next_ms": percentiles(seen.next_seconds),
        "submit_ms": percentiles(seen.submit_seconds),
        "server_cpu_ms_per_annotation": round(1000 * cpu / max(1, done), 2),
        "excess": came["excess"],
        "lost": came["lost"],
        "doubles": came["doubles"],
        "locked": seen.locked,
        "refused": seen.refused,
        "broken_off": seen.broken_off,
        "exhausted": seen.exhausted,
        "client_cores": round(own / lasted, 2),
        "cores_busy_with_others": round(max(0.0, busy - own - cpu) / lasted, 2),
        "cores": os.cpu_count(),
        "load_before": round(load, 2),
    }


async def label(port: int, tokens: Sequence[str], queue: str, seconds: float) -> Seen:
    seen = Seen()
    until = asyncio.get_running_loop().time() + seconds
    await asyncio.gather(*(annotate(port=port, token=token, queue=queue, until=until, seen=seen) for token in tokens))
    return seen


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds, by nearest rank."""
    ordered = sorted(seconds) or [0.0]
    at = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in SHARES.items()}
    return {name: round(1000 * value, 1) for name, value in at.items()}


SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


if __name__ == "__main__":
    sys.exit(main())
