"""Carry out jobs until told to stop."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from feedback.clerk import Clerk
from training.rundir import when_guard_closes


class Command(BaseCommand):
    help = (
        "Carry out jobs (imports, scans, measurements, freezes, exports, erasures), one at a time. Ctrl-C or SIGTERM "
        "gives the job back; the next clerk goes on where it was. Any number of clerks may run on any number of "
        "machines that share the data directory."
    )

    requires_system_checks = ()  # a clerk has no pages

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="End when no job is waiting any more.")
        parser.add_argument("--poll", type=float, default=0.5, help="Seconds between two looks (default 0.5).")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["poll"] <= 0:
            raise CommandError(f"--poll is {options['poll']}; it must be more than 0")
        clerk = Clerk(poll=options["poll"])

        def stop(signum: int, frame: FrameType | None) -> None:
            clerk.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        when_guard_closes(clerk.stop)  # `manage.py up` leaves one
        clerk.work(once=options["once"])
