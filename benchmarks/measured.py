"""One measurement as a JSON line: how long it took, how much memory, and how busy the machine was with others."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.machine import busy_seconds


@contextmanager
def measured(benchmark: str, figure: str, **more: Any) -> Iterator[dict[str, Any]]:
    """Print the line at the end; what the block puts into the dictionary goes along.

    `seconds` is wall time, `cpu_s` this process's own. `busy_with_others` counts the cores that other processes kept
    busy meanwhile: with more than half of one, `seconds` says little and `cpu_s` more. `peak_mib` is the process's so
    far.
    """
    found: dict[str, Any] = {}
    load, busy, cpu, began = os.getloadavg()[0], busy_seconds(), time.process_time(), time.monotonic()
    yield found
    lasted, own = time.monotonic() - began, time.process_time() - cpu
    others = max(0.0, busy_seconds() - busy - own) / max(lasted, 1e-9)
    line = {
        "benchmark": benchmark,
        "figure": figure,
        **more,
        "seconds": round(lasted, 3),
        "cpu_s": round(own, 3),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        **found,
        "busy_with_others": round(others, 1),
        "load_before": round(load, 1),
    }
    print(json.dumps(line), flush=True)
