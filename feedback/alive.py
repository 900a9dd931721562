"""Processes that take what waits, one thing after the other, and say that they are alive.

Pages tell from the signs of life when nobody will take what waits.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Generic, TypeVar

from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Now

from feedback.models import Worker

logger = logging.getLogger(__name__)

DATABASE_AWAY = (OperationalError, InterfaceError)
SEEN_EVERY = 5.0
"""Seconds between two signs of life of a worker."""
FORGET_AFTER = timedelta(days=1)


T = TypeVar("T")


def new_name() -> str:
    """Return a name that no other worker process has."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(3)}"


class SignOfLife:
    def __init__(self, name: str, work: str, has: Mapping[str, Any] | None = None) -> None:
        """`has` are columns of Worker: what it works on."""
        self.name = name
        self.says = {"work": work, **(has or {})}
        self.seen = float("-inf")

    def give(self) -> None:
        """Tell the database, if the last sign is some seconds old; forget workers that have been silent for a day."""
        if time.monotonic() - self.seen < SEEN_EVERY:
            return
        Worker.objects.update_or_create(name=self.name, defaults={**self.says, "last_seen_at": Now()})
        Worker.objects.filter(last_seen_at__lt=Now() - FORGET_AFTER).delete()
        self.seen = time.monotonic()

    def end(self) -> None:
        try:
            Worker.objects.filter(name=self.name).delete()
        except DATABASE_AWAY:
            logger.warning("cannot sign worker %s off", self.name)


class TakesInTurn(ABC, Generic[T]):
    """A process that claims one thing, carries it out and looks for the next; what it holds in memory can be lost."""

    work_of: Worker.Work
    """What it takes."""
    called: str
    """What people call such a process."""

    def __init__(self, *, name: str = "", poll: float, has: Mapping[str, Any] | None = None) -> None:
        """`poll` is how long it waits between two looks when nothing is there, in seconds; `has` what it works on."""
        self.name = name or new_name()
        self.poll = poll
        self.stopping = threading.Event()
        self.alive = SignOfLife(self.name, self.work_of, has)

    @abstractmethod
    def claim(self) -> T | None:
        """Take the next thing; None when nothing waits."""

    @abstractmethod
    def carry_out(self, taken: T) -> None:
        """Bring what was claimed to its end, or give it back."""

    def rest(self) -> None:
        """Called when nothing waits, before the next look."""

    def close(self) -> None:
        """Called once, at the end."""

    def stop(self) -> None:
        """Ask the process to end; what it holds is given back for another one to go on with."""
        self.stopping.set()

    def work(self, *, once: bool = False) -> None:
        """Take what waits until stopped; with `once`, until nothing waits. A database that is away is waited for."""
        logger.info("%s %s is ready", self.called, self.name)
        try:
            while not self.stopping.is_set():
                try:
                    self.alive.give()
                    taken = self.claim()
                    if taken is not None:
                        self.carry_out(taken)
                    elif once:
                        return
                    else:
                        self.rest()
                        self.stopping.wait(self.poll)
                except DATABASE_AWAY as error:
                    logger.warning("the database cannot be reached or is busy: %s", error)
                    connection.close()
                    self.stopping.wait(self.poll)
        finally:
            self.close()
            self.alive.end()
