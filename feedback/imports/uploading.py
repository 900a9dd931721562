"""Take a file in, and say what it seems to be."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from feedback import audit
from feedback.imports.describing import ImportUnfit, checked_form, columns_of, sampled_values, take_over
from feedback.imports.fields import guess_kind, guess_mapping
from feedback.imports.files import first_raw_rows, folder_of, source_of
from feedback.imports.layouts import guess_form
from feedback.imports.reading import BadFile
from feedback.models import FileImport, Project, User

PIECE = 2**20
FILENAME_LIMIT = 255


def take_upload(
    *, project: Project, pieces: Iterable[bytes], filename: str, created_by: User | None, **about: Any
) -> FileImport:
    """Store what a browser or a script sends, piece by piece, and look into it. Raises ImportUnfit."""

    def write(source: Path) -> tuple[str, int]:
        mark, size = hashlib.sha256(), 0
        with source.open("wb") as file:
            for piece in pieces:
                size += len(piece)
                if size > settings.IMPORT_MAX_BYTES:
                    raise ImportUnfit("file", too_large(size))
                mark.update(piece)
                file.write(piece)
        return mark.hexdigest(), size

    return take(project, write, filename, created_by, about)


def take_path(*, project: Project, path: Path, filename: str = "", created_by: User | None, **about: Any) -> FileImport:
    """Use a file or a dataset directory that lies on this machine, where it lies. Raises ImportUnfit."""

    def link(source: Path) -> tuple[str, int]:
        if not path.exists():
            raise ImportUnfit("file", f"there is no file {filename or path.name}")
        source.symlink_to(path.resolve())
        return digest_of(path)

    return take(project, link, filename or path.name, created_by, about)


def digest_of(path: Path) -> tuple[str, int]:
    """Return sha256 and size of a file, or of all files of a directory with their names."""
    mark, size = hashlib.sha256(), 0
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            if path.is_dir():
                mark.update(f"\0{file.relative_to(path)}\0".encode("utf-8", "surrogateescape"))
            with file.open("rb") as opened:
                while piece := opened.read(PIECE):
                    mark.update(piece)
                    size += len(piece)
    return mark.hexdigest(), size


def too_large(size: int) -> str:
    return f"the file has {size:,} bytes or more; the most is {settings.IMPORT_MAX_BYTES:,} (setting IMPORT_MAX_BYTES)"


def take(
    project: Project,
    put: Callable[[Path], tuple[str, int]],
    filename: str,
    created_by: User | None,
    about: Mapping[str, Any],
) -> FileImport:
    """Make an import of what `put` puts in its place; nothing is left of one that is refused."""
    filename = PurePosixPath(filename.replace("\\", "/")).name.replace("\x00", "")[-FILENAME_LIMIT:] or "upload"
    file_import = FileImport(project=project, filename=filename, created_by=created_by, kind=FileImport.Kind.PROMPTS)
    folder = folder_of(file_import)
    folder.mkdir(parents=True)
    try:
        file_import.sha256, file_import.size = put(source_of(file_import))
        look_into(file_import, about)
        with transaction.atomic():
            file_import.save(force_insert=True)
            audit.record(
                project=project, actor=created_by, action="import.upload", subject=file_import,
                after={"filename": filename, "sha256": file_import.sha256}, now=timezone.now(),
            )  # fmt: skip
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return file_import


def look_into(file_import: FileImport, about: Mapping[str, Any]) -> None:
    """Guess layout, kind and mapping from the first rows, as far as `about` does not say them. Raises ImportUnfit."""
    about = {name: value for name, value in about.items() if value is not None}
    form = about.pop("form", None)
    try:
        raw = first_raw_rows(file_import)
        file_import.form = (
            guess_form([row.values for row in raw if not row.problem]) if form is None else checked_form(form)
        )
        file_import.kind = about.get("kind") or FileImport.Kind.VOTES  # a judged one, so that what was said is seen
        rows = sampled_values(file_import)
        file_import.kind = about.pop("kind", None) or guess_kind(rows)
        if file_import.kind not in FileImport.Kind.values:
            raise ImportUnfit("kind", f"{file_import.kind!r} is not one of {', '.join(FileImport.Kind.values)}")
        rows = sampled_values(file_import)
    except BadFile as error:
        raise ImportUnfit("file", str(error)) from error
    file_import.columns = columns_of(rows)
    take_over(file_import, {"mapping": guess_mapping(file_import.kind, rows), **about}, rows)
