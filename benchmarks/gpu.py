"""Training and writing on one GPU in bfloat16: `python -m benchmarks.gpu`, in under eight minutes.

JSON lines as those of `make bench-training`, of wall time and the card's memory: SFT, reward model, DPO and GRPO
against plain TRL scripts on the same rows, and text written one by one, in a batch, compiled, and by continuous
batching. What does not fit into the time is skipped with a line that says so. `--quick` runs a tiny model on the
processor: that it runs, not how fast.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.own_site import base_model
from benchmarks.training import QUICK, Bench, RunFailed, Sizes, counter, lay_out, say, sha256_of, steps, written
from benchmarks.training_data import NoData, hh_pairs, made_up_pairs, write_plain, write_prompts, write_snapshot
from training.rundir import ModelSource, RunDirectory, RunSpec

KINDS = ("sft", "reward", "dpo", "grpo", "generation")
MOST_SECONDS = 450.0
GROUP = 4
"""GRPO's responses to each prompt."""


@dataclass(frozen=True)
class Deadline:
    until: float

    def is_near(self, needed: float) -> bool:
        return time.monotonic() + needed > self.until


def main() -> int:
    asked = arguments()
    started = time.monotonic()
    deadline = Deadline(started + asked.seconds)
    if not asked.quick and not has_gpu():
        print(
            "benchmarks.gpu: this machine has no CUDA GPU; --quick runs a tiny model on the processor", file=sys.stderr
        )
        return 1
    with tempfile.TemporaryDirectory(prefix="concord-bench-gpu-") as folder:
        try:
            bench = gpu_bench(Path(folder), asked)
            took = 0.0  # by the last comparison: the next one will take about as long
            for kind in asked.kinds:
                if deadline.is_near(took):
                    skip(kind, f"{asked.seconds:.0f} s are over")
                    continue
                begun = time.monotonic()
                generation_lines(bench, asked) if kind == "generation" else training_line(bench, kind, asked)
                took = time.monotonic() - begun
        except RunFailed as failure:
            say(f"benchmarks.gpu: {failure}")
            return 1
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--model", default="", help="a directory; the base model of Concord where it is left out")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=MOST_SECONDS, help="begin no comparison that would end later")
    parser.add_argument("--quick", action="store_true", help="a tiny model on the processor")
    return parser.parse_args()


def has_gpu() -> bool:
    code = "import sys, torch; sys.exit(0 if torch.cuda.is_available() else 1)"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def gpu_bench(folder: Path, asked: argparse.Namespace) -> Bench:
    """Return where to work and on what: HH pairs where they are, else pairs that are made up."""
    if asked.quick:
        return lay_out(folder, QUICK, quick=True, threads=1)
    model = asked.model or base_model(say)
    sizes = Sizes(rows=asked.rows, passes=2, batch_size=asked.batch_size, repeats=1)
    quick = lay_out(folder, sizes, quick=True, threads=4)  # for its environment
    try:
        pairs, name = hh_pairs(sizes.rows, sizes.most_tokens, counter(model)), Path(model).name
    except NoData:
        pairs, name = made_up_pairs(sizes.rows), f"{Path(model).name}, made-up rows"
    return Bench(folder, model, name, sizes, pairs, quick.environment)


# Training ---------------------------------------------------------------------------------------------------------


def training_line(bench: Bench, kind: str, asked: argparse.Namespace) -> None:
    mine, theirs = ours(bench, kind, asked), plain(bench, kind, asked)
    line = {
        "benchmark": "gpu",
        "model": bench.name,
        "kind": kind,
        "settings": "defaults",
        "against": "trl",
        "precision": precision(asked),
        "rows": len(bench.pairs),
        "batch_size": bench.sizes.batch_size,
        "speed_ratio": round(per_step([theirs]) / per_step([mine]), 3),
        "memory_ratio": round(mine["peak_mib"] / theirs["peak_mib"], 3),
        "ours": taken(mine),
        "theirs": taken(theirs),
    }
    print(json.dumps(line), flush=True)


