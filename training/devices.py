"""What this machine has to train on, told without loading torch."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Device:
    kind: str
    """"cuda" or "cpu": what `training.ml` will train on here."""
    name: str
    memory_gb: float
    """GiB of the device; of the machine, or of what a container may use, for a CPU."""
    count: int = 1


def own_device() -> Device:
    """Return the device that a run has here: the GPUs that torch may use, or else the processor."""
    return gpu() or Device("cpu", processor_name(), round(machine_memory() / GIB, 1))


def gpu() -> Device | None:
    """Return the first GPU, and how many like it are there; None where torch would not use any."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or not torch_knows_cuda():
        return None
    asked = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return first_gpu(told, os.environ.get("CUDA_VISIBLE_DEVICES", ""))


def first_gpu(told: str, visible: str) -> Device | None:
    """Read nvidia-smi's lines "name, MiB"; `visible` is CUDA_VISIBLE_DEVICES, empty for all."""
    gpus = [line.rpartition(",") for line in told.splitlines() if "," in line]
    if visible:
        chosen = visible.split(",")
        gpus = [gpus[int(one)] if one.isdecimal() and int(one) < len(gpus) else gpus[0] for one in chosen if gpus]
    if not gpus:
        return None
    name, _, mebibytes = gpus[0]
    return Device("cuda", name.strip(), round(float(mebibytes) / 1024, 1), len(gpus))


def torch_knows_cuda() -> bool:
    """Tell whether the installed torch can have been built for CUDA; without torch nothing speaks against it."""
    try:
        return not importlib.metadata.version("torch").endswith("+cpu")
    except importlib.metadata.PackageNotFoundError:
        return True


def processor_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return f"{platform.machine()}, {os.cpu_count()} cores"


def machine_memory() -> int:
    """Return the bytes of memory that this process may use."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        return min(whole, int(CGROUP_LIMIT.read_text()))
    return whole
