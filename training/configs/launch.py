"""Where and how a run's processes start, and what the machine must have."""

from __future__ import annotations

from dataclasses import dataclass

from training.configs.base import BadConfig, Settings, setting

LAUNCHERS = ("local", "accelerate", "ray", "slurm")
SHARDINGS = ("none", "fsdp", "zero2", "zero3")


@dataclass(frozen=True)
class LaunchConfig(Settings):
    """How the processes of a run start."""

    launcher: str = setting(
        "local",
        "Start with",
        "local: a child process. accelerate: several processes on this machine. ray, slurm: as a job of a cluster.",
        choices=LAUNCHERS,
    )
    processes: int = setting(1, "Processes", "Each takes its share of a step's rows.", minimum=1, maximum=1024)
    sharding: str = setting("none", "Sharding", "Of weights and optimizer over GPUs.", choices=SHARDINGS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.launcher == "local" and (self.processes > 1 or self.sharding != "none"):
            raise BadConfig("processes", "several processes need the launcher accelerate, ray or slurm")


@dataclass(frozen=True)
class NeedsConfig(Settings):
    """What a worker must have to take a run."""

    device: str = setting("any", "Device", "Of the worker that may take it.", choices=("any", "cpu", "cuda"))
    memory_gb: float = setting(0.0, "Memory", "GiB, of the device; 0 for any.", minimum=0.0, maximum=100_000.0)
    labels: str = setting("", "Labels", "Words with spaces between them that the worker must carry.")
