"""What a worker has and what a run needs: who can carry out what."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from feedback.models import Worker
from training.devices import Device, own_device
from training.models import Run

CLUSTERS = ("ray", "slurm")
"""Launchers that hand a run to a cluster; a worker that can reach one carries its name as a label."""


@dataclass(frozen=True)
class Capabilities:
    """What a worker says of itself."""

    device: Device
    labels: frozenset[str] = frozenset()

    def as_values(self) -> dict[str, Any]:
        """Return the columns of Worker."""
        return {
            "device": self.device.kind,
            "device_name": self.device.name[:200],
            "memory_gb": self.device.memory_gb,
            "labels": sorted(self.labels),
        }


def own_capabilities(labels: Iterable[str] = ()) -> Capabilities:
    """Return what this machine has, with the labels that the operator gives and those of the clusters in reach."""
    return Capabilities(own_device(), frozenset(labels) | reachable_clusters())


def reachable_clusters() -> frozenset[str]:
    found = set()
    if os.environ.get("RAY_ADDRESS") and importlib.util.find_spec("ray"):
        found.add("ray")
    if (shutil.which("sbatch") or os.environ.get("SLURM_CLUSTER")) and importlib.util.find_spec("submitit"):
        found.add("slurm")
    return frozenset(found)


def lacks(
    device: str, memory_gb: float | None, labels: Collection[str], launch: Mapping[str, Any], needs: Mapping[str, Any]
) -> str:
    """Say what a worker with these lacks for a run; empty when it can carry it out.

    A run for a cluster needs a worker that reaches it; what else it needs is asked of the cluster.
    """
    wanted = set(str(needs.get("labels", "")).split())
    launcher = launch.get("launcher", "local")
    if launcher in CLUSTERS:
        wanted.add(launcher)
    missing = sorted(wanted - set(labels))
    if missing:
        return f"the label{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
    if launcher in CLUSTERS:
        return ""
    asked = needs.get("device", "any")
    if asked not in ("any", device):
        return f"a device of kind {asked}"
    memory = needs.get("memory_gb", 0.0)
    if memory and (memory_gb is None or memory > memory_gb):
        return f"{memory:g} GiB of memory"
    return ""


def can_carry(capabilities: Capabilities, launch: Mapping[str, Any], needs: Mapping[str, Any]) -> bool:
    own = capabilities.device
    return not lacks(own.kind, own.memory_gb, capabilities.labels, launch, needs)


def run_workers(now: datetime) -> list[Worker]:
    """Return the workers that carry out runs and are alive, by name."""
    return list(Worker.objects.alive(now).filter(work=Worker.Work.RUNS).order_by("name"))


def waits_in_vain(run: Run, now: datetime) -> str:
    """Say what every worker that is alive lacks for a run that waits; empty when one of them can take it, or none is.

    Where no worker is alive at all the page says that instead.
    """
    if run.state != Run.State.QUEUED:
        return ""
    reasons = [lacks(one.device, one.memory_gb, one.labels, run.launch, run.needs) for one in run_workers(now)]
    return reasons[0] if reasons and all(reasons) else ""
