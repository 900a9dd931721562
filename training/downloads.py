"""A checkpoint's files as one archive, made while it is sent."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from feedback.exports.forms import Pipe, entry
from feedback.refusals import Refusal
from training.base_models import resolve_path
from training.lineage import CheckpointGone, model_source
from training.model_cards import model_card
from training.models import Checkpoint

READ_SIZE = 2**20
CARD = "README.md"
NAME_THEIR_BASE = {"adapter_config.json": "base_model_name_or_path", "checkpoint.json": "base"}
"""Files in which a model says what it stands on, and where in them."""


class DownloadRefused(Refusal):
    """There are no files to send; the message says why."""


def archive_name(checkpoint: Checkpoint) -> str:
    """Return a name that is one on every system, whatever people call the checkpoint."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", checkpoint.name).strip("-.")
    return f"{checkpoint.project.slug}-{name or checkpoint.pk}.zip"


def checkpoint_zip(checkpoint: Checkpoint) -> Iterator[bytes]:
    """Return the files of `checkpoint`, with its model card as README.md, as a zip in pieces. Raises DownloadRefused.

    Weights do not get smaller by packing, so nothing is packed.
    """
    try:
        model_source(checkpoint)
    except CheckpointGone as error:
        raise DownloadRefused("checkpoint", str(error)) from error
    place = resolve_path(checkpoint.path)
    if not isinstance(place, Path):
        raise DownloadRefused("checkpoint", f"{checkpoint} is the hub's {place}; get it there")
    return zipped(place, checkpoint, model_card(checkpoint))


def without_place(path: Path) -> bytes:
    """Return a file of NAME_THEIR_BASE that names the base alone: where it lies on this machine is nobody else's."""
    content = path.read_bytes()
    try:
        says = json.loads(content)
    except ValueError:
        return content
    base = says.get(NAME_THEIR_BASE[path.name]) if isinstance(says, dict) else None
    if not isinstance(base, str) or not Path(base).is_absolute():
        return content
    return json.dumps({**says, NAME_THEIR_BASE[path.name]: Path(base).name}, indent=2).encode()


def zipped(place: Path, checkpoint: Checkpoint, card: str) -> Iterator[bytes]:
    pipe = Pipe()
    folder = archive_name(checkpoint).removesuffix(".zip")
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry(f"{folder}/{CARD}"), card)
        for path in sorted(one for one in place.rglob("*") if one.is_file() and one != place / CARD):
            inside = entry(f"{folder}/{path.relative_to(place).as_posix()}")
            if path.name in NAME_THEIR_BASE:
                archive.writestr(inside, without_place(path))
                continue
            with path.open("rb") as source, archive.open(inside, "w", force_zip64=True) as target:
                while piece := source.read(READ_SIZE):
                    target.write(piece)
                    yield pipe.taken()
    yield pipe.taken()
