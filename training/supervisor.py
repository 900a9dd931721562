"""Keep a handful of processes running, and leave none behind.

Each process leads a group of its own, so that Ctrl-C reaches the supervisor alone, which then ends them in order. Each
also holds the read end of a guard pipe: should the supervisor be killed, the kernel closes the other end and they stop.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from training.rundir import GUARD_FD

logger = logging.getLogger(__name__)

STOP_SECONDS = 20.0
"""How long processes may take to end when asked; then they are killed."""
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0
"""A process that lived this long is started again without a pause."""


class Supervised:
    """One process that is started again, after a growing pause, whenever it ends."""

    def __init__(self, name: str, argv: Sequence[str], cwd: Path, guard: int) -> None:
        self.name = name
        self.argv = list(argv)
        self.cwd = cwd
        self.guard = guard
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.pause = 0.0
        self.start_at = 0.0

    def start(self) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.argv,
            cwd=self.cwd,
            env={**os.environ, GUARD_FD: str(self.guard)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(self.guard,),
        )

    def check(self) -> None:
        """Start the process if it is due; note its end and when to start it again."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_at:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        self.end_group()
        lived = now - self.started
        self.pause = 0.0 if lived > STEADY_SECONDS else min(LONGEST_PAUSE, max(1.0, 2 * self.pause))
        self.start_at = now + self.pause
        self.process = None
        logger.warning("the %s has ended (exit code %d); it starts again in %.0f s", self.name, code, self.pause)

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end_group(self) -> None:
        """Kill whatever of the process's group is left."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Supervisor:
    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self.watched, self.guard = os.pipe()
        self.processes: list[Supervised] = []
        self.stopping = threading.Event()

    def add(self, name: str, argv: Sequence[str]) -> Supervised:
        process = Supervised(name, argv, self.cwd, self.watched)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        self.stopping.set()

    def run(self, *, each_time: Callable[[], None] = lambda: None, pause: float = 0.2) -> None:
        """Keep every process running until `stop`, calling `each_time` between looks; then end them all."""
        try:
            while not self.stopping.is_set():
                for process in self.processes:
                    process.check()
                each_time()
                self.stopping.wait(pause)
        finally:
            self.end_all()

    def end_all(self) -> None:
        for process in self.processes:
            process.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        while any(process.is_running() for process in self.processes) and time.monotonic() < deadline:
            time.sleep(0.05)
        for process in self.processes:
            process.end_group()
        os.close(self.guard)
        os.close(self.watched)
