"""What a PPO run leaves behind, such that a run killed at any instant goes on bit for bit."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from training.ml.shared_models import SharedModels
from training.rundir import RunDirectory, publish_directory


@dataclass(frozen=True)
class Resumed:
    update: int
    """Updates done."""
    kl_coef: float
    """For the next update."""


def save_checkpoint(
    run: RunDirectory, models: SharedModels, optimizer: torch.optim.Optimizer, update: int, kl_coef: float
) -> None:
    """Leave all that a resumed run needs, whole or not at all, then drop the checkpoints before it."""
    final = run.checkpoints_path / f"update-{update:06d}"
    if final.exists():
        return
    run.checkpoints_path.mkdir(exist_ok=True)
    temporary = run.checkpoints_path / ".tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    state = {
        "update": update,
        "kl_coef": kl_coef,
        "trained": {name: parameter.detach().cpu() for name, parameter in models.trained().items()},
        "optimizer": optimizer.state_dict(),
    }
    with open(temporary / "state.pt", "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())  # the checkpoint before it is about to be dropped
    publish_directory(temporary, final)
    for older in saved_checkpoints(run):
        if older != final:
            shutil.rmtree(older)


def saved_checkpoints(run: RunDirectory) -> list[Path]:
    return sorted(run.checkpoints_path.glob("update-*"))


def resume(run: RunDirectory, models: SharedModels, optimizer: torch.optim.Optimizer, kl_coef: float) -> Resumed:
    """Put the last checkpoint's state in place; without one, nothing is done yet and the KL coefficient is the first.

    A checkpoint of before the coefficient could adapt has none; it was the config's.
    """
    there = saved_checkpoints(run)
    if not there:
        return Resumed(0, kl_coef)
    state = torch.load(there[-1] / "state.pt", map_location="cpu", weights_only=True)
    with torch.no_grad():
        for name, parameter in models.trained().items():
            parameter.copy_(state["trained"][name])
    optimizer.load_state_dict(state["optimizer"])
    return Resumed(state["update"], state.get("kl_coef", kl_coef))
