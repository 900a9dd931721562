"""Curation at 1,000,000 judgments: `make bench-curation`.

Fills a database of its own (SQLite; with --databases also PostgreSQL) and measures on it, part by part, each figure in
a process of its own, one JSON line each; docs/benchmarks.md says how to read them. Ends with status 1 when a part
failed; figures of time never fail it, because they are the machine's, too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

from benchmarks.own_site import ROOT, SiteFailed
from benchmarks.queue_site import DATABASES, served_database
from tests.cluster import NoCluster

PARTS = ("stats", "reports", "pages", "export", "import", "hygiene")
"""What works on the filled database is `reports`, `pages` and `export`, which is `python -m benchmarks.curation_export
--project SLUG` in the database's environment."""
OWN_DATA = {"import": "benchmarks.curation_import", "hygiene": "benchmarks.curation_hygiene"}
"""Parts that make their own data, whatever the database."""


def main() -> int:
    asked = arguments()
    fine = True
    if "stats" in asked.parts:
        fine &= run(["benchmarks.curation_stats", "--judgments", str(asked.judgments)])
    if set(asked.parts) & {"reports", "pages", "export"}:
        for database in asked.databases:
            try:
                with served_database(database, say) as served:
                    fine &= on_database(served.site.environment, asked.judgments, asked.parts)
            except (SiteFailed, NoCluster) as failure:
                print(f"bench-curation: {failure}", file=sys.stderr)
                fine = False
    for part, module in OWN_DATA.items():
        if part in asked.parts:
            fine &= run([module])
    return 0 if fine else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-curation ARGS=...", description=__doc__)
    parser.add_argument("--judgments", type=int, default=1_000_000)
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=["sqlite"])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    return parser.parse_args()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def on_database(environment: Mapping[str, str], judgments: int, parts: Sequence[str]) -> bool:
    """Fill the database and measure on it; False when something failed."""
    say(f"Filling a database with {judgments:,} judgments ...")
    filled = json.loads(answer(["benchmarks.curation_rows", "--judgments", str(judgments)], environment))
    say(json.dumps(filled))
    project = ["--project", filled["project"]]
    reports = "benchmarks.curation_reports"
    fine = True
    if "reports" in parts or "pages" in parts:
        fine &= run([reports, "columns", *project], environment)
        for kind in json.loads(answer([reports, "kinds", *project], environment)):
            fine &= run([reports, "report", *project, "--kind", kind], environment)
    if "export" in parts:
        fine &= run(["benchmarks.curation_export", *project], environment)
    if "pages" in parts:
        fine &= run([reports, "pages", *project], environment)
        fine &= run(["benchmarks.curation_review", *project], environment)
    return fine


def run(module: Sequence[str], environment: Mapping[str, str] | None = None) -> bool:
    """Run a module whose lines go to standard output; False when it failed."""
    return subprocess.run([sys.executable, "-m", *module], cwd=ROOT, env=environment).returncode == 0


def answer(module: Sequence[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run([sys.executable, "-m", *module], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SiteFailed(f"{' '.join(module)}: {done.stderr.strip()[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
