"""Carry out queued runs until told to stop."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.capabilities import own_capabilities
from training.rundir import when_guard_closes
from training.worker import RunWorker


class Command(BaseCommand):
    help = (
        "Carry out queued runs, one at a time. Ctrl-C or SIGTERM ends the trainer and gives the run back; "
        "the next worker resumes it from its last checkpoint. Any number of workers may run on any number of machines."
    )

    requires_system_checks = ()  # a worker has no pages

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="End when no run is waiting any more.")
        parser.add_argument(
            "--label",
            action="append",
            default=[],
            metavar="WORD",
            help="A word that runs may ask for, such as a project or a card; may be given several times.",
        )
        parser.add_argument("--poll", type=float, default=1.0, help="Seconds between two looks (default 1.0).")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["poll"] <= 0:
            raise CommandError(f"--poll is {options['poll']}; it must be more than 0")
        for label in options["label"]:
            if not label or len(label.split()) != 1:
                raise CommandError(f"--label is {label!r}; it must be one word")
        worker = RunWorker(poll=options["poll"], capabilities=own_capabilities(options["label"]))

        def stop(signum: int, frame: FrameType | None) -> None:
            worker.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        when_guard_closes(worker.stop)  # `manage.py up` leaves one
        worker.work(once=options["once"])
