"""Train a reward model on what annotators gave: preferences with their strength, ties, rankings, ratings.

Rows go in as token ids, so that the model reads exactly what sampling and PPO produce, ended by the end token. An
ensemble of heads is trained at once; full members one after the other, each with a seed of its own, from the same
model. Then every member is centred and a temperature fitted, and the whole of it published (`reward_models`).
"""

from __future__ import annotations

import copy
import dataclasses
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, TaskType
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

from training.configs import RewardConfig
from training.ml import processes
from training.ml.chat import template_digest
from training.ml.drawing import draw
from training.ml.evaluate import measure_rewards
from training.ml.models import check_source, load_tokenizer, save_adapter, save_whole
from training.ml.preferences import PreferenceTokens, read_compared
from training.ml.preflight import look_first
from training.ml.reward_losses import tie_prevalence
from training.ml.reward_models import (
    REWARD,
    RewardCard,
    Scorer,
    member_path,
    scorer_of_members,
    with_score_head,
    write_card,
)
from training.ml.reward_rows import (
    ROW_KINDS,
    RewardRow,
    attributes_of,
    of_pair,
    read_held_out_ratings,
    read_train_rows,
)
from training.ml.reward_trainer import (
    Collate,
    Objective,
    RewardRows,
    RewardTrainer,
    can_share_prompts,
    let_score_ends,
)
from training.ml.shared_prompts import width_of
from training.ml.trl_runs import train, trainer_arguments
from training.ml.tuning import load_to_train, tuned
from training.rundir import (
    Check,
    ModelSource,
    Outcome,
    RunDirectory,
    RunSpec,
    directory_digest,
    publish_directory,
    write_json,
)

METRICS = {
    "loss": "loss",
    "accuracy": "accuracy",
    "margin": "margin",
    "mean_reward": "mean_reward",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
}
CENTRED_ON = 256
"""Rows whose responses say what a member's mean reward is."""


def run_reward(run: RunDirectory, spec: RunSpec, config: RewardConfig) -> Outcome:
    """Train on the snapshot's train split, publish the model, and measure it on the evaluation split."""
    # 1. The rows, and the model that every member starts from.
    source = check_source(spec.policy, "model to start from")
    tokenizer = load_tokenizer(source)
    rows, held_out = read_train_rows(spec, tokenizer, config), read_compared(spec, tokenizer)
    rated = read_held_out_ratings(spec, tokenizer) if config.attribute_heads else []
    members = Members(run, config)
    run.write_progress("loading the model", 0, members.total)
    policy = load_to_train(source, tokenizer, config)
    heads = (REWARD, *attributes_of(rows))
    first = members.model(0, policy, heads)
    shares = can_share_prompts(first, rows, tokenizer.pad_token_id)
    extra = [check_kinds(rows)]
    measured: list[PreferenceTokens | RewardRow] = [*held_out, *rated]
    rows, kept = look_first(
        run, spec, config, tokenizer, rows, measured, model=first, extra=extra, shares_prompts=shares
    )
    held_out = [row for row in kept if isinstance(row, PreferenceTokens)]
    rated = [row for row in kept if isinstance(row, RewardRow)]
    objective = objective_of(config, rows, heads)

    # 2. Every member, after those that an earlier attempt has finished.
    status, step = "succeeded", 0
    for member in range(members.count):
        model = first if member == 0 else members.model(member, policy, heads)
        if members.is_trained(member):
            step += config.steps
        else:
            collate = Collate(tokenizer.pad_token_id, heads[1:], config.use_margin, width_of(model) if shares else 0)
            status, taken = train_member(members, member, model, tokenizer, rows, held_out, objective, collate)
            step += taken
        if isinstance(model, PeftModel):
            model.unload()  # the next member starts from the same weights
        if status != "succeeded":
            break

    # 3. What the finished members say of held-out labels; then all of it is published.
    run.write_progress("evaluating", step, members.total)
    is_whole = config.tuning == "full"
    below = None if is_whole else policy  # whole members are loaded from their files, one copy of each
    del first, model, policy
    card = members.card(heads, rows, objective)
    paths = members.paths()
    scorer = scorer_of_members(paths, card, below, tokenizer, is_whole=is_whole, precision=config.precision)
    scorer.card = card = centred(card, scorer, rows, config.batch_size)
    figures = measure_rewards(scorer, spec, held_out, config.batch_size, rated)
    if config.calibrate and figures.get("calibration"):
        card = dataclasses.replace(card, temperature=figures["calibration"]["temperature"])
    sha256 = publish(run, paths, card, source, tokenizer, step, is_whole=is_whole)
    run.write_progress("done", step, members.total)
    return Outcome(status, step, sha256, template_digest(tokenizer), figures)


