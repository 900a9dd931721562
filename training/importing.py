"""Bring in a model that lies on this machine: a whole one, or an adapter over one that the project has.

Only directories below the operator's MODEL_DIRS and the data directory's `models/` can be named, and only safetensors
are taken: a pickle can run code. The files stay where they are; their sha256 is taken now, by a job.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from feedback.audit import record
from feedback.jobs import JobFailed, JobRun, start_and_carry_out
from feedback.models import Job, Project, User
from feedback.models.people import new_id
from feedback.refusals import Refusal
from training.base_models import (
    find_base_model,
    free_name,
    is_adapter_directory,
    is_model_directory,
    register_base_model,
)
from training.lineage import hold
from training.models import Checkpoint
from training.rundir import directory_digest, read_json

DEEP = 3
"""How many folders below the allowed ones are looked into."""
MEGABYTE = 10**6
HEAD_LIMIT = 10**8
"""Bytes of a safetensors file's head, at most, as the format says."""


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
                if below.is_dir() and not below.is_symlink() and below.name.isprintable():  # a name may be any bytes
                    yield from model_directories(below, deep - 1)
    except OSError:  # not readable for this process: not offered
        return


def start_import(
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
) -> Job:
    """Bring in the model at `path`, which comes from `origin`. Raises ImportRefused.

    Reading it for its sha256 may take long: the job that does it ends here where the model is small, and its result
    names the checkpoint.
    """
    given = {"kind": kind, "origin": origin, "name": name, "licence": licence, "note": note}
    place = check_import(project=project, path=path, parent=parent, **given)
    params = {"path": str(place), "parent": str(parent.pk) if parent else "", **given}
    return start_and_carry_out(project=project, kind=Job.Kind.MODEL, params=params, created_by=by)


def start_base(*, project: Project, by: User) -> Job | None:
    """Give the project its checkpoint of the installation's base model, by such a job; None where there is no model."""
    place = find_base_model()
    if place is None:
        return None
    return start_and_carry_out(project=project, kind=Job.Kind.MODEL, params={"base": str(place)}, created_by=by)


def check_import(
    *,
    project: Project,
    path: str,
    kind: str,
    origin: str,
    name: str,
    licence: str,
    note: str,
    parent: Checkpoint | None,
) -> Path:
    """Return the model's directory. Raises ImportRefused."""
    place = checked_place(path)
    check_links(place)
    is_adapter = is_adapter_directory(place)
    check_kind(kind, is_adapter, parent, project)
    if not origin.strip() or len(origin) > 500 or "\x00" in origin:
        raise ImportRefused("origin", "say where it comes from, in at most 500 characters: a hub's address, a person")
    if len(name) > 200 or not name.isprintable():
        raise ImportRefused("name", "give a name of at most 200 characters, in one line")
    if len(licence) > 100 or not licence.isprintable():
        raise ImportRefused("licence", "give the licence's short name, such as Apache-2.0")
    if len(note) > 20_000 or "\x00" in note:
        raise ImportRefused("note", "write at most 20,000 characters")
    try:
        if is_adapter:
            check_adapter(place, kind)
        else:
            check_whole(place, kind)
    except OSError as error:
        raise ImportRefused("path", f"{place} cannot be read: {error}") from error
    check_free(project, place, name.strip())
    return place


def check_free(project: Project, place: Path, name: str) -> None:
    stored = stored_path(place)
    if len(stored) > 500 or not stored.isprintable():
        raise ImportRefused("path", f"{stored!r} has to be at most 500 characters that can be printed; rename it")
    if project.checkpoints.filter(path=stored).exists():
        raise ImportRefused("path", f"the project has the model in {place} already")
    if name and project.checkpoints.filter(name=name).exists():
        raise ImportRefused("name", f"the project has a checkpoint named {name}; give another name")


