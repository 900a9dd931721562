"""What the runs that go through TRL share: arguments, drawing by weight, training that is stopped and resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.utils import load_peft_weights, set_peft_model_state_dict
from torch.utils.data import Sampler
from transformers import PreTrainedTokenizerBase, Trainer

from training.configs import GroupConfig, PolicyConfig, TrainingConfig
from training.ml import CannotRun, Paused, processes
from training.ml.follow import FollowRun, NotFinite, best_path, load_trained
from training.ml.previews import MOST_TOKENS, Previews
from training.ml.trl_checkpoints import checkpoint_step, drop_bad_checkpoints, last_checkpoint
from training.rundir import RunDirectory

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


def trainer_arguments(run: RunDirectory, config: TrainingConfig | GroupConfig) -> dict[str, Any]:
    """Return the arguments that every trainer takes, from the run's config."""
    rows = rows_for_each_process(config)
    arguments = {
        "output_dir": str(run.checkpoints_path),
        "max_steps": config.steps,
        "per_device_train_batch_size": rows,
        "per_device_eval_batch_size": rows,
        "gradient_accumulation_steps": config.gradient_accumulation,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "linear",
        "max_grad_norm": config.max_grad_norm,
        "seed": config.seed,
        "data_seed": config.seed,
        "bf16": config.precision == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": config.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if config.gradient_checkpointing else None,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": config.checkpoint_every,
        "save_total_limit": 2,  # the one being written, and the last that is whole
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
    if isinstance(config, TrainingConfig):
        arguments |= {
            "lr_scheduler_type": SCHEDULES[config.learning_rate_schedule],
            "warmup_steps": config.warmup_steps,
            "weight_decay": config.weight_decay,
        }
    return arguments


def rows_for_each_process(config: TrainingConfig | GroupConfig) -> int:
    """Return how many rows one process reads in one forward pass, such that all of them together read the config's."""
    field, rows = config.rows_together
    return processes.share(rows, field)


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


def train(
    run: RunDirectory,
    trainer: Trainer,
    names: Mapping[str, str],
    config: TrainingConfig | GroupConfig,
    tokenizer: PreTrainedTokenizerBase | None = None,
    prompts: Sequence[Sequence[int]] = (),
) -> tuple[str, int]:
    """Train, or go on training after the last good checkpoint; return the Outcome's (status, step).

    `names` maps TRL's metric names to ours; a figure on held-out rows (the trainer's `eval_dataset`) gets our name
    with "held_out_" before it. With a tokenizer and prompts (token ids that end where the response begins) the policy
    writes to them every `sample_every` steps.

    "succeeded", "cancelled" and "failed" leave in `trainer.model` the weights to publish: after "failed", when the
    loss was no number any more, those of the last good checkpoint, and error.txt says what happened. With patience
    they are those of the best look at the held-out rows, and the step is that look's. Raises Paused when the run was
    asked to pause, and CannotRun.
    """
    refuse_what_cannot_be_done(trainer, config)
    previews = None
    if tokenizer is not None and prompts and sample_every(config):
        longest = config.max_new_tokens if isinstance(config, GroupConfig) else MOST_TOKENS
        previews = Previews(run, tokenizer, prompts, sample_every(config), longest)
    follow = FollowRun(run, names, config, trainer, previews)
    trainer.add_callback(follow)
    if processes.is_first():
        drop_bad_checkpoints(follow.place)
    processes.wait_for_all()
    last = last_checkpoint(follow.place)
    done = checkpoint_step(last) if last else 0
    follow.go_on_after(last)
    run.forget_metrics_after(done)
    if previews:
        previews.begin_at(done)
    run.write_progress("training", done, config.steps)
    asked_to_stop = processes.any_says(run.stop_requested())
    if last and (done >= config.steps or follow.out_of_patience or asked_to_stop):
        # Nothing is left to train; resuming all the same would take one more step.
        put_back(trainer, last)
        follow.stopped = asked_to_stop
    else:
        try:
            trainer.train(resume_from_checkpoint=str(last) if last else None)
        except NotFinite as error:
            return after_failure(run, trainer, error)
        done = trainer.state.global_step
    if follow.stopped and done < config.steps and not follow.out_of_patience:
        if not processes.any_says(run.cancel_requested()):
            raise Paused(done)
        return "cancelled", done
    if follow.patience and follow.best_step:
        load_trained(trainer.model, best_path(follow.place, follow.best_step))
        done = follow.best_step
    return "succeeded", done


def sample_every(config: TrainingConfig | GroupConfig) -> int:
    return config.sample_every if isinstance(config, PolicyConfig | GroupConfig) else 0


def refuse_what_cannot_be_done(trainer: Trainer, config: TrainingConfig | GroupConfig) -> None:
    if isinstance(config, TrainingConfig) and config.evaluate_every and trainer.eval_dataset is None:
        raise CannotRun("evaluate_every: there are no held-out rows to look at; freeze some, or set it to 0")
    if not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        return
    if sample_every(config):
        raise CannotRun("sample_every: weights that are sharded over processes write no samples; set it to 0")
    if isinstance(config, TrainingConfig) and config.patience:
        raise CannotRun("patience: the best of weights that are sharded over processes is not kept; set it to 0")


def put_back(trainer: Trainer, checkpoint: Path) -> None:
    """Put the weights of a checkpoint in place."""
    if isinstance(trainer.model, PeftModel):
        set_peft_model_state_dict(trainer.model, load_peft_weights(str(checkpoint)))
    else:
        trainer._load_from_checkpoint(str(checkpoint))


def after_failure(run: RunDirectory, trainer: Trainer, error: NotFinite) -> tuple[str, int]:
    """Say what went wrong and put the last good checkpoint's weights in place; raises CannotRun where there is none."""
    last = last_checkpoint(Path(trainer.args.output_dir))
    if last is None:
        raise CannotRun(f"{error}. There was no checkpoint yet") from error
    done = checkpoint_step(last)
    put_back(trainer, last)
    run.write_error(f"{error}. What it had learned up to step {done} is kept as its checkpoint.")
    return "failed", done
