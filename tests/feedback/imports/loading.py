"""Bring content in as a file, for tests of imports."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feedback.imports.whole import import_file
from feedback.models import FileImport, Project, User


@dataclass(frozen=True)
class Report:
    """What came of an import of prompts."""

    read: int
    added: int
    already_there: int


def report_of(found: FileImport) -> Report:
    added = found.counts["stored"].get("prompts", 0)
    return Report(found.counts["read"], added, found.counts["read"] - added)


def import_prompts(*, project: Project, path: Path, filename: str = "", **options: Any) -> Report:
    options = {"kind": "prompts", **options}
    return report_of(import_file(project=project, path=path, filename=filename, **options))


def loader(project: Project, folder: Path, by: User | None = None) -> Callable[..., FileImport]:
    """Return a function that imports content under a file name into the project."""

    def load(filename: str, content: str | bytes, **options: Any) -> FileImport:
        path = folder / "upload"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return import_file(project=project, path=path, filename=filename, created_by=by, **options)

    return load


def jsonl(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
