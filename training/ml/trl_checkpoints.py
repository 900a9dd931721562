"""Resumable checkpoints of the runs that go through TRL: which of them are whole, and what they must hold.

TRL and transformers do not write checkpoints atomically, and take the highest number for the last one. So a checkpoint
counts only once the trainer has said that it is saved: this module then leaves a mark in it, with the sha256 of each
file. A run resumes from the latest one whose mark is there and whose files are what the mark says; others are dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from training.rundir import WHOLE, read_json, write_bytes


def mark_complete(folder: Path, state: dict[str, Any]) -> None:
    """See to it that the checkpoint's files are on the disk, then mark it as whole; `state` is ours to keep with it."""
    files: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != WHOLE:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                files[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    write_bytes(folder / WHOLE, json.dumps({"files": files, "state": state}).encode())


def checkpoint_step(folder: Path) -> int:
    return int(folder.name.rsplit("-", 1)[1])


def kept_state(folder: Path) -> dict[str, Any]:
    """Return what `mark_complete` was given."""
    return dict((read_json(folder / WHOLE) or {}).get("state", {}))


def what_is_wrong(folder: Path) -> str:
    """Say why a checkpoint cannot be resumed from; empty when it can."""
    try:
        mark = read_json(folder / WHOLE)
        if mark is None:
            return "it was not finished"
        for name, digest in mark["files"].items():
            with open(folder / name, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return f"{name} is not what was written"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return str(error)
    return ""


def drop_bad_checkpoints(place: Path) -> None:
    """Remove the latest checkpoints in `place` that are not whole or have been damaged, until a good one comes.

    Removed because the trainer would take the highest number for the last one, whatever is in it.
    """
    for folder in latest_first(place):
        wrong = what_is_wrong(folder)
        if not wrong:
            return
        sys.stderr.write(f"{folder.name} cannot be resumed from: {wrong}. The one before it is taken.\n")
        shutil.rmtree(folder)


def last_checkpoint(place: Path) -> Path | None:
    """Return the latest checkpoint that was marked as whole; None where there is none."""
    return next((folder for folder in latest_first(place) if (folder / WHOLE).is_file()), None)


def latest_first(place: Path) -> list[Path]:
    return sorted(place.glob("checkpoint-*"), key=checkpoint_step, reverse=True)
