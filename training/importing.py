"""Bring in a model that lies on this machine: a whole one, or an adapter over one that the project has.

Only directories below the operator's MODEL_DIRS and the data directory's `models/` can be named, and only safetensors
are taken: a pickle can run code. The files stay where they are; their sha256 is taken now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from feedback.audit import record
from feedback.models import Project, User
from feedback.refusals import Refusal
from training.base_models import free_name, is_adapter_directory, is_model_directory
from training.models import Checkpoint
from training.rundir import directory_digest, read_json

DEEP = 3
"""How many folders below the allowed ones are looked into."""


class ImportRefused(Refusal):
    """Nothing was brought in; `field` says which value is wrong, the message what would be right."""


@dataclass(frozen=True)
class Found:
    """A directory that looks like a model."""

    path: Path
    shown: str
    """The path from the allowed directory's name on."""
    is_adapter: bool


def allowed_directories() -> list[Path]:
    return [Path(settings.DATA_DIR) / "models", *settings.MODEL_DIRS]


def importable(project: Project) -> list[Found]:
    """Return the models that lie in the allowed directories and that the project does not have yet."""
    known = {(Path(settings.DATA_DIR) / one).resolve() for one in project.checkpoints.values_list("path", flat=True)}
    found: dict[Path, Found] = {}
    for root in allowed_directories():
        for place in model_directories(root, DEEP):
            if place not in known:
                shown = place.relative_to(root.resolve().parent).as_posix()
                found[place] = Found(place, shown, is_adapter_directory(place))
    return [found[place] for place in sorted(found)]


def model_directories(root: Path, deep: int) -> Iterator[Path]:
    """Yield the directories from `root` on, at most `deep` below it, that hold a model or an adapter."""
    try:
        place = root.resolve()
        if is_model_directory(place) or is_adapter_directory(place):
            yield place
        elif deep and place.is_dir():
            for below in sorted(place.iterdir()):
                if below.is_dir() and not below.is_symlink():
                    yield from model_directories(below, deep - 1)
    except OSError:  # not readable for this process: not offered
        return


def import_model(
    *,
    project: Project,
    path: str,
    kind: str,
    origin: str,
    by: User,
    name: str = "",
    licence: str = "",
    note: str = "",
    parent: Checkpoint | None = None,
) -> Checkpoint:
    """Make a checkpoint of the model at `path`, which comes from `origin`. Raises ImportRefused."""
    place = checked_place(path)
    is_adapter = is_adapter_directory(place)
    check_kind(kind, is_adapter, parent, project)
    origin, name, licence = origin.strip(), name.strip(), licence.strip()
    if not origin or len(origin) > 500 or "\x00" in origin:
        raise ImportRefused("origin", "say where it comes from, in at most 500 characters: a hub's address, a person")
    if len(name) > 200 or "\x00" in name:
        raise ImportRefused("name", "give a name of at most 200 characters")
    if len(licence) > 100 or "\x00" in licence:
        raise ImportRefused("licence", "give the licence's short name, such as Apache-2.0")
    if len(note) > 20_000 or "\x00" in note:
        raise ImportRefused("note", "write at most 20,000 characters")
    check_weights(place)
    if is_adapter:
        check_adapter(place, kind)
    else:
        check_whole(place)
    stored = stored_path(place)
    sha256 = directory_digest(place)
    told = read_json(place / "checkpoint.json") or {}
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        if project.checkpoints.filter(path=stored).exists():
            raise ImportRefused("path", f"the project has the model in {place} already")
        if name and project.checkpoints.filter(name=name).exists():
            raise ImportRefused("name", f"the project has a checkpoint named {name}; give another name")
        made = Checkpoint.objects.create(
            project=project,
            kind=kind,
            name=name or free_name(project, place.name[:190]),
            parent=parent,
            is_whole=not is_adapter,
            path=stored,
            sha256=sha256,
            template_digest=str(told.get("template_digest", ""))[:64],
            step=told["step"] if isinstance(told.get("step"), int) and told["step"] >= 0 else 0,
            licence=licence,
            origin=origin,
            note=note.strip(),
        )
        record(
            project=project,
            actor=by,
            action="checkpoint.import",
            subject=made,
            after={"name": made.name, "kind": kind, "origin": origin, "sha256": sha256},
        )
    return made


