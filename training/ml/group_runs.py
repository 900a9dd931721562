"""What GRPO, RLOO and online DPO share: prompts in order, responses to them, and a trainer of TRL's that takes both.

TRL's own generation draws from one global generator, reads the chat by its own tokenizing, and takes no fewer prompts
than one step wants. Here a response depends on the seed, the step and its place alone, and is written by the very code
that samples for people; so a resumed run, and one on several processes, writes what an undisturbed one would.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer
from trl.models import prepare_deepspeed, prepare_fsdp
from trl.models.utils import unwrap_model_for_generation
from trl.trainer.utils import add_fused_lm_head

from training.configs import GroupConfig, GRPOConfig, RLOOConfig
from training.ml import processes
from training.ml.chat import template_digest
from training.ml.models import check_source, load_tokenizer, publish_model
from training.ml.online_rewards import OnlinePrompt, OnlineRewards, Rewarded, load_rewards, train_prompts
from training.ml.ppo import prompt_order
from training.ml.preflight import look_first
from training.ml.sampling import generate_tokens, response_seed
from training.ml.trl_checkpoints import checkpoint_step, drop_bad_checkpoints, last_checkpoint
from training.ml.trl_runs import train
from training.ml.tuning import as_policy, load_to_train
from training.rundir import ModelSource, Outcome, RunDirectory, RunSpec, append_lines, keep_lines, read_lines

PREVIEWS = 2
"""Responses of each step that are kept for people to read."""

METRICS = {
    "loss": "loss",
    "score_mean": "score_mean",
    "reward": "reward_mean",
    "reward_std": "reward_spread",
    "frac_reward_zero_std": "alike_fraction",
    "kl_per_response": "kl",
    "entropy": "entropy",
    "completions/mean_length": "response_length",
    "eos_fraction": "eos_fraction",
    "clip_ratio/region_mean": "clip_fraction",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
}


@dataclass(frozen=True)
class Ready:
    """What a run has loaded before its trainer is made."""

    source: ModelSource
    tokenizer: PreTrainedTokenizerBase
    prompts: list[OnlinePrompt]
    model: PreTrainedModel
    rewards: OnlineRewards


def make_ready(run: RunDirectory, spec: RunSpec, config: GroupConfig) -> Ready:
    """Load policy, prompts and rewards, and look at them before the first step."""
    source = check_source(spec.policy, "policy to train")
    tokenizer = load_tokenizer(source)
    prompts = train_prompts(run, tokenizer)
    run.write_progress("loading the models", 0, config.steps)
    rewards = load_rewards(spec, config, tokenizer)
    model = load_to_train(source, tokenizer, config)
    prompts, _ = look_first(run, spec, config, tokenizer, prompts, model=model)
    return Ready(source, tokenizer, prompts, model, rewards)


def rows_in_order(config: GroupConfig, prompts: int, passes: int = 1) -> Dataset:
    """Return the prompts of all steps, one step's after the other's; every prompt comes once before any comes again."""
    written = math.ceil(config.steps / passes)
    rows: list[int] = []
    for step in range(1, written + 1):
        rows += prompt_order(prompts, config.prompts_per_step, step, config.seed)
    return Dataset.from_dict({"row": rows})


@contextlib.contextmanager
def writing(trainer: Trainer) -> Iterator[PreTrainedModel]:
    """Give the trainer's policy ready to write: whole on this process, in evaluation mode, without checkpointing."""
    summon: Any = contextlib.nullcontext()
    if hasattr(trainer, "_dist"):
        summon = trainer._dist.summon_full_params(trainer.model_wrapped, recurse=False)
    with (
        unwrap_model_for_generation(
            trainer.model_wrapped,
            trainer.accelerator,
            gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
        ) as model,
        torch.no_grad(),
        summon,
        trainer.compute_loss_context_manager(),
        as_policy(model) as policy,
    ):
        yield policy


class Responses:
    """Writes a trainer's responses, and gives them their rewards."""

    def __init__(self, run: RunDirectory, config: GroupConfig, ready: Ready) -> None:
        self.run = run
        self.config = config
        self.prompts = ready.prompts
        self.tokenizer = ready.tokenizer
        self.rewards = ready.rewards

    def write(self, trainer: Trainer, rows: Sequence[int], part: int = 0, copies: int = 1) -> list[list[int]]:
        """Return `copies` responses to each prompt of `rows`: all first ones, then all second ones.

        `rows` are this process's in one of the step's forward passes, number `part`. The seeds go by the place in the
        whole step, so that the responses are the same on however many processes and in however many passes.
        """
        processes_together = trainer.accelerator.num_processes
        first = (part * processes_together + trainer.accelerator.process_index) * len(rows)
        seeds = [
            response_seed(self.config.seed, f"step {trainer.state.global_step} copy {copy_number}", first + place)
            for copy_number in range(copies)
            for place in range(len(rows))
        ]
        with writing(trainer) as policy:
            return generate_tokens(
                policy,
                self.tokenizer,
                [self.prompts[row].ids for row in rows] * copies,
                seeds,
                temperature=self.config.temperature,
                top_p=1.0,
                max_new_tokens=self.config.max_new_tokens,
            )

    def reward(self, trainer: Trainer, rows: Sequence[int], responses: Sequence[Sequence[int]]) -> Rewarded:
        """Return what the responses are worth; the first process keeps a few of a step for people to read."""
        prompts = [self.prompts[row] for row in rows]
        rewarded = self.rewards(prompts, responses)
        if trainer.is_world_process_zero():
            append_lines(
                self.run.previews_path,
                [
                    {
                        "step": trainer.state.global_step + 1,
                        "prompt": prompts[place].messages[-1]["content"],
                        "response": rewarded.texts[place],
                        "score": rewarded.scores[place].item(),
                    }
                    for place in range(min(PREVIEWS, len(prompts)))
                ],
            )
        return rewarded


