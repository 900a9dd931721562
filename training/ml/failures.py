"""What people are told when a run ends by an error that nobody foresaw, and what is kept then."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from training.rundir import WHOLE, RunDirectory

LITTLE = 16 * 2**20
"""Bytes: with less than these on the disk, a failed write failed for want of room."""


def out_of_memory(error: BaseException) -> bool:
    """Tell whether the machine had too little memory; torch says so of the processor's only in words."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def disk_is_full(error: BaseException, place: Path) -> bool:
    """Tell whether there was no room to write in `place`.

    safetensors has the system's words in its message. torch.save has not: its writer fails half way (PyTorch's
    inline_container), which without room on the disk means just that.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(words in str(seen) for words in ("No space left on device", "Disk quota exceeded")):
            return True
        if "inline_container" in str(seen) and shutil.disk_usage(place).free < LITTLE:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def explained(run: RunDirectory, error: BaseException) -> str:
    """Return what people are told of an error, and what they can do."""
    if out_of_memory(error):
        return f"Out of memory. Lower the batch size or the longest sequence, and run again. {what_is_kept(run)}"
    if disk_is_full(error, run.path):
        return f"No space left on the disk of {run.path}. Make room, then retry. {what_is_kept(run)}"
    return f"Unexpected {type(error).__name__}: {error}. The log has the details. {what_is_kept(run)}".strip()


def what_is_kept(run: RunDirectory) -> str:
    """Say from where a retry goes on."""
    step = run.kept_step()
    return "" if step is None else f"A retry goes on after step {step}, whose checkpoint is kept."


def drop_what_is_not_whole(run: RunDirectory) -> None:
    """Remove checkpoints that were being written: on a full disk they take the room that the error's message needs."""
    unfinished = [folder for folder in run.checkpoints_path.rglob("checkpoint-*") if not (folder / WHOLE).exists()]
    for folder in (*unfinished, *run.checkpoints_path.rglob(".tmp"), run.path / ".model.tmp"):
        shutil.rmtree(folder, ignore_errors=True)
