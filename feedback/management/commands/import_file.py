"""Import a file or a dataset directory on this machine, of any size."""

from __future__ import annotations

import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from feedback.imports.errors import ImportRefused
from feedback.imports.layouts import FORMS
from feedback.imports.whole import import_file
from feedback.models import FileImport, Job, Project, User

TELL_EVERY = 5.0
"""Seconds between two lines of progress."""


class Command(BaseCommand):
    help = (
        "Import a file into a project: it is checked whole, then stored. What it holds and which column is what is "
        "found out, unless it is said. The same file a second time adds nothing. Killed on the way, the clerk goes on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="The project's slug.")
        parser.add_argument(
            "path", type=Path,
            help="JSONL, JSON, CSV, TSV (also .gz), Parquet, Arrow, .zip, or a directory as `datasets` saves it.",
        )  # fmt: skip
        parser.add_argument("--kind", choices=FileImport.Kind.values, help="What it holds.")
        parser.add_argument("--form", choices=[name for name in FORMS if name], help="Which tool's export it is.")
        parser.add_argument(
            "--column", action="append", default=[], metavar="FIELD=COLUMN",
            help="Which column a field is, such as prompt=question; several times where several belong to one.",
        )  # fmt: skip
        parser.add_argument("--queue", help="Name of the queue that judgments go into; else a new one.")
        for name in ("source", "licence", "language"):
            parser.add_argument(f"--{name}", default="", help=f"The {name}, unless a row says its own.")
        parser.add_argument("--tag", action="append", default=[], dest="tags", help="May be given several times.")
        parser.add_argument("--as", dest="person", help="Username of whoever imports; needed for a new queue.")
        parser.add_argument("--leave-out-bad", action="store_true", help="Store the good rows although some are bad.")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            slugs = ", ".join(Project.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no project {options['project']!r}. Projects: {slugs}")
        path: Path = options["path"]
        about = {name: options[name] for name in ("source", "licence", "language", "tags", "kind", "form")}
        about |= self.said(project, options)
        over = threading.Event()
        telling = threading.Thread(target=self.tell, args=(project, over), daemon=True)
        if connection.vendor != "sqlite" or not connection.in_atomic_block:
            telling.start()
        try:
            found = import_file(
                project=project, path=path, created_by=self.person(project, options["person"]),
                leave_out_bad=options["leave_out_bad"], **about,
            )  # fmt: skip
        except ImportRefused as refusal:
            lines = [f"Nothing was imported; {refusal.total} thing(s) are wrong:"]
            lines += [f"  {error}" for error in refusal.errors]
            if refusal.total > len(refusal.errors):
                lines.append(f"  and {refusal.total - len(refusal.errors)} more")
            raise CommandError("\n".join(lines)) from refusal
        finally:
            over.set()
        self.stdout.write(in_words(found))

    def said(self, project: Project, options: dict[str, Any]) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for pair in options["column"]:
            field, equals, column = pair.partition("=")
            if not equals or not column:
                raise CommandError(f"--column {pair}: say FIELD=COLUMN, such as prompt=question")
            said.setdefault("mapping", {}).setdefault(field, []).append(column)
        if options["queue"]:
            said["queue"] = project.queues.filter(name=options["queue"]).first()
            if said["queue"] is None:
                raise CommandError(f"The project has no queue named {options['queue']!r}")
        return said

    def person(self, project: Project, username: str | None) -> User | None:
        """Return who imports: the person named, or an admin of the project, or a superuser."""
        if username is not None:
            named = User.objects.filter(username=username).first()
            if named is None:
                raise CommandError(f"There is nobody named {username!r}")
            return named
        admins = User.objects.filter(memberships__project=project, memberships__role="admin", is_active=True)
        return admins.order_by("pk").first() or User.objects.filter(is_superuser=True, is_active=True).first()

    def tell(self, project: Project, over: threading.Event) -> None:
        """Say every few seconds how far the work is."""
        try:
            while not over.wait(TELL_EVERY):
                kinds = (Job.Kind.IMPORT_CHECK, Job.Kind.IMPORT)
                job = project.jobs.filter(kind__in=kinds, state=Job.State.RUNNING).first()
                if job is not None:
                    of = f" of {job.total:,}" if job.total else ""
                    self.stderr.write(f"{job.get_kind_display()}: {job.done:,}{of} rows, {job.words}")
        finally:
            connection.close()


def in_words(found: FileImport) -> str:
    """Return what an import has come to."""
    stored = found.counts.get("stored", {})
    parts = [f"{stored[name]:,} {name}" for name in ("prompts", "responses", "tasks", "judgments") if stored.get(name)]
    words = f"Read {found.counts['read']:,} rows of {found.get_kind_display().lower()}: "
    words += f"added {', '.join(parts)}" if parts else "nothing new"
    words += f"; {stored.get('there', 0):,} were already there"
    return words + (f"; {stored['refused']:,} left out." if stored.get("refused") else ".")