def checked_place(path: str) -> Path:
    """Return the directory if it may be named here and holds a model."""
    if "\x00" in path or not path.strip():
        raise ImportRefused("path", "name a directory on this machine")
    try:
        place = (Path(settings.DATA_DIR) / path.strip()).resolve()
        allowed = any(place.is_relative_to(root.resolve()) for root in allowed_directories())
        found = allowed and (is_model_directory(place) or is_adapter_directory(place))
    except (OSError, RuntimeError) as error:
        raise ImportRefused("path", f"{path} cannot be read: {error}") from error
    if not allowed:
        places = " or ".join(str(one) for one in allowed_directories())
        raise ImportRefused("path", f"{path} does not lie in {places}; put it there, or add its place to MODEL_DIRS")
    if not found:
        raise ImportRefused(
            "path", f"{place} holds no model: there is neither a config.json nor an adapter_config.json"
        )
    return place


def check_kind(kind: str, is_adapter: bool, parent: Checkpoint | None, project: Project) -> None:
    if kind not in Checkpoint.Kind.values:
        raise ImportRefused("kind", f"{kind!r} is not one of {', '.join(Checkpoint.Kind.values)}")
    if not is_adapter:
        if parent is not None:
            raise ImportRefused("parent", "a whole model stands by itself; leave out the model that it is built on")
        if kind == Checkpoint.Kind.REWARD:
            raise ImportRefused("kind", "a reward model is brought in as an adapter with its score head")
        return
    if kind == Checkpoint.Kind.BASE:
        raise ImportRefused("kind", "an adapter is no base model; choose policy or reward model")
    if parent is None or parent.project_id != project.pk:
        raise ImportRefused("parent", "name the model of this project that the adapter was trained on")
    if parent.kind == Checkpoint.Kind.REWARD:
        raise ImportRefused("parent", f"{parent} is a reward model; an adapter stands on a base model or a policy")


def check_weights(place: Path) -> None:
    """Refuse what cannot be loaded without running code of others."""
    if not any(place.glob("*.safetensors")):
        pickled = sorted(one.name for one in place.iterdir() if one.suffix in (".bin", ".pt", ".pth", ".ckpt"))
        what = f"{pickled[0]} is a pickle, which can run code" if pickled else "there are no weights"
        raise ImportRefused("path", f"{place} has no .safetensors file: {what}. Save it again as safetensors")


def check_whole(place: Path) -> None:
    config = parsed(place / "config.json")
    if config.get("auto_map"):
        raise ImportRefused(
            "path", f"{place / 'config.json'} asks for code of its own (auto_map), which is not run here"
        )
    if not any((place / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        raise ImportRefused("path", f"{place} has no tokenizer (tokenizer.json); save the model's beside it")
    template = place / "chat_template.jinja"
    if not template.is_file() and not parsed(place / "tokenizer_config.json").get("chat_template"):
        raise ImportRefused(
            "path", f"the tokenizer in {place} has no chat template; people's prompts are conversations"
        )


def check_adapter(place: Path, kind: str) -> None:
    config = parsed(place / "adapter_config.json")
    if config.get("peft_type") != "LORA":
        raise ImportRefused("path", f"{place} is an adapter of type {config.get('peft_type')}; only LoRA is brought in")
    has_head = "score" in (config.get("modules_to_save") or [])
    if kind == Checkpoint.Kind.REWARD and not has_head:
        raise ImportRefused("kind", f"{place} has no score head (modules_to_save), so it is no reward model")
    if kind == Checkpoint.Kind.POLICY and has_head:
        raise ImportRefused("kind", f"{place} has a score head, so it is a reward model and no policy")


def parsed(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ImportRefused("path", f"{path} is not JSON: {error}") from error
    if found is not None and not isinstance(found, dict):
        raise ImportRefused("path", f"{path} does not hold a JSON object")
    return found or {}


def stored_path(place: Path) -> str:
    """Return the directory as checkpoints name it: below the data directory without it."""
    data = Path(settings.DATA_DIR).resolve()
    return place.relative_to(data).as_posix() if place.is_relative_to(data) else str(place)
