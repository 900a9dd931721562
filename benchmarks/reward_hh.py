"""A reward model on HH, held against two floors: does it beat "longer wins" and TF-IDF on pairs that it never saw?

    python -m benchmarks.reward_hh MODEL_DIRECTORY [setting=value ...]

Trains on the 3,547 pairs of HH train through the same run directory as the site's runs, measures on the 1,000 of test,
and prints JSON lines: the share right with Wilson's 95 % interval, and whether its lower end lies above each floor
(../shared/data/hh/expected.json: 58.5 % and 60.5 %). Some 15 to 30 minutes of one core with SmolLM2-135M and the
settings below: the weights of the upper layers, one pass, no more of each conversation than its last turns.

What was left out: a search for better settings, which would have to be paid for with a third set of pairs.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from feedback.contract import EVALUATION, TRAIN, table_file
from training.rundir import ModelSource, RunDirectory, RunSpec

SETTINGS: dict[str, Any] = {
    "tuning": "full",
    "freeze_layers": 22,
    "precision": "bfloat16",
    "steps": 221,
    "batch_size": 16,
    "learning_rate": 5e-5,
    "warmup_steps": 10,
    "max_length": 512,
    "max_refused_percent": 5.0,
    "use_margin": False,
    "checkpoint_every": 100,
}
PROMPT_CHARACTERS = 300
"""Of a conversation its last turns are read, as many as these hold, and the user's last turn in any case."""
HH = Path(os.environ.get("CONCORD_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data") / "hh"
FLOORS = {"longer_wins": 0.585, "tfidf": 0.605}


def last_turns(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the end of a chat, from a user's turn on."""
    start = len(messages) - 1
    while start >= 2 and sum(len(one["content"]) for one in messages[start - 2 :]) <= PROMPT_CHARACTERS:
        start -= 2
    return messages[start:]


def rows(name: str) -> Iterator[dict[str, Any]]:
    """Yield a file of HH as the preference rows of a snapshot."""
    with gzip.open(HH / f"{name}.jsonl.gz", "rt") as file:
        for pair in map(json.loads, file):
            yield {
                "prompt": last_turns(pair["prompt"]),
                "chosen": pair["chosen"],
                "rejected": pair["rejected"],
                "margin": 1.0,
                "origin": "comparison",
                "group": pair["id"],
                "judgment_id": pair["id"],
            }


def write_snapshot(directory: Path, tables: dict[str, list[dict[str, Any]]]) -> tuple[str, str]:
    """Write preference rows by split as feedback does; return (directory, sha256)."""
    files = {}
    for split, own in tables.items():
        path = directory / table_file("preference", split)
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(own), path)
        files[table_file("preference", split)] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = json.dumps({"files": files}).encode()
    (directory / "manifest.json").write_bytes(manifest)
    return str(directory), hashlib.sha256(manifest).hexdigest()


def carry_out(directory: Path, kind: str, config: dict[str, Any], **inputs: Any) -> RunDirectory:
    """Carry out a run in a process of its own with one thread; raises RuntimeError with what it said."""
    run = RunDirectory(directory)
    run.write_spec(RunSpec(run_id=directory.name, kind=kind, config=config, **inputs))
    environment = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", **os.environ}
    with open(run.log_path, "wb") as log:
        ended = subprocess.run(
            [sys.executable, "-m", "training.ml", str(run.path)], env=environment, stdout=log, stderr=log, check=False
        )
    if ended.returncode:
        raise RuntimeError(run.error() or f"the run ended with {ended.returncode}; see {run.log_path}")
    return run


def setting_of(text: str) -> tuple[str, Any]:
    """Return (name, value) of a setting on the command line; a value that is no JSON is a word."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def main(arguments: list[str]) -> int:
    if not arguments:
        sys.stderr.write((__doc__ or "") + "\n")
        return 2
    settings = {**SETTINGS, **dict(map(setting_of, arguments[1:]))}
    with tempfile.TemporaryDirectory() as place:
        tables = {TRAIN: list(rows("train")), EVALUATION: list(rows("test"))}
        snapshot, sha256 = write_snapshot(Path(place) / "snapshot", tables)
        children, began = os.times(), time.monotonic()
        run = carry_out(
            Path(place) / "run",
            "reward",
            settings,
            policy=ModelSource(str(Path(arguments[0]).resolve())),
            snapshot=snapshot,
            snapshot_sha256=sha256,
        )
        lasted, cpu = time.monotonic() - began, os.times().children_user - children.children_user
        outcome, metrics = run.outcome(), run.metrics()
        assert outcome is not None, "a run that ended well has an outcome"
        found = outcome.evaluation
        tenth = max(1, len(metrics) // 10)
        line = {
            "benchmark": "reward_hh",
            "figure": "accuracy on HH test",
            **{name: found[name] for name in ("accuracy", "low", "high", "n")},
            "calibration": found.get("calibration"),
            "train_accuracy_last_tenth": sum(row["accuracy"] for row in metrics[-tenth:]) / tenth,
            "seconds": round(lasted, 1),
            "cpu_s": round(cpu, 1),
            "settings": settings,
        }
        print(json.dumps(line), flush=True)
        for name, floor in FLOORS.items():
            verdict = {"floor": floor, "above": found["accuracy"] > floor, "interval_above": found["low"] > floor}
            print(json.dumps({"benchmark": "reward_hh", "figure": f"against {name}", **verdict}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
