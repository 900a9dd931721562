"""What the runs that go through TRL share: arguments, metrics, progress, cancel, checkpoints and resume.

TRL and transformers do not write checkpoints atomically, and take the highest number for the last one. So a checkpoint
counts only once the trainer has said that it is saved: this module then leaves a mark in it, and resumes from marked
ones alone.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft.utils import load_peft_weights, set_peft_model_state_dict
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.configs import TrainingConfig
from training.ml import processes
from training.rundir import RunDirectory, write_bytes

MARK = "concord-complete"


def trainer_arguments(run: RunDirectory, config: TrainingConfig) -> dict[str, Any]:
    """Return the arguments that every TRL config takes, from the run's config."""
    return {
        "output_dir": str(run.checkpoints_path),
        "max_steps": config.steps,
        "per_device_train_batch_size": processes.share(config.batch_size),
        "gradient_accumulation_steps": config.gradient_accumulation,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "linear",
        "max_length": None,  # lengths are checked, and refused, before TRL sees a row
        "seed": config.seed,
        "data_seed": config.seed,
        "bf16": config.precision == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": config.checkpoint_every,
        "save_total_limit": 2,  # the one being written, and the last that is whole
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def complete_checkpoints(run: RunDirectory) -> list[Path]:
    """Return the checkpoints that were saved whole, oldest first."""
    marked = [path.parent for path in run.checkpoints_path.glob(f"checkpoint-*/{MARK}")]
    return sorted(marked, key=checkpoint_step)


def checkpoint_step(path: Path) -> int:
    return int(path.name.rsplit("-", 1)[1])


class FollowRun(TrainerCallback):
    """Write each step's metrics, say how far the run is, and obey its cancel file."""

    def __init__(self, run: RunDirectory, names: dict[str, str], total: int) -> None:
        self.run = run
        self.names = names
        self.total = total
        self.cancelled = False
        self.started = time.monotonic()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.started = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if processes.any_says(self.run.cancel_requested()):
            self.cancelled = True
            control.should_save = True
            control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if not logs or "loss" not in logs:  # the summary at the end of training is not a step
            return
        row: dict[str, Any] = {"step": state.global_step, "time": time.time()}
        row.update({ours: float(logs[theirs]) for theirs, ours in self.names.items() if theirs in logs})
        row["seconds"] = time.monotonic() - self.started
        self.run.append_metrics(row)
        self.run.write_progress("training", state.global_step, self.total)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        processes.wait_for_all()  # each has saved its random state
        if not processes.is_first():
            return
        for path in folder.rglob("*"):
            if path.is_file():
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
        write_bytes(folder / MARK, b"")


class ByWeight(Sampler[int]):
    """Draws as many rows as there are, each as likely as its weight says; the same ones for the same seed and epoch.

    In the long run the gradient is that of the weighted loss, and no trainer needs to know of weights.
    """

    def __init__(self, weights: Sequence[float], seed: int) -> None:
        self.weights = torch.tensor(weights, dtype=torch.float64)
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.weights)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        yield from torch.multinomial(self.weights, len(self), replacement=True, generator=generator).tolist()


def draw_by_weight(trainer: Trainer, weights: Sequence[float], seed: int) -> None:
    """Let the trainer draw its rows by these weights; where all are alike it goes on as before."""
    if len(set(weights)) > 1:
        trainer._get_train_sampler = lambda *_: ByWeight(weights, seed)


def train(run: RunDirectory, trainer: Trainer, names: dict[str, str], config: TrainingConfig) -> tuple[str, int]:
    """Train, or go on training after the last whole checkpoint; return the Outcome's (status, step).

    `names` maps TRL's metric names to ours.
    """
    follow = FollowRun(run, names, config.steps)
    trainer.add_callback(follow)
    whole = complete_checkpoints(run)
    if processes.is_first():
        for folder in run.checkpoints_path.glob("checkpoint-*"):
            if folder not in whole:
                shutil.rmtree(folder)
    processes.wait_for_all()
    last = whole[-1] if whole else None
    done = checkpoint_step(last) if last else 0
    run.forget_metrics_after(done)
    run.write_progress("training", done, config.steps)
    if last and (done >= config.steps or processes.any_says(run.cancel_requested())):
        # Nothing is left to train; resuming all the same would take one more step.
        set_peft_model_state_dict(trainer.model, load_peft_weights(str(last)))
        return ("succeeded" if done >= config.steps else "cancelled"), done
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    cancelled = follow.cancelled and trainer.state.global_step < config.steps
    return ("cancelled" if cancelled else "succeeded"), trainer.state.global_step