def per_step(runs: Sequence[dict[str, Any]]) -> float:
    return median(run["seconds"] / run["steps"] for run in runs)


def taken(run: dict[str, Any]) -> dict[str, Any]:
    return {
        "steps": run["steps"],
        "seconds_per_step": round(run["seconds"] / run["steps"], 4),
        "peak_mib": round(run["peak_mib"]),
    }


def precision(asked: argparse.Namespace) -> str:
    return "float32" if asked.quick else "bfloat16"


def ours(bench: Bench, kind: str, asked: argparse.Namespace) -> dict[str, Any]:
    run = RunDirectory(bench.folder / kind)
    if kind == "grpo":
        config: dict[str, Any] = {
            "steps": group_steps(bench),
            "prompts_per_step": bench.sizes.batch_size // GROUP,
            "responses_per_prompt": GROUP,
            "max_new_tokens": response_tokens(asked),
            "reward_function": "words:20",
            "missing_eos_penalty": 0.0,
        }
        inputs: dict[str, Any] = {}
    else:
        snapshot = bench.folder / "snapshot"
        if not snapshot.exists():
            write_snapshot(snapshot, bench.pairs)
        config = {"steps": steps(bench.sizes), "batch_size": bench.sizes.batch_size, "max_length": 4096}
        inputs = {"snapshot": str(snapshot), "snapshot_sha256": sha256_of(snapshot)}
    config["precision"] = precision(asked)
    run.write_spec(RunSpec(run.path.name, kind, config, policy=ModelSource(bench.model), **inputs))
    write_prompts(run.prompts_path, bench.pairs)
    return bench.process(sys.executable, "benchmarks.training_ours", run.path)


def plain(bench: Bench, kind: str, asked: argparse.Namespace) -> dict[str, Any]:
    rows = bench.folder / "pairs.jsonl"
    if not rows.exists():
        write_plain(rows, bench.pairs)
    return bench.process(
        sys.executable,
        "benchmarks.training_plain",
        written(
            bench,
            {
                "kind": kind,
                "settings": "defaults",
                "model": bench.model,
                "rows": str(rows),
                "out": str(bench.folder / f"trl-{kind}"),
                "steps": group_steps(bench) if kind == "grpo" else steps(bench.sizes),
                "batch_size": bench.sizes.batch_size,
                "arguments": {"use_cpu": asked.quick, "bf16": not asked.quick},
                "grpo": {"num_generations": GROUP, "max_completion_length": response_tokens(asked), "beta": 0.04},
            },
        ),
    )


def group_steps(bench: Bench) -> int:
    return max(2, steps(bench.sizes) // 2)


def response_tokens(asked: argparse.Namespace) -> int:
    return 6 if asked.quick else 48


# Writing ----------------------------------------------------------------------------------------------------------


def generation_lines(bench: Bench, asked: argparse.Namespace) -> None:
    rows = bench.folder / "prompts.jsonl"
    count = bench.sizes.batch_size if asked.quick else 4 * bench.sizes.batch_size
    write_prompts(rows, bench.pairs[:count])
    tokens = 6 if asked.quick else asked.new_tokens
    settings = {"model": bench.model, "rows": str(rows), "new_tokens": tokens}
    found: Any = bench.process(sys.executable, "benchmarks.gpu_generation", written(bench, settings))
    alone = next((one.get("tokens_per_second") for one in found if one["way"] == "one by one"), None)
    for one in found:
        line = {"benchmark": "gpu", "model": bench.name, "kind": "generation", "precision": precision(asked)}
        if "tokens_per_second" in one and alone:
            one["speed_ratio"] = round(one["tokens_per_second"] / alone, 2)
            one["against"] = "one by one"
        print(json.dumps({**line, "batch_size": len(bench.pairs[:count]), **one}), flush=True)


def skip(kind: str, reason: str) -> None:
    print(json.dumps({"benchmark": "gpu", "kind": kind, "skipped": reason}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
