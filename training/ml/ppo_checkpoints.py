"""What a PPO run leaves behind, such that a run killed at any instant goes on bit for bit."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

import torch
from torch import Tensor

from training.ml.shared_models import SharedModels
from training.ml.trl_checkpoints import checkpoint_step, drop_bad_checkpoints, last_checkpoint, mark_complete
from training.rundir import RunDirectory, publish_directory

KEPT = 2
"""Checkpoints that are kept: the last, and the one before it should the last be damaged."""


@dataclass(frozen=True)
class Kept:
    """A policy of earlier in the run that may be the one to leave."""

    update: int
    weights: dict[str, Tensor]
    reward: float = 0.0
    """On held-out prompts, where it was kept for that."""


@dataclass(frozen=True)
class Standing:
    """How far a run has come, models and optimizer apart."""

    update: int
    """Updates done."""
    kl_coef: float
    """For the next update."""
    within: Kept | None = None
    """The last policy whose KL was seen to be within the limit; None where there is none to keep to."""
    best: Kept | None = None
    """The policy with the best reward on held-out prompts."""
    looks_since_best: int = 0


def save_checkpoint(
    run: RunDirectory, models: SharedModels, optimizer: torch.optim.Optimizer, standing: Standing
) -> None:
    """Leave all that a resumed run needs, whole or not at all, then drop what came before the last two."""
    final = run.checkpoints_path / f"checkpoint-{standing.update}"
    if final.exists():
        return
    run.checkpoints_path.mkdir(exist_ok=True)
    temporary = run.checkpoints_path / ".tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    state = {
        "update": standing.update,
        "kl_coef": standing.kl_coef,
        "within": standing.within and vars(standing.within),
        "best": standing.best and vars(standing.best),
        "looks_since_best": standing.looks_since_best,
        "trained": {name: parameter.detach().cpu() for name, parameter in models.trained().items()},
        "optimizer": optimizer.state_dict(),
    }
    with open(temporary / "state.pt", "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    mark_complete(temporary, {})
    publish_directory(temporary, final)
    there = sorted(run.checkpoints_path.glob("checkpoint-*"), key=checkpoint_step)
    for older in there[:-KEPT]:
        shutil.rmtree(older)


def resume(run: RunDirectory, models: SharedModels, optimizer: torch.optim.Optimizer, kl_coef: float) -> Standing:
    """Put the last good checkpoint's state in place; without one, nothing is done yet."""
    drop_bad_checkpoints(run.checkpoints_path)
    last = last_checkpoint(run.checkpoints_path)
    if last is None:
        return Standing(0, kl_coef)
    state = torch.load(last / "state.pt", map_location="cpu", weights_only=True)
    models.put(state["trained"])
    optimizer.load_state_dict(state["optimizer"])
    return Standing(
        update=state["update"],
        kl_coef=state["kl_coef"],
        within=state["within"] and Kept(**state["within"]),
        best=state["best"] and Kept(**state["best"]),
        looks_since_best=state["looks_since_best"],
    )
