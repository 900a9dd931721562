"""Run the whole product with one command: the site, its workers, talkers and clerks."""

from __future__ import annotations

import errno
import http.client
import signal
import socket
import sys
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from training.supervisor import Supervised, Supervisor

MANAGE = settings.BASE_DIR / "manage.py"
BESIDE_THE_SITE = ("worker", "talker", "clerk")
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 (compared with, not listened on)


class Command(BaseCommand):
    help = "Run the site, its workers, talkers and clerks until Ctrl-C or SIGTERM. Prints the address once it answers."
    requires_system_checks = ()  # the site process makes them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="Address to listen on (default 127.0.0.1).")
        parser.add_argument("--port", type=int, default=8000, help="Port to listen on (default 8000).")
        parser.add_argument("--workers", type=int, default=1, help="Worker processes for runs (default 1; 0 for none).")
        parser.add_argument(
            "--talkers", type=int, default=1, help="Processes that answer in conversations (default 1; 0 for none)."
        )
        parser.add_argument(
            "--clerks",
            type=int,
            default=1,
            help="Processes that carry out imports and other jobs (default 1; 0 for none).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], options["port"]
        if not 1 <= port <= 65535:
            raise CommandError(f"--port is {port}; it must be from 1 to 65535")
        for kind in BESIDE_THE_SITE:
            if options[f"{kind}s"] < 0:
                raise CommandError(f"--{kind}s is {options[f'{kind}s']}; it cannot be negative")
        refuse_old_database()
        refuse_taken_port(host, port)
        if settings.PRODUCTION and not (settings.STATIC_ROOT / "staticfiles.json").exists():
            self.stdout.write("Collecting static files ...")
            call_command("collectstatic", interactive=False, verbosity=0)
        supervisor = Supervisor(settings.BASE_DIR)

        def stop(signum: int, frame: FrameType | None) -> None:
            supervisor.stop()

        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, stop)
        site = supervisor.add("site", site_argv(host, port))
        for kind in BESIDE_THE_SITE:
            count = options[f"{kind}s"]
            for number in range(count):
                supervisor.add(f"{kind} {number + 1}" if count > 1 else kind, [sys.executable, str(MANAGE), kind])
        Announcement(self, supervisor, site, host, port).wait_in_turns()


class Announcement:
    """Says where the site is, once, when it answers; gives up when the site ends before it ever did."""

    def __init__(self, command: Command, supervisor: Supervisor, site: Supervised, host: str, port: int) -> None:
        self.command = command
        self.supervisor = supervisor
        self.site = site
        self.host = "127.0.0.1" if host in ANY_ADDRESS else host
        self.port = port
        self.made = False
        self.failure = ""

    def wait_in_turns(self) -> None:
        self.supervisor.run(each_time=self.look)
        if self.failure:
            raise CommandError(self.failure)

    def look(self) -> None:
        if self.made:
            return
        if self.site.process is None:
            self.failure = "The site ended while it started; the lines above say why."
            self.supervisor.stop()
        elif site_answers(self.host, self.port):
            self.made = True
            shown = f"[{self.host}]" if ":" in self.host else self.host
            self.command.stdout.write(f"Concord is at http://{shown}:{self.port}/ (Ctrl-C ends it)")
            self.command.stdout.flush()


def site_argv(host: str, port: int) -> list[str]:
    shown = f"[{host}]" if ":" in host else host
    return [
        *(sys.executable, "-m", "gunicorn", "rlhf_site.wsgi:application"),
        *("--config", "python:training.serving", "--bind", f"{shown}:{port}"),
    ]


def refuse_old_database() -> None:
    """Raise CommandError when the database cannot be reached or lacks migrations."""
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        raise CommandError(f"The database cannot be reached: {error}".strip()) from error
    finally:
        connection.close()
    if missing:
        raise CommandError("The database is not up to date; run `manage.py migrate` first (`make run` does)")


def refuse_taken_port(host: str, port: int) -> None:
    """Raise CommandError when the site could not listen there."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"Port {port} is taken by another program. Stop it, or choose another port: "
                f"`manage.py up --port {port + 1}` (`make run PORT={port + 1}`)"
            ) from error
        raise CommandError(f"Cannot listen on {host}:{port}: {error.strerror or error}") from error


def site_answers(host: str, port: int) -> bool:
    """Ask /healthz as a visitor would whose request a TLS proxy passed on."""
    names = [name for name in settings.ALLOWED_HOSTS if not name.startswith(("*", "."))]
    headers = {"Host": names[0] if names else "localhost", "X-Forwarded-Proto": "https"}
    answer = http.client.HTTPConnection(host, port, timeout=2)
    try:
        answer.request("GET", "/healthz", headers=headers)
        return answer.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        answer.close()
