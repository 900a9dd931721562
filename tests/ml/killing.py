"""Runs in a process of their own that is killed with SIGKILL at a step of one's choice.

The process is a fork of this one, so that torch is not imported again. It kills itself, because only it can be sure of
the instant; for the kernel, and for the files that it leaves, that is the same as being killed by another.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.rundir import RunDirectory


class KilledAfter(RunDirectory):
    """Kills its process once the metrics of `step` are written."""

    def __init__(self, path: Path, step: int) -> None:
        super().__init__(path)
        self.step = step

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        super().append_metrics(row)
        if row["step"] >= self.step:
            self.reached()

    def reached(self) -> None:
        kill_this_process()


class KilledWhileSaving(KilledAfter):
    """Kills its process at its next checkpoint after `step`: files are written, and not yet marked as whole."""

    def reached(self) -> None:
        hashlib.file_digest = kill_this_process  # it is asked for each file before the mark is set


def kill_this_process(*_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def run_and_kill(run: RunDirectory, step: int, how: type[KilledAfter] = KilledAfter) -> None:
    """Carry the run out, or go on with it, until the metrics of `step` are written, and no further than `how` says."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            from training.ml.__main__ import carry_out

            carry_out(how(run.path, step))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)  # it came to its end, or raised: the parent sees that it was not killed
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"it ended by itself before step {step}"
    assert os.WTERMSIG(status) == signal.SIGKILL