class WritesItself(Trainer):
    """Mixed into TRL's GRPOTrainer and RLOOTrainer: prompts come from `rows_in_order`, responses from `Responses`.

    Also keeps the responses that a checkpoint falls in the middle of, which TRL forgets.
    """

    responses: Responses
    rows: list[int]
    """Of the responses that are being written."""
    mean_length: float
    """Of the last responses, in tokens."""

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self.rows = [one["row"] for one in inputs]
        prompts = self.responses.prompts
        trainer: Any = super()
        return trainer._generate_and_score_completions([{"prompt": prompts[row].messages} for row in self.rows])

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [list(self.responses.prompts[row].ids) for row in self.rows], None, {}

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        kept = {"step": self._step, "buffered": self._buffered_inputs, "mean_length": self.mean_length}
        torch.save(kept, self.kept_responses(folder))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None and self.kept_responses(Path(checkpoint)).is_file():
            kept = torch.load(self.kept_responses(Path(checkpoint)), map_location=self.accelerator.device)
            self._step, self._buffered_inputs = kept["step"], kept["buffered"]
            self.mean_length = kept["mean_length"]

    def kept_responses(self, folder: Path) -> Path:
        return folder / f"responses-{self.accelerator.process_index}.pt"

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        figures = self._metrics["train"]
        if figures.get("completions/mean_length"):
            self.mean_length = figures["completions/mean_length"][-1]
        if figures.get("kl"):
            figures["kl_per_response"].append(sum(figures["kl"]) / len(figures["kl"]) * self.mean_length)
        super().log(logs, start_time)


def reward_function_of(trainer_of: list[Any]) -> Any:
    """Return what TRL calls for rewards; `trainer_of` holds the trainer once it is made."""

    def reward(completion_ids: list[list[int]], log_metric: Any, **_: Any) -> list[float]:
        trainer = trainer_of[0]
        rewarded = trainer.responses.reward(trainer, trainer.rows, completion_ids)
        log_metric("score_mean", rewarded.scores.mean().item())
        log_metric("eos_fraction", rewarded.finished.float().mean().item())
        return rewarded.rewards.tolist()

    return reward


def set_reference(trainer: Any, model: PreTrainedModel | None, kl_coef: float) -> None:
    """Hold the policy to what it was, also where its own weights are trained; TRL would take its base model for that.

    `model` is a copy from before training; None where switching the adapter off gives the reference.
    """
    trainer.beta = kl_coef
    if model is None or not kl_coef:
        return
    add_fused_lm_head(model, temperature=trainer.temperature)
    if trainer.is_deepspeed_enabled:
        trainer.ref_model = prepare_deepspeed(model, trainer.accelerator)
    elif trainer.is_fsdp_enabled:
        trainer.ref_model = prepare_fsdp(model, trainer.accelerator)
    else:
        trainer.ref_model = trainer.accelerator.prepare_model(model, evaluation_mode=True)


def frozen_copy(model: PreTrainedModel) -> PreTrainedModel:
    return copy.deepcopy(model).eval().requires_grad_(False)


def forget_rollouts(run: RunDirectory) -> None:
    """Drop the rollouts after the last good checkpoint, which a resumed run writes again."""
    if not processes.is_first():
        return
    drop_bad_checkpoints(run.checkpoints_path)
    last = last_checkpoint(run.checkpoints_path)
    done = checkpoint_step(last) if last else 0
    keep_lines(run.previews_path, [row for row in read_lines(run.previews_path) if row["step"] <= done])


def train_and_publish(
    run: RunDirectory, config: GroupConfig, ready: Ready, trainer: Trainer, names: Mapping[str, str]
) -> Outcome:
    """Train, publish what was trained, and say how score and KL went."""
    forget_rollouts(run)
    ids = [prompt.ids for prompt in ready.prompts]
    status, step = train(run, trainer, names, config, ready.tokenizer, ids)
    run.write_progress("saving the policy", step, config.steps)
    sha256 = publish_model(run, trainer.model, ready.tokenizer, kind="policy", source=ready.source, step=step)
    run.write_progress("done", step, config.steps)
    return Outcome(status, step, sha256, template_digest(ready.tokenizer), summary(run, config))


def summary(run: RunDirectory, config: GroupConfig) -> dict[str, Any]:
    """Return score and KL of the first step and of the last that wrote responses, each a mean over `n` of them."""
    written = [row for row in run.metrics() if "score_mean" in row]
    if not written:
        return {}
    first, last = written[0], written[-1]
    figures = {
        f"{name}_{when}": row[key]
        for name, key in (("score", "score_mean"), ("kl", "kl"))
        for when, row in (("first", first), ("last", last))
        if key in row
    }
    each = config.responses_per_prompt if isinstance(config, GRPOConfig | RLOOConfig) else 2
    return {**figures, "n": config.prompts_per_step * each}