def carry_out_import(run: JobRun) -> dict[str, Any]:
    """Carry out a job of kind MODEL: {path, kind, origin, name, licence, note, parent}, or {base}: a path or hub id."""
    project, told = run.job.project, {**run.params}
    if "base" in told:
        base = register_base_model(project=project, path=told["base"], read=hearing(run, Path(told["base"])))
        if base is None:
            raise JobFailed(f"{told['base']} holds no model any more.")
        return result_of(base)
    if "checkpoint" in run.cursor:  # it was killed after its last step
        return result_of(project.checkpoints.get(pk=run.cursor["checkpoint"]))
    parent = project.checkpoints.get(pk=told["parent"]) if told["parent"] else None
    place = check_import(project=project, **{**told, "parent": parent})
    sha256 = directory_digest(place, hearing(run, place))
    pk = new_id()
    with run.step(cursor={"checkpoint": str(pk)}):
        hold([parent])  # before the project, as everywhere: who holds a model waits for nobody who waits for it
        Project.objects.select_for_update().get(pk=project.pk)  # one namer at a time
        check_kind(told["kind"], parent is not None, parent, project)
        check_free(project, place, told["name"].strip())
        made = make_checkpoint(pk, project, place, parent, told, sha256)
        record(
            project=project,
            actor=run.job.created_by,
            action="checkpoint.import",
            subject=made,
            after={"name": made.name, "kind": made.kind, "origin": made.origin, "sha256": sha256},
        )
    return result_of(made)


