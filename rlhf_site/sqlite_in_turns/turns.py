"""One writer at a time in a SQLite database, over the threads of this process and over all processes of the machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from pathlib import Path

LOOK_AGAIN = 0.0005
"""Seconds between two looks at a turn that another process has; a transaction takes a few thousandths."""


class Turn:
    """A lock of threads, and while a thread holds it, a lock on a file beside the database.

    The kernel takes the file's lock back when its process ends, however it ends. Where the file cannot be had (a
    database in memory, a folder that is read only), processes wait in SQLite's own way.
    """

    def __init__(self, database: str) -> None:
        self.lock = threading.Lock()
        self.path = Path(f"{database}-turn") if os.path.isabs(database) else None
        self.descriptor = -1
        self.opened_by = 0

    def acquire(self, timeout: float) -> bool:
        """Wait for the turn; False when it did not come in `timeout` seconds."""
        deadline = time.monotonic() + timeout
        if not self.lock.acquire(timeout=timeout):
            return False
        while not self.has_file():
            if time.monotonic() >= deadline:
                self.lock.release()
                return False
            time.sleep(LOOK_AGAIN)
        return True

    def has_file(self) -> bool:
        """Take the file's lock if it is free, or there is none to be taken."""
        try:
            fcntl.flock(self.opened(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            self.path = None
        return True

    def opened(self) -> int:
        if self.path is None:
            raise OSError("this database has no file for turns")
        if self.opened_by != os.getpid():  # a descriptor from before a fork would share its lock
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self.opened_by = os.getpid()
        return self.descriptor

    def release(self) -> None:
        if self.path is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        self.lock.release()

    def is_taken(self) -> bool:
        return self.lock.locked()
