"""Start a run as a person asks for it: with prompts chosen by a word, into a queue that may not be there yet."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from feedback.contract import EVALUATION, SPLITS, TRAIN
from feedback.models import Project, Queue, User
from feedback.queues import open_queue
from feedback.schemas import TaskKind
from feedback.splits import SAMPLED
from training.configs import BadConfig, parse_config
from training.models import Run
from training.runs import ONLINE, RunRefused, next_name, start_run

MOST_SEEDS = 16
SWEPT = (Run.Kind.SFT, Run.Kind.REWARD, Run.Kind.DPO, Run.Kind.KTO, *ONLINE)
"""Kinds that train, so that a seed changes what comes of them."""


@dataclass(frozen=True)
class PromptChoice:
    """Which prompts a run takes: `all` but the hold-out split, one split by name, `count` of all at `random`, or the
    `same` as another run's, by their ids."""

    which: str = "all"
    count: int = 0
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class NewQueue:
    name: str
    guideline: str


def prompts_chosen(project: Project, choice: PromptChoice, *, seed: int, kind: str) -> list[str]:
    """Return the ids of the prompts that `choice` means; empty for all. The same seed draws the same prompts.

    ONLINE kinds draw from the train split only, an evaluation from the evaluation split. The hold-out split is taken
    only when it is named, and never by ONLINE kinds.
    """
    if choice.which == "all":
        return []
    if choice.which == "same":
        return list(choice.ids)
    prompts = project.prompts.pool().order_by("pk")
    if kind in ONLINE:
        prompts = prompts.filter(split=TRAIN)
    elif kind == Run.Kind.EVALUATE and choice.which == "random":
        prompts = prompts.filter(split=EVALUATION)
    elif choice.which in SPLITS:
        prompts = prompts.filter(split=choice.which)
    else:
        prompts = prompts.filter(split__in=SAMPLED)
    ids = [str(pk) for pk in prompts.values_list("pk", flat=True)]
    if choice.which == "random" and choice.count < len(ids):
        ids = random.Random(seed).sample(ids, choice.count)
    if not ids:
        raise BadConfig("prompts", "there is no such prompt in this project")
    return ids


@transaction.atomic
def start_chosen_run(
    *,
    project: Project,
    kind: str,
    config: Mapping[str, Any],
    created_by: User,
    queue: Queue | None = None,
    new_queue: NewQueue | None = None,
    prompts: PromptChoice | None = None,
    **inputs: Any,
) -> Run:
    """As `start_run`, which takes `inputs`; opens `new_queue` first. Raises what it and `open_queue` raise, and then
    nothing is left."""
    checked = parse_config(kind, config)
    prompt_ids = prompts_chosen(project, prompts, seed=checked.seed, kind=kind) if prompts is not None else []
    if new_queue is not None:
        queue = open_queue(project=project, name=new_queue.name, guideline=new_queue.guideline, created_by=created_by)
    return start_run(
        project=project,
        kind=kind,
        config=config,
        created_by=created_by,
        queue=queue,
        prompt_ids=prompt_ids,
        **inputs,
    )


@transaction.atomic
def start_sweep(
    *, project: Project, kind: str, config: Mapping[str, Any], seeds: Sequence[int], name: str = "", **chosen: Any
) -> list[Run]:
    """Start the same run once for each of `seeds`; they share their prompts and `sweep`, and differ in nothing else.

    `chosen` is what `start_chosen_run` takes besides. Raises what it raises, and then none is queued.
    """
    once = list(dict.fromkeys(seeds))
    if kind not in SWEPT:
        raise RunRefused("seeds", f"a run of kind {Run.Kind(kind).label!r} learns nothing that a seed could change")
    if not 2 <= len(once) <= MOST_SEEDS:
        raise RunRefused("seeds", f"give 2 to {MOST_SEEDS} different seeds; {len(once)} were given")
    checked = parse_config(kind, config)
    prompts = chosen.pop("prompts", None)
    if prompts is not None and prompts.which != "all":
        ids = prompts_chosen(project, prompts, seed=checked.seed, kind=kind)
        prompts = PromptChoice("same", ids=tuple(ids))
    together = uuid.uuid4()
    named = name.strip() or next_name(project, kind)
    return [
        start_chosen_run(
            project=project,
            kind=kind,
            config={**config, "seed": seed},
            name=f"{named}, seed {seed}",
            prompts=prompts,
            sweep=together,
            **chosen,
        )
        for seed in once
    ]


def latest_guideline(project: Project) -> str:
    """Return the current guidelines of the project's newest queue of comparisons; empty when it has none."""
    queue = project.queues.filter(kind=TaskKind.COMPARISON).select_related("guideline").order_by("-pk").first()
    return queue.guideline.text if queue is not None and queue.guideline is not None else ""