def objective_of(config: RewardConfig, rows: Sequence[RewardRow], heads: Sequence[str]) -> Objective:
    """Return what a batch costs; how likely ties are is known from the share of pairs that were tied."""
    pairs = [row for row in rows if len(row.ranks) == 2]
    ties = sum(row.is_tie for row in pairs)
    nu = tie_prevalence(ties, len(pairs) - ties) if 0 < ties < len(pairs) else 2.0 if ties else 0.0
    return Objective(len(heads), nu, config.use_ties, config.center_rewards_coefficient)


def train_member(
    members: Members,
    member: int,
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[RewardRow],
    held_out: Sequence[PreferenceTokens],
    objective: Objective,
    collate: Collate,
) -> tuple[str, int]:
    """Train one set of weights and keep it beside the checkpoints; return the Outcome's (status, step)."""
    config, run = members.config_of(member), members.directory(member)
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    inner.config.pad_token_id = tokenizer.pad_token_id
    trainer = RewardTrainer(
        objective=objective,
        model=model,
        args=TrainingArguments(**trainer_arguments(run, config), remove_unused_columns=False),
        data_collator=collate,
        train_dataset=RewardRows(rows),
        eval_dataset=RewardRows([of_pair(row) for row in held_out]) if held_out else None,
        processing_class=tokenizer,
    )
    lengths = [row.shared_length if collate.hidden else row.length for row in rows]
    draw(trainer, lengths, [row.weight for row in rows], config)
    status, step = train(run, trainer, METRICS, config)
    members.keep(member, trainer.model, tokenizer, is_finished=status == "succeeded")
    return status, step


# Members ----------------------------------------------------------------------------------------------


