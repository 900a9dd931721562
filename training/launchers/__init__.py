"""What to start for a run: argument vectors and environments, nothing more.

A worker starts one process whatever the launcher is. `local` is the trainer itself. The others are attendants that
stand for what runs elsewhere: `several` starts `accelerate launch`, `ray_jobs` and `slurm` hand a job to a cluster.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from training.configs import LaunchConfig, parse
from training.rundir import RunDirectory

SECRETS = ("SECRET_KEY", "DATABASE_URL", "CONVERSATION_KEY", "HUB_TOKEN")
"""Settings of the site that a trainer has no use for."""


def local_argv(directory: RunDirectory) -> list[str]:
    """Train in one process on this machine."""
    return [sys.executable, "-m", "training.ml", str(directory.path)]


ATTENDANTS = {
    "accelerate": "training.launchers.several",
    "ray": "training.launchers.ray_jobs",
    "slurm": "training.launchers.slurm",
}
"""The module that attends to a run, for each launcher but `local`."""


def launch_of(directory: RunDirectory) -> LaunchConfig:
    return parse(LaunchConfig, directory.spec().launch, "how a run starts")


def launch_argv(directory: RunDirectory) -> list[str]:
    """Start the run as its run.json says."""
    launcher = launch_of(directory).launcher
    if launcher == "local":
        return local_argv(directory)
    return [sys.executable, "-m", ATTENDANTS[launcher], str(directory.path)]


def job_argv(directory: RunDirectory, python: str) -> list[str]:
    """Return what a job of a cluster runs, on the machine that it is given."""
    launch = launch_of(directory)
    several = launch.processes > 1 or launch.sharding != "none"
    return [python, "-m", ATTENDANTS["accelerate"] if several else "training.ml", str(directory.path)]


def child_environment(directory: RunDirectory, base: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a trainer whose base model is `base`; what the operator has set stays.

    The hub is asked for a base model that is a hub id, and for nothing else.
    """
    own = plain_environment(environ)
    if Path(base).exists():
        own.setdefault("HF_HUB_OFFLINE", "1")
    own["HF_DATASETS_CACHE"] = str(directory.datasets_cache)
    return own


def talk_argv() -> list[str]:
    """Answer in conversations in one process on this machine."""
    return [sys.executable, "-m", "training.ml.talk"]


def plain_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what every process with a model starts from: without the site's secrets, what the operator has set kept.

    Threads that spin while they wait would stop each other on shared cores, so they sleep.
    """
    own = dict(os.environ if environ is None else environ)
    for name in SECRETS:
        own.pop(name, None)
    own.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    own.setdefault("TOKENIZERS_PARALLELISM", "false")
    own.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    own["PYTHONUNBUFFERED"] = "1"
    return own
