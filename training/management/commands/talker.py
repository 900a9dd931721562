"""Answer in conversations until told to stop."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.rundir import when_guard_closes
from training.talking import Talker


class Command(BaseCommand):
    help = (
        "Answer the turns of conversations, one at a time. Models are loaded when somebody says something, and let go "
        "when nobody has for a while. Any number of talkers may run on any number of machines."
    )

    requires_system_checks = ()  # a talker has no pages

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="End when no turn is waiting any more.")
        parser.add_argument("--poll", type=float, default=0.5, help="Seconds between two looks (default 0.5).")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["poll"] <= 0:
            raise CommandError(f"--poll is {options['poll']}; it must be more than 0")
        talker = Talker(poll=options["poll"])

        def stop(signum: int, frame: FrameType | None) -> None:
            talker.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        when_guard_closes(talker.stop)  # `manage.py up` leaves one
        talker.work(once=options["once"])
