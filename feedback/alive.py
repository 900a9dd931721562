"""Say that a worker process is alive, so that pages can tell when nobody will take what waits."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from datetime import timedelta

from django.db import InterfaceError, OperationalError
from django.db.models.functions import Now

from feedback.models import Worker

logger = logging.getLogger(__name__)

DATABASE_AWAY = (OperationalError, InterfaceError)
SEEN_EVERY = 5.0
"""Seconds between two signs of life of a worker."""
FORGET_AFTER = timedelta(days=1)


def new_name() -> str:
    """Return a name that no other worker process has."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(3)}"


class SignOfLife:
    def __init__(self, name: str, work: str) -> None:
        self.name = name
        self.work = work
        self.seen = float("-inf")

    def give(self) -> None:
        """Tell the database, if the last sign is some seconds old; forget workers that have been silent for a day."""
        if time.monotonic() - self.seen < SEEN_EVERY:
            return
        Worker.objects.update_or_create(name=self.name, defaults={"work": self.work, "last_seen_at": Now()})
        Worker.objects.filter(last_seen_at__lt=Now() - FORGET_AFTER).delete()
        self.seen = time.monotonic()

    def end(self) -> None:
        try:
            Worker.objects.filter(name=self.name).delete()
        except DATABASE_AWAY:
            logger.warning("cannot sign worker %s off", self.name)
