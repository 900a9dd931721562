"""What a run tells while TRL trains: metrics, held-out figures, texts, checkpoints; and how it is stopped."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.configs import GroupConfig, TrainingConfig
from training.ml import CannotRun, processes
from training.ml.environment import peak_memory_mb
from training.ml.previews import Previews
from training.ml.trl_checkpoints import kept_state, mark_complete
from training.rundir import RunDirectory

HELD_OUT = "held_out_"
"""Before the name of a figure on held-out rows."""


ADVICE = "lower the learning rate or the gradient clip (max_grad_norm), or use float32"


class NotFinite(CannotRun):
    """The loss or its gradient is no number any more; nothing that is learned from here on is worth keeping."""


class FollowRun(TrainerCallback):
    """Write each step's metrics, say how far the run is, look at held-out rows, and obey its cancel and pause files.

    Of several processes only the first one writes; all of them stop after the same step.
    """

    def __init__(
        self,
        run: RunDirectory,
        names: Mapping[str, str],
        config: TrainingConfig | GroupConfig,
        trainer: Trainer,
        previews: Previews | None = None,
    ) -> None:
        """`names` maps TRL's metric names to ours."""
        self.run = run
        self.names = names
        self.total = config.steps
        self.model: nn.Module = trainer.model
        self.previews = previews
        self.evaluate_every = config.evaluate_every if isinstance(config, TrainingConfig) else 0
        self.patience = config.patience if isinstance(config, TrainingConfig) else 0
        self.place = Path(trainer.args.output_dir)
        self.stopped = False
        """Somebody asked to stop."""
        self.best: float | None = None
        """The lowest held-out loss so far, and the step that it is of."""
        self.best_step = 0
        self.looks_without = 0
        """Looks at held-out rows since the best."""
        self.started = time.monotonic()
        self.seconds = 0.0
        self.tokens = 0.0
        self.row: dict[str, Any] | None = None

    # State ----------------------------------------------------------------------------------------

    def state_to_keep(self) -> dict[str, Any]:
        return {"best": self.best, "best_step": self.best_step, "looks_without": self.looks_without}

    def go_on_after(self, checkpoint: Path | None) -> None:
        """Take up what the callback knew when `checkpoint` was saved."""
        state = kept_state(checkpoint) if checkpoint else {}
        self.best = state.get("best")
        self.best_step = int(state.get("best_step", 0))
        self.looks_without = int(state.get("looks_without", 0))

    @property
    def out_of_patience(self) -> bool:
        return bool(self.patience) and self.looks_without >= self.patience

    # Each step ------------------------------------------------------------------------------------

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step == 0 and processes.is_first() and self.previews and self.previews.every:
            self.run.write_progress("writing samples", 0, self.total)
            self.previews.write(self.model, 0)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.started = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.seconds = time.monotonic() - self.started
        if processes.any_says(self.run.stop_requested()):
            self.stopped = True
            control.should_save = True
            control.should_training_stop = True
        if self.evaluate_every and (state.global_step % self.evaluate_every == 0 or state.global_step == self.total):
            control.should_evaluate = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if not logs or "loss" not in logs:  # held-out figures and the summary at the end are not a step
            return
        refuse_not_finite(logs, state.global_step)
        row: dict[str, Any] = {"step": state.global_step, "time": time.time()}
        row.update({ours: float(logs[theirs]) for theirs, ours in self.names.items() if theirs in logs})
        row["seconds"] = self.seconds
        tokens = float(logs.get("num_tokens", 0.0))  # since this process began
        if tokens > self.tokens and self.seconds > 0:
            row["tokens_per_second"] = (tokens - self.tokens) / self.seconds
            self.tokens = tokens
        row["memory_mb"] = peak_memory_mb()
        if not processes.is_first():
            return
        if self.previews and self.previews.are_due(state.global_step, self.total):
            self.previews.write(self.model, state.global_step)
        if control.should_evaluate:  # a step has one row: it waits for its held-out figures
            self.row = row
            self.run.write_progress("looking at held-out rows", state.global_step, self.total)
            return
        self.write(row)

    def write(self, row: Mapping[str, Any]) -> None:
        self.run.append_metrics(row)
        self.run.write_progress("training", row["step"], self.total)

    # Held-out rows --------------------------------------------------------------------------------

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        found = metrics or {}
        loss = float(found.get("eval_loss", math.nan))
        if math.isfinite(loss) and (self.best is None or loss < self.best):
            self.best, self.best_step, self.looks_without = loss, state.global_step, 0
            if self.patience and processes.is_first():
                save_trained(self.model, best_path(self.place, state.global_step))
        else:
            self.looks_without += 1
        if self.out_of_patience:
            control.should_training_stop = True
            control.should_save = True
        if self.row is not None:
            figures = {f"eval_{theirs}": ours for theirs, ours in self.names.items()}
            self.row.update({HELD_OUT + ours: float(found[name]) for name, ours in figures.items() if name in found})
            self.write(self.row)
            self.row = None

    # Checkpoints ----------------------------------------------------------------------------------

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        processes.wait_for_all()  # each has saved its random state
        refuse_bad_weights(self.model, state.global_step)
        if not processes.is_first():
            return
        mark_complete(self.place / f"checkpoint-{state.global_step}", self.state_to_keep())
        needed = {kept_state(folder).get("best_step") for folder in self.place.glob("checkpoint-*")}
        for path in self.place.glob("best-*.safetensors"):
            if path not in {best_path(self.place, step) for step in needed if step}:
                path.unlink()


def refuse_not_finite(logs: Mapping[str, Any], step: int) -> None:
    for name in ("loss", "grad_norm"):
        if name in logs and not math.isfinite(float(logs[name])):
            what = "loss" if name == "loss" else "gradient"
            raise NotFinite(f"The {what} is not finite at step {step}: {ADVICE}")


def refuse_bad_weights(model: nn.Module, step: int) -> None:
    """Refuse weights that are no numbers, before a checkpoint of them counts; raises NotFinite."""
    for name, weight in model.named_parameters():
        if weight.requires_grad and not bool(torch.isfinite(weight).all()):
            raise NotFinite(f"The weights of {name} are not finite after step {step}: {ADVICE}")


def best_path(place: Path, step: int) -> Path:
    return place / f"best-{step:06d}.safetensors"


def save_trained(model: nn.Module, path: Path) -> None:
    """Write the weights that training changes, whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    save_file(
        {name: weight.detach().contiguous().cpu() for name, weight in model.named_parameters() if weight.requires_grad},
        temporary,
    )
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_trained(model: nn.Module, path: Path) -> None:
    """Put the weights of `save_trained` in place."""
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in load_file(path).items():
            weights[name].copy_(value)
