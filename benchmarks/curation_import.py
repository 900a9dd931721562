"""Rows a second and peak memory of imports, kind by kind, in JSON lines.

    python -m benchmarks.curation_import                          # every kind at 20,000 rows, prompts up to 1,000,000
    python -m benchmarks.curation_import --kind prompts --rows 1000000

Each measurement is a process of its own with a fresh SQLite database: it imports one file through the product's own
code (`feedback.imports.whole`), which checks the whole file and then stores it. `rows_per_second` is of both
together; `longest_write` is the longest transaction, in seconds, during which nobody else can write.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORDS = [f"{a}{b}{c}" for a in "bcdfghjklm" for b in "aeiou" for c in "nrst"]
DEFAULT_ROWS = 20_000
SIZES = {"prompts": (DEFAULT_ROWS, 100_000, 1_000_000)}
KINDS = ("prompts", "responses", "preferences", "rankings", "ratings", "demonstrations", "votes")


def text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))


def rows_of(kind: str, count: int) -> Iterator[dict[str, Any]]:
    """Yield made-up rows of one kind: prompts of some 40 words, responses of some 60."""
    chance = random.Random(kind)
    makes: dict[str, Callable[[int], dict[str, Any]]] = {
        "prompts": lambda n: {"prompt": f"{n}: {text(chance, 40)}?", "id": n},
        "responses": lambda n: {"prompt": f"{n // 2}: what is it?", "response": text(chance, 60), "model": f"m{n % 2}"},
        "preferences": lambda n: {
            "prompt": [{"role": "user", "content": f"{n}: {text(chance, 30)}?"}],
            "chosen": [{"role": "assistant", "content": text(chance, 60)}],
            "rejected": [{"role": "assistant", "content": text(chance, 60)}],
        },
        "rankings": lambda n: {
            "prompt": f"{n}: {text(chance, 20)}?", "responses": [text(chance, 30) for _ in range(4)],
            "ranks": chance.sample(range(1, 5), 4), "annotator": f"w{n % 50}",
        },
        "ratings": lambda n: {
            "prompt": f"{n}: {text(chance, 20)}?", "response": text(chance, 60), "helpfulness": n % 5, "honesty": 3,
            "annotator": f"w{n % 50}",
        },
        "demonstrations": lambda n: {"instruction": f"{n}: {text(chance, 20)}?", "output": text(chance, 60)},
        "votes": lambda n: {
            "prompt": f"{n // 5}: which?", "response_a": f"yes {n // 5}", "response_b": f"no {n // 5}",
            "winner": ("a", "b", "tie")[n % 3], "annotator": f"w{n % 977}", "seconds": 10 + n % 50,
            "created_at": f"2026-01-{1 + n % 28:02}T10:00:{n % 60:02}Z",
        },
    }  # fmt: skip
    yield from (makes[kind](number) for number in range(count))


def measure(kind: str, rows: int, folder: Path) -> dict[str, Any]:
    """Import one file in this process, whose database is fresh, and say how it went."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "rlhf_site.settings"
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from feedback.imports.storing import Store
    from feedback.imports.whole import import_file
    from feedback.models import User
    from feedback.people import create_project

    call_command("migrate", verbosity=0)
    admin = User.objects.create(username="bench")
    project = create_project(name="Bench", admin=admin)
    path = folder / f"{kind}.jsonl"
    with path.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows_of(kind, rows))
    writes = Writes()
    connection.execute_wrappers.append(writes)
    before = peak_mebibytes()
    stored = Store.store
    timings: list[float] = []

    def timed(self: Store, *args: Any) -> None:
        stored(self, *args)
        timings.append(writes.since_lock())

    Store.store = timed  # type: ignore[method-assign]
    started, computed = time.perf_counter(), time.process_time()
    file_import = import_file(project=project, path=path, created_by=admin, kind=kind)
    seconds, cpu = time.perf_counter() - started, time.process_time() - computed
    return {
        "benchmark": "import",
        "kind": kind,
        "rows": rows,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "rows_per_second": round(rows / seconds),
        "longest_write": round(max(timings), 3),
        "peak_mebibytes": round(peak_mebibytes()),
        "above_start_mebibytes": round(peak_mebibytes() - before),
        "stored": file_import.counts["stored"],
        "database": connection.vendor,
    }


class Writes:
    """Notes when the transaction that a step writes in took the lock: at its first UPDATE, of the job."""

    def __init__(self) -> None:
        self.locked = 0.0

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith('UPDATE "feedback_job"'):
            self.locked = time.perf_counter()
        return execute(sql, params, many, context)

    def since_lock(self) -> float:
        return time.perf_counter() - self.locked


def peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured_apart(kind: str, rows: int) -> None:
    """Measure in a process and a data directory of its own."""
    with tempfile.TemporaryDirectory(prefix="concord-import-bench-") as folder:
        environment = {**os.environ, "CONCORD_DATA_DIR": folder, "DATABASE_URL": f"sqlite:///{folder}/bench.sqlite3"}
        command = [sys.executable, "-m", "benchmarks.curation_import", "--inside", folder]
        command += ["--kind", kind, "--rows", str(rows)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside is not None:
        print(json.dumps(measure(asked.kind, asked.rows, asked.inside)), flush=True)
        return
    for kind in [asked.kind] if asked.kind else KINDS:
        for rows in [asked.rows] if asked.rows else SIZES.get(kind, (DEFAULT_ROWS,)):
            measured_apart(kind, rows)


if __name__ == "__main__":
    main()
