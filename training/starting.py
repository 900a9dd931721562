"""Start a run as a person asks for it: with prompts chosen by a word, into a queue that may not be there yet."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from feedback.contract import SPLITS, TRAIN
from feedback.models import Project, Queue, Snapshot, User
from feedback.queues import open_queue
from feedback.schemas import TaskKind
from feedback.splits import SAMPLED
from training.configs import BadConfig, parse_config
from training.models import Checkpoint, Run
from training.runs import start_run


@dataclass(frozen=True)
class PromptChoice:
    """Which prompts a run takes: `all` but the hold-out split, one split by name, or `count` of all at `random`."""

    which: str = "all"
    count: int = 0


@dataclass(frozen=True)
class NewQueue:
    name: str
    guideline: str


def prompts_chosen(project: Project, choice: PromptChoice, *, seed: int, kind: str) -> list[str]:
    """Return the ids of the prompts that `choice` means; empty for all. The same seed draws the same prompts.

    PPO draws from the train split only. The hold-out split is taken only when it is named, and never by PPO.
    """
    if choice.which == "all":
        return []
    prompts = project.prompts.pool().order_by("pk")
    if kind == Run.Kind.PPO:
        prompts = prompts.filter(split=TRAIN)
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
    name: str = "",
    policy: Checkpoint | None = None,
    reward: Checkpoint | None = None,
    snapshot: Snapshot | None = None,
    queue: Queue | None = None,
    new_queue: NewQueue | None = None,
    prompts: PromptChoice | None = None,
) -> Run:
    """As `start_run`; opens `new_queue` first. Raises what it and `open_queue` raise, and then nothing is left."""
    checked = parse_config(kind, config)
    prompt_ids = prompts_chosen(project, prompts, seed=checked.seed, kind=kind) if prompts is not None else []
    if new_queue is not None:
        queue = open_queue(project=project, name=new_queue.name, guideline=new_queue.guideline, created_by=created_by)
    return start_run(
        project=project,
        kind=kind,
        config=config,
        created_by=created_by,
        name=name,
        policy=policy,
        reward=reward,
        snapshot=snapshot,
        queue=queue,
        prompt_ids=prompt_ids,
    )


def latest_guideline(project: Project) -> str:
    """Return the current guidelines of the project's newest queue of comparisons; empty when it has none."""
    queue = project.queues.filter(kind=TaskKind.COMPARISON).select_related("guideline").order_by("-pk").first()
    return queue.guideline.text if queue is not None and queue.guideline is not None else ""
