"""Carry out queued runs until told to stop."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.rundir import GUARD_FD
from training.worker import RunWorker


class Command(BaseCommand):
    help = (
        "Carry out queued runs, one at a time. Ctrl-C or SIGTERM ends the trainer and gives the run back; "
        "the next worker resumes it from its last checkpoint. Any number of workers may run on any number of machines."
    )

    requires_system_checks = ()  # a worker has no pages

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="End when no run is waiting any more.")
        parser.add_argument("--poll", type=float, default=1.0, help="Seconds between two looks (default 1.0).")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["poll"] <= 0:
            raise CommandError(f"--poll is {options['poll']}; it must be more than 0")
        worker = RunWorker(poll=options["poll"])

        def stop(signum: int, frame: FrameType | None) -> None:
            worker.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        stop_with_supervisor(worker)
        worker.work(once=options["once"])


def stop_with_supervisor(worker: RunWorker) -> None:
    """End with the process that started this one, if it left a guard pipe (`manage.py up` does)."""
    descriptor = os.environ.pop(GUARD_FD, "")
    if not descriptor:
        return

    def watch() -> None:
        while os.read(int(descriptor), 1024):
            pass
        worker.stop()

    threading.Thread(target=watch, name="guard", daemon=True).start()
