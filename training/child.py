"""The process that carries out a run: started so that it can neither outlive its worker nor meet a second one.

Three things hold it. It leads a session of its own, so that one signal reaches everything it starts. It watches a
guard pipe (training.rundir.GUARD_FD) whose other end only the worker holds, so that the kernel tells it when the worker
is gone, kill -9 included. And it inherits a lock on the run directory, which is free again when the last of its
processes has ended, so that a second child never writes where a first one still may.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from training.rundir import GUARD_FD, RunDirectory, read_json, write_json

GUARD_SECONDS = 3.0
"""How long an orphan may take to end by its guard before it is killed."""
KILL_SECONDS = 30.0
"""How long a killed process group may take to be gone."""


class DirectoryBusy(Exception):
    """A process of an earlier attempt still runs in the run directory and could not be ended."""


class Child:
    def __init__(self, process: subprocess.Popen[bytes], guard: int) -> None:
        self.process = process
        self.guard = guard

    def ended(self) -> bool:
        """Say whether the child has ended; then everything that it started has been ended, too."""
        if self.process.returncode is not None:
            return True
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return self.process.poll() is not None
        # Looked at without reaping: until it is reaped its process group cannot be somebody else's.
        if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return False
        self.kill()
        return True

    def kill(self) -> None:
        """End the child's whole group now. What it saved stays; its directory is made for that."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.guard >= 0:
            os.close(self.guard)
            self.guard = -1

    def ending(self) -> str:
        """Describe how the child ended, in words."""
        code = self.process.returncode
        if code is None or code >= 0:
            return f"ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = ", often a sign of too little memory" if -code == signal.SIGKILL else ""
        return f"was killed by {name}{hint}"


def start_child(directory: RunDirectory, argv: Sequence[str], environment: Mapping[str, str], cwd: Path) -> Child:
    """Start `argv` in a session of its own, its output appended to the run's log. Raises DirectoryBusy or OSError."""
    lock = take_directory(directory)
    watched, guard = os.pipe()
    try:
        with open(directory.log_path, "ab") as log:
            process = subprocess.Popen(
                list(argv),
                cwd=cwd,
                env={**environment, GUARD_FD: str(watched)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(watched, lock),
            )
    except BaseException:
        os.close(guard)
        raise
    finally:
        os.close(watched)
        os.close(lock)
    child = Child(process, guard)
    try:
        write_json(pid_path(directory), {**whereabouts(process.pid), "pid": process.pid})
    except BaseException:
        child.kill()
        raise
    return child


def take_directory(directory: RunDirectory) -> int:
    """Return a descriptor that holds the directory's lock, once no earlier child runs there. Raises DirectoryBusy."""
    descriptor = os.open(directory.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    started, killed = time.monotonic(), False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            waited = time.monotonic() - started
        if waited > GUARD_SECONDS and not killed:
            killed = kill_earlier_child(directory)
        if waited > GUARD_SECONDS + KILL_SECONDS:
            os.close(descriptor)
            raise DirectoryBusy(f"a process of an earlier attempt still runs in {directory.path}")
        time.sleep(0.05)


def kill_earlier_child(directory: RunDirectory) -> bool:
    """Kill the group of the child that last started in `directory`, if it is known to be that; say whether it was."""
    known = read_json(pid_path(directory)) or {}
    pid = known.pop("pid", None)
    if pid is None or whereabouts(pid) != known:
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    return True


def pid_path(directory: RunDirectory) -> Path:
    return directory.path / "child.json"


def whereabouts(pid: int) -> dict[str, str]:
    """Return what tells process `pid` from any other that may get its number: machine, boot and start time.

    Without /proc the start time is unknown and no process is taken for an earlier one.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        started = stat.rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        started, boot = f"unknown {time.monotonic_ns()}", ""
    return {"host": socket.gethostname(), "boot": boot, "started": started}
