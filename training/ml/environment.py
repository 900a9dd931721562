"""What it takes to run a run again: versions, git commit, device, threads, seed and inputs, as environment.json."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from training.configs import Config
from training.rundir import RunDirectory, RunSpec, read_json, write_json

PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "tokenizers",
    "safetensors",
    "numpy",
    "pyarrow",
    "bitsandbytes",
)
ROOT = Path(__file__).resolve().parents[2]
COMMIT = "CONCORD_COMMIT"
"""Environment variable with the git commit of an installation that is no git checkout, such as an image's."""


def write_environment(run: RunDirectory, spec: RunSpec, config: Config) -> None:
    """Write environment.json for this attempt; an earlier attempt's that differs goes on under "before"."""
    now = describe_environment(spec, config)
    earlier = read_json(run.environment_path) or {}
    before = earlier.pop("before", [])
    if earlier and {**earlier, "started": ""} != {**now, "started": ""}:
        before = [*before, earlier]
    write_json(run.environment_path, {**now, **({"before": before} if before else {})})


def describe_environment(spec: RunSpec, config: Config) -> dict[str, Any]:
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": {"python": platform.python_version(), **package_versions()},
        **code_version(),
        "device": device_name(),
        "devices": max(1, torch.cuda.device_count()),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "seed": config.seed,
        "snapshot_sha256": spec.snapshot_sha256,
    }


def package_versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def code_version() -> dict[str, Any]:
    """Return the git commit of this code and whether files differ from it; an empty commit where nobody knows."""
    if os.environ.get(COMMIT):
        return {"commit": os.environ[COMMIT], "changed": False}
    commit = git("rev-parse", "HEAD")
    return {"commit": commit, "changed": bool(commit and git("status", "--porcelain", "--untracked-files=no"))}


def git(*arguments: str) -> str:
    if not (ROOT / ".git").exists():  # an installed package inside of somebody else's repository has no commit of ours
        return ""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def device_name() -> str:
    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name(0)}"
    return f"cpu: {processor_name()}"


def processor_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def peak_memory_mb() -> float:
    """Return the most memory that this process has held so far, in MiB: of the GPU where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB elsewhere