class Members:
    """The sets of weights of one run, each with its seed and its place among the checkpoints."""

    def __init__(self, run: RunDirectory, config: RewardConfig) -> None:
        self.run, self.config = run, config
        self.count = config.members if config.ensemble == "full" else 1
        self.total = self.count * config.steps

    def config_of(self, member: int) -> RewardConfig:
        return dataclasses.replace(self.config, seed=self.config.seed + member)

    def directory(self, member: int) -> RunDirectory:
        return self.run if self.count == 1 else MemberDirectory(self.run, member, self.config.steps, self.count)

    def place(self, member: int, *, is_finished: bool) -> Path:
        return self.directory(member).checkpoints_path / ("trained" if is_finished else "unfinished")

    def is_trained(self, member: int) -> bool:
        return self.place(member, is_finished=True).is_dir()

    def model(self, member: int, policy: PreTrainedModel, heads: Sequence[str]) -> PreTrainedModel | PeftModel:
        """Return what this member starts from: a head of its own, and a fresh adapter or a copy of the weights."""
        config = self.config_of(member)
        rows = len(heads) * (config.members // self.count)
        own = copy.deepcopy(policy) if config.tuning == "full" and self.count > 1 else policy
        torch.manual_seed(config.seed)
        model = tuned(with_score_head(own, config.seed, rows), config, TaskType.SEQ_CLS)
        let_score_ends(model)
        return model

    def keep(
        self, member: int, model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, *, is_finished: bool
    ) -> None:
        """Write what was trained, whole or not at all."""
        place = self.place(member, is_finished=is_finished)
        if processes.is_first():
            temporary = place.with_name(f".{place.name}.tmp")
            shutil.rmtree(temporary, ignore_errors=True)
            if isinstance(model, PeftModel):
                save_adapter(model, temporary)
            else:
                save_whole(model, tokenizer, temporary)
            publish_directory(temporary, place)
        processes.wait_for_all()

    def paths(self) -> list[Path]:
        """Return where the finished members lie; where none is, the unfinished first one."""
        finished = [self.place(one, is_finished=True) for one in range(self.count) if self.is_trained(one)]
        return finished or [self.place(0, is_finished=False)]

    def card(self, heads: tuple[str, ...], rows: Sequence[RewardRow], objective: Objective) -> RewardCard:
        """Return the card of the members that are there, not centred yet."""
        is_full = self.config.ensemble == "full"
        return RewardCard(
            members=len(self.paths()) if is_full else self.config.members,
            ensemble=self.config.ensemble,
            heads=heads,
            trained={**count_kinds(rows), "tie_prevalence": objective.nu, "use_margin": self.config.use_margin},
        )


def count_kinds(rows: Sequence[RewardRow]) -> dict[str, int]:
    """Count the rows by what people said in them."""
    kinds = Counter(row.kind for row in rows)
    return {kind: kinds[kind] for kind in ROW_KINDS}


def check_kinds(rows: Sequence[RewardRow]) -> Check:
    """Tell what the model learns from."""
    counts = count_kinds(rows)
    words = ((count, kind if count != 1 else kind.removesuffix("s")) for kind, count in counts.items() if count)
    there = ", ".join(f"{count} {word}" for count, word in words)
    return Check("labels", "ok", f"It learns from {there}.", counts)


class MemberDirectory(RunDirectory):
    """The run directory as one of several full members sees it: checkpoints of its own, steps that follow the others'.

    The step of a line of metrics counts over all members, so that a curve shows one after the other.
    """

    def __init__(self, run: RunDirectory, member: int, steps: int, count: int) -> None:
        super().__init__(run.path)
        self.run, self.member, self.before, self.count = run, member, member * steps, count
        self.total = count * steps
        self.checkpoints_path = run.checkpoints_path / f"member-{member}"

    def write_progress(self, phase: str, done: int = 0, total: int = 0) -> None:
        self.run.write_progress(f"{phase} member {self.member + 1} of {self.count}", self.before + done, self.total)

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        self.run.append_metrics({**row, "step": self.before + row["step"]})

    def forget_metrics_after(self, step: int) -> None:
        self.run.forget_metrics_after(self.before + step)

    def write_error(self, message: str) -> None:
        self.run.write_error(message)


def centred(card: RewardCard, scorer: Scorer, rows: Sequence[RewardRow], batch_size: int) -> RewardCard:
    """Return the card with the mean reward of each member of an ensemble, so that the worst of them means something.

    Preferences say nothing of where zero is: members would differ by constants that mean nothing.
    """
    if card.members == 1:
        return card
    some = [sequence for row in rows if row.decides for sequence in row.sequences][: 2 * CENTRED_ON]
    return dataclasses.replace(card, centre=tuple(scorer.scores(some, 2 * batch_size).double().mean(1).tolist()))


def publish(
    run: RunDirectory,
    paths: Sequence[Path],
    card: RewardCard,
    source: ModelSource,
    tokenizer: PreTrainedTokenizerBase,
    step: int,
    *,
    is_whole: bool,
) -> str:
    """Write the members with their card and checkpoint.json to `model/`, whole or not at all; return its sha256."""
    if not processes.is_first():
        processes.wait_for_all()
        return ""
    temporary = run.path / ".model.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    for member, path in enumerate(paths):
        shutil.copytree(path, member_path(temporary, member))
    write_card(temporary, card)
    write_json(
        temporary / "checkpoint.json",
        {
            "kind": "reward",
            "base": source.base,
            "adapters": list(source.adapters),
            "is_whole": is_whole,
            "template_digest": template_digest(tokenizer),
            "step": step,
        },
    )
    publish_directory(temporary, run.model_path)
    processes.wait_for_all()
    return directory_digest(run.model_path)
