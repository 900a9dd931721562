"""What a training process takes from the end of its preparations to its last step. Standard library alone.

The TRL scripts import it, too, in an environment of their own.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any


class Meter:
    """Processor time, wall time and peak memory between `start` and the last `step`."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0
        self.steps = 0
        self.until: tuple[float, float] = (0.0, 0.0)

    def start(self) -> None:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here, not from loading the model
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.reset_peak_memory_stats()
        self.cpu, self.wall = time.process_time(), time.monotonic()

    def step(self) -> None:
        self.steps += 1
        self.until = time.process_time(), time.monotonic()

    def tell(self, **more: Any) -> None:
        """Print what was measured as the process's last line."""
        found = {
            "steps": self.steps,
            "cpu_s": self.until[0] - self.cpu,
            "seconds": self.until[1] - self.wall,
            "peak_mib": peak_mib(),
        }
        print(json.dumps({**found, **more}), flush=True)


def peak_mib() -> float:
    """Return the most memory that was held since the start: the graphics card's, where the process uses one."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