def hearing(run: JobRun, place: Path) -> Callable[[int], None]:
    """Return what hears how much of a directory has been read, and tells it."""
    total = sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) if place.is_dir() else 0
    done = 0

    def hear(size: int) -> None:
        nonlocal done
        done += size
        run.progress(done // MEGABYTE, total // MEGABYTE, f"Reading {place.name} for its sha256, in MB")

    return hear


def make_checkpoint(
    pk: UUID, project: Project, place: Path, parent: Checkpoint | None, told: dict[str, Any], sha256: str
) -> Checkpoint:
    says = parsed(place / "checkpoint.json")
    step = says.get("step")
    return Checkpoint.objects.create(
        pk=pk,
        project=project,
        kind=told["kind"],
        name=told["name"].strip() or free_name(project, place.name[:190]),
        parent=parent,
        is_whole=parent is None,
        path=stored_path(place),
        sha256=sha256,
        template_digest=str(says.get("template_digest", ""))[:64],
        step=step if isinstance(step, int) and 0 <= step < 2**31 else 0,
        licence=told["licence"].strip(),
        origin=told["origin"].strip(),
        note=told["note"].strip(),
    )


def result_of(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "checkpoint": str(checkpoint.pk),
        "words": f"{checkpoint.name} is there.",
        "url": reverse("checkpoint", args=[checkpoint.project.slug, checkpoint.pk]),
        "label": "Open it",
    }


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
        raise ImportRefused(
            "path",
            f"{path} does not lie in {places}; put it there and name it by its whole path, or as "
            f"models/{Path(path.strip()).name}, or add its place to MODEL_DIRS",
        )
    if not found:
        raise ImportRefused(
            "path", f"{place} holds no model: there is neither a config.json nor an adapter_config.json"
        )
    return place


def check_links(place: Path) -> None:
    """Refuse a file of the model that is a link to somewhere else: a download would hand that out."""
    roots = [root.resolve() for root in allowed_directories()]
    for file in place.rglob("*"):
        if file.is_symlink() and not any(file.resolve().is_relative_to(root) for root in roots):
            raise ImportRefused(
                "path", f"{file} is a link that leads out of the folders for models; put the file itself there"
            )


def check_kind(kind: str, is_adapter: bool, parent: Checkpoint | None, project: Project) -> None:
    if kind not in Checkpoint.Kind.values:
        raise ImportRefused("kind", f"{kind!r} is not one of {', '.join(Checkpoint.Kind.values)}")
    if not is_adapter:
        if parent is not None:
            raise ImportRefused("parent", "a whole model stands by itself; leave out the model that it is built on")
        return
    if kind == Checkpoint.Kind.BASE:
        raise ImportRefused("kind", "an adapter is no base model; choose policy or reward model")
    if parent is None or parent.project_id != project.pk:
        raise ImportRefused("parent", "name the model of this project that the adapter was trained on")
    if parent.kind == Checkpoint.Kind.REWARD:
        raise ImportRefused("parent", f"{parent} is a reward model; an adapter stands on a base model or a policy")
    if parent.files_deleted_at is not None:
        raise ImportRefused("parent", f"the files of {parent} were deleted; name a model that is there")


def check_weights(place: Path, *names: str) -> None:
    """Refuse a directory that has none of the files `names`: what else lies there may run code of others when it is
    loaded."""
    if not any((place / name).is_file() for name in names):
        pickled = sorted(one.name for one in place.iterdir() if one.suffix in (".bin", ".pt", ".pth", ".ckpt"))
        what = f"{pickled[0]} is a pickle, which can run code" if pickled else "there are no weights"
        raise ImportRefused("path", f"{place} has no {' or '.join(names)}: {what}. Save it again as safetensors")


def check_whole(place: Path, kind: str) -> None:
    check_weights(place, "model.safetensors", "model.safetensors.index.json")
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
    shapes = tensor_shapes(place)
    has_head = any(str(one).endswith("ForSequenceClassification") for one in listed(config, "architectures"))
    if kind != Checkpoint.Kind.REWARD:
        if has_head:
            raise ImportRefused("kind", f"{place} is a sequence classifier, so it can only be a reward model")
        return
    rows = (shapes.get("score.weight") or [0])[0]
    if not has_head or not rows:
        raise ImportRefused(
            "kind",
            f"{place} is no reward model: it takes an architecture that ends in ForSequenceClassification, and a head "
            "named score",
        )
    if rows != 1 and not (place / "reward.json").is_file():
        raise ImportRefused("kind", f"the head in {place} gives {rows} numbers; a reward model gives one")


def check_adapter(place: Path, kind: str) -> None:
    check_weights(place, "adapter_model.safetensors")
    tensor_shapes(place)
    config = parsed(place / "adapter_config.json")
    if config.get("peft_type") != "LORA":
        raise ImportRefused("path", f"{place} is an adapter of type {config.get('peft_type')}; only LoRA is brought in")
    has_head = "score" in listed(config, "modules_to_save")
    if kind == Checkpoint.Kind.REWARD and not has_head:
        raise ImportRefused("kind", f"{place} has no score head (modules_to_save), so it is no reward model")
    if kind == Checkpoint.Kind.POLICY and has_head:
        raise ImportRefused("kind", f"{place} has a score head, so it is a reward model and no policy")


def tensor_shapes(place: Path) -> dict[str, list[int]]:
    """Return the shape of every tensor in the .safetensors files of a directory, as their heads say. Raises
    ImportRefused."""
    shapes: dict[str, list[int]] = {}
    for path in sorted(place.glob("*.safetensors")):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            head = file.read(length) if length <= HEAD_LIMIT else b""
        try:
            tensors = {name: one for name, one in json.loads(head).items() if name != "__metadata__"}
            shapes |= {name: list(one["shape"]) for name, one in tensors.items()}
            if 8 + length + max((one["data_offsets"][1] for one in tensors.values()), default=0) > path.stat().st_size:
                raise ValueError("the last tensor ends behind the end of the file")
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ImportRefused(
                "path", f"{path} is no safetensors file, or only a part of one (a pointer of Git LFS, perhaps)"
            ) from error
    return shapes


def listed(config: dict[str, Any], name: str) -> list[Any]:
    found = config.get(name)
    return found if isinstance(found, list) else []


def parsed(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (ValueError, RecursionError) as error:
        raise ImportRefused("path", f"{path} is not JSON: {error}") from error
    if found is not None and not isinstance(found, dict):
        raise ImportRefused("path", f"{path} does not hold a JSON object")
    return found or {}


def stored_path(place: Path) -> str:
    """Return the directory as checkpoints name it: below the data directory without it."""
    data = Path(settings.DATA_DIR).resolve()
    return place.relative_to(data).as_posix() if place.is_relative_to(data) else str(place)
