"""Carry out a run directory as `python -m training.ml` does, and print what its steps took.

    python -m benchmarks.training_ours RUN_DIR

The clock starts at the first step, or before that where a reference model is asked once for all rows: that counts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.training_meter import Meter
from training.ml.__main__ import carry_out
from training.rundir import RunDirectory

BEGINNINGS = ("asking the reference", "training", "writing and scoring responses")
"""Phases of a run's progress with which its work begins."""


class MeteredRun(RunDirectory):
    def __init__(self, path: str, meter: Meter) -> None:
        super().__init__(path)
        self.meter = meter

    def write_progress(self, phase: str, done: int = 0, total: int = 0) -> None:
        super().write_progress(phase, done, total)
        if not self.meter.cpu and phase in BEGINNINGS:
            self.meter.start()

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        super().append_metrics(row)
        self.meter.step()


def main() -> int:
    meter = Meter()
    run = MeteredRun(sys.argv[1], meter)
    outcome = carry_out(run)
    run.write_outcome(outcome)
    rows = run.metrics()
    told: dict[str, Any] = {}
    if "score_mean" in rows[0]:
        told = {
            "scores": [row["score_mean"] for row in rows],
            "kl": [row["kl"] for row in rows],
            "generated": sum(row["response_length"] for row in rows) * outcome.evaluation["n"],
        }
    else:
        told = {"losses": [row["loss"] for row in rows]}
    meter.tell(**told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
