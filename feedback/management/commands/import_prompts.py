"""Import prompts from a file or a dataset directory on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from feedback.models import Project
from feedback.prompt_import import ImportRefused, import_prompts


class Command(BaseCommand):
    help = "Import prompts into a project. Nothing is imported when a row is bad; what is there already stays."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="The project's slug.")
        parser.add_argument(
            "path",
            type=Path,
            help="A .jsonl, .json, .csv, .parquet, .arrow or .zip file, or a directory as `datasets` saves it.",
        )
        for name in ("source", "licence", "language"):
            parser.add_argument(f"--{name}", default="", help=f"The prompts' {name}, unless a row says its own.")
        parser.add_argument("--tag", action="append", default=[], dest="tags", help="May be given several times.")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            slugs = ", ".join(Project.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no project {options['project']!r}. Projects: {slugs}")
        values = {name: options[name] for name in ("source", "licence", "language", "tags")}
        path: Path = options["path"]
        try:
            report = import_prompts(project=project, path=path, filename=path.name, **values)
        except ImportRefused as refusal:
            lines = [f"Nothing was imported; {refusal.total} thing(s) are wrong:"]
            lines += [f"  {error}" for error in refusal.errors]
            if refusal.total > len(refusal.errors):
                lines.append(f"  and {refusal.total - len(refusal.errors)} more")
            raise CommandError("\n".join(lines)) from refusal
        self.stdout.write(f"Read {report.read}, added {report.added}, {report.already_there} were already there.")
