"""Start a run. Carrying it out is `training.worker`'s work; `training.stopping` ends or pauses it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from feedback.audit import record
from feedback.contract import EVALUATION, TRAIN
from feedback.models import Project, Queue, Snapshot, User
from feedback.schemas import RESPONSES
from feedback.splits import SAMPLED
from training.configs import (
    Config,
    GroupConfig,
    LaunchConfig,
    NeedsConfig,
    OnlineConfig,
    PPOConfig,
    SampleConfig,
    TrainingConfig,
    config_values,
    parse,
    parse_config,
)
from training.landing import LEAVES
from training.lineage import CheckpointGone, ancestors, hold, is_tuned_prompt, model_source, weights
from training.models import Checkpoint, Run
from training.run_refusals import RunRefused as RunRefused
from training.sample_models import check_sampling
from training.scoring import responses_to_score
from training.snapshot_tables import rows_read, tables_read, to_freeze

ONLINE = (Run.Kind.PPO, Run.Kind.GRPO, Run.Kind.RLOO, Run.Kind.ONLINE_DPO)
"""Kinds whose policy writes what it learns from, on prompts of the train split."""

SHOW_RESPONSES = tuple(kind for kind, (fewest, _) in RESPONSES.items() if fewest)
"""Kinds of queue that a sample run can fill."""

WORDS = {"policy": "model", "reward": "reward model"}
"""What a refusal calls an input."""

INPUTS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    # kind: (what it needs, what it may have besides)
    "sample": (frozenset({"policy", "queue"}), frozenset({"reward", "others", "prompt_ids"})),
    "sft": (frozenset({"policy", "snapshot"}), frozenset()),
    "reward": (frozenset({"policy", "snapshot"}), frozenset()),
    "dpo": (frozenset({"policy", "snapshot"}), frozenset()),
    "kto": (frozenset({"policy", "snapshot"}), frozenset()),
    "ppo": (frozenset({"policy"}), frozenset({"reward", "prompt_ids"})),
    "grpo": (frozenset({"policy"}), frozenset({"reward", "prompt_ids"})),
    "rloo": (frozenset({"policy"}), frozenset({"reward", "prompt_ids"})),
    "online_dpo": (frozenset({"policy"}), frozenset({"reward", "prompt_ids"})),
    "evaluate": (frozenset(), frozenset({"snapshot", "policy", "reward", "prompt_ids"})),
    "score": (frozenset({"reward"}), frozenset({"queue"})),
    "merge": (frozenset({"policy"}), frozenset()),
}


@transaction.atomic
def start_run(
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
    others: Iterable[Checkpoint] = (),
    prompt_ids: Iterable[uuid.UUID | str] = (),
    launch: Mapping[str, Any] | None = None,
    needs: Mapping[str, Any] | None = None,
    waits_after_preflight: bool = False,
    sweep: uuid.UUID | None = None,
    repeats: Run | None = None,
) -> Run:
    """Queue a run for the next free worker. Raises BadConfig or RunRefused, and then nothing is queued.

    A sample run without `prompt_ids` samples every prompt of the train and evaluation splits; a run of an ONLINE kind
    rolls out on the train split's. Prompts of the hold-out split are sampled only where `prompt_ids` names them, for
    the last test.
    """
    checked = parse_config(kind, config)
    started_by = config_values(parse(LaunchConfig, launch or {}, "how a run starts"))
    needed = config_values(parse(NeedsConfig, needs or {}, "what a run needs"))
    check_launch(checked, started_by)
    prompts = list(dict.fromkeys(str(one) for one in prompt_ids))
    further = list(others)
    given = {"policy": policy, "reward": reward, "snapshot": snapshot, "queue": queue, "prompt_ids": prompts}
    check_inputs(kind, {**given, "others": further})
    named = [("policy", policy), ("reward", reward), ("snapshot", snapshot), ("queue", queue)]
    for field, one in (*named, *(("others", other) for other in further)):
        if one is not None and one.project_id != project.pk:
            raise RunRefused(field, f"{one} belongs to another project")
    hold([policy, reward, *further])
    if policy is not None:
        check_policy(kind, policy)
    if reward is not None:
        check_reward_model(kind, reward, policy)
    elif isinstance(checked, OnlineConfig) and not checked.reward_function:
        raise RunRefused("reward", "something must score what the policy writes: a reward model or a reward function")
    if snapshot is not None:
        check_snapshot(kind, snapshot, config_values(checked))
    if kind == "score" and reward is not None:
        check_scored(project, reward, queue)
    elif queue is not None:
        check_queue(queue)
    if kind == "sample" or kind in ONLINE or (kind == "evaluate" and snapshot is None):
        check_prompts(kind, project, prompts, checked)
    if isinstance(checked, SampleConfig):
        check_sampling(checked, policy, further, reward)
    if waits_after_preflight and not isinstance(checked, TrainingConfig | OnlineConfig):
        raise RunRefused(
            "waits_after_preflight", f"a run of kind {Run.Kind(kind).label!r} has no preflight to wait after"
        )
    if len(name) > 200:
        raise RunRefused("name", f"{len(name)} characters are too many; the most is 200")
    run = Run.objects.create(
        project=project,
        kind=kind,
        name=name.strip() or next_name(project, kind),
        config=config_values(checked),
        policy=policy,
        reward=reward,
        snapshot=snapshot,
        queue=queue,
        prompt_ids=prompts,
        launch=started_by,
        needs=needed,
        waits_after_preflight=waits_after_preflight,
        sweep=sweep,
        repeats=repeats,
        created_by=created_by,
    )
    run.others.set(further)
    record(project=project, actor=created_by, action="run.start", subject=run, after={"name": run.name, "kind": kind})
    return run


def check_launch(config: Config, launch: Mapping[str, Any]) -> None:
    """Refuse several processes for a kind that is carried out by one, and rows that they could not share evenly."""
    processes = launch["processes"]
    if processes == 1 and launch["sharding"] == "none":
        return
    if not isinstance(config, TrainingConfig | GroupConfig):
        raise RunRefused(
            "processes",
            "only SFT, reward model, DPO, KTO, GRPO, RLOO and online DPO runs are carried out by several processes",
        )
    setting, rows = config.rows_together
    if rows % processes:
        fits = max(rows // processes, 1) * processes
        raise RunRefused(setting, f"{rows} rows cannot be shared evenly by {processes} processes; {fits} can")


def next_name(project: Project, kind: str) -> str:
    return f"{Run.Kind(kind).label} {Run.objects.filter(project=project, kind=kind).count() + 1}"


def check_inputs(kind: str, given: Mapping[str, Any]) -> None:
    """Refuse an input that the kind lacks, and one that it would ignore."""
    needed, allowed = INPUTS[kind]
    label = Run.Kind(kind).label
    for field in ("policy", "reward", "snapshot", "queue", "others", "prompt_ids"):
        if field in needed and not given[field]:
            raise RunRefused(field, f"a run of kind {label!r} needs a {WORDS.get(field, field)}")
        if given[field] and field not in needed | allowed:
            raise RunRefused(field, f"a run of kind {label!r} does not use one; leave it out")
    if kind == "evaluate" and not given["policy"] and not given["reward"]:
        raise RunRefused("policy", "choose a reward model or a trained policy to evaluate, or a policy and its judge")
    if kind == "evaluate" and given["policy"] and given["reward"] and given["snapshot"]:
        raise RunRefused("policy", "choose one model for the snapshot's labels; a policy and its judge take prompts")
    if kind == "evaluate" and given["snapshot"] and given["prompt_ids"]:
        raise RunRefused("prompt_ids", "the labels of a snapshot bring their own prompts; leave these out")
    if kind == "evaluate" and not given["snapshot"] and not (given["policy"] and given["reward"]):
        raise RunRefused("snapshot", f"a run of kind {label!r} needs a snapshot: the labels to hold the model against")


def check_files(field: str, checkpoint: Checkpoint) -> None:
    try:
        model_source(checkpoint)
    except CheckpointGone as error:
        raise RunRefused(field, str(error)) from error


def check_policy(kind: str, policy: Checkpoint) -> None:
    if policy.kind == Checkpoint.Kind.REWARD:
        raise RunRefused("policy", f"{policy} is a reward model; it scores text but cannot write any")
    if kind == "evaluate" and policy.kind == Checkpoint.Kind.BASE:
        raise RunRefused("policy", f"{policy} is a base model; an implicit reward needs a trained policy")
    check_files("policy", policy)
    if kind in LEAVES and is_tuned_prompt(policy):
        raise RunRefused(
            "policy",
            f"{policy} is a tuned prompt: virtual tokens, not weights. Nothing can be trained on top of it or merged "
            f"with it; choose the model below it, {policy.parent}",
        )
    if kind == "merge" and not weights(policy)[1]:
        raise RunRefused("policy", f"{policy} is a whole model already; there is no adapter to merge")


def check_reward_model(kind: str, reward: Checkpoint, policy: Checkpoint | None) -> None:
    if reward.kind != Checkpoint.Kind.REWARD:
        raise RunRefused("reward", f"{reward} is not a reward model; train one on a snapshot first")
    check_files("reward", reward)
    if kind not in ONLINE or policy is None:
        return
    if reward.snapshot_id is None and not reward.origin:
        raise RunRefused("reward", f"{reward} names no snapshot, so nobody could tell what the policy learned from")
    if kind != Run.Kind.PPO:
        return  # the others let it read text with its own tokenizer
    bases = [([one, *ancestors(one)])[-1] for one in (policy, reward)]
    if bases[0].path != bases[1].path:
        raise RunRefused(
            "reward",
            f"{reward} stands on {bases[1]} and the policy on {bases[0]}; PPO shares one "
            "base. Train a reward model on the policy's base, or choose GRPO, RLOO or online DPO",
        )
    if policy.template_digest and reward.template_digest and policy.template_digest != reward.template_digest:
        raise RunRefused("reward", f"{reward} was trained with another chat template than {policy}")


def check_queue(queue: Queue) -> None:
    if queue.state == Queue.State.CLOSED:
        raise RunRefused("queue", f"{queue} is closed; open it again or choose another")
    if queue.kind not in SHOW_RESPONSES:
        kinds = ", ".join(SHOW_RESPONSES)
        raise RunRefused("queue", f"{queue} shows no responses that were there before; choose one of {kinds}")
    if queue.is_qualification:
        raise RunRefused("queue", f"{queue} is a test; its tasks are gold that a curator makes")


def check_scored(project: Project, reward: Checkpoint, queue: Queue | None) -> None:
    if queue is not None and queue.kind not in SHOW_RESPONSES:
        raise RunRefused("queue", f"{queue} shows no responses that were there before; choose another, or none for all")
    if not responses_to_score(project=project, reward=reward, queue=queue).exists():
        where = f"of {queue}" if queue else "of the project"
        raise RunRefused("queue", f"every response {where} has a score of {reward} already, or there is none")


def check_snapshot(kind: str, snapshot: Snapshot, config: Mapping[str, Any]) -> None:
    if snapshot.withdrawn_at is not None:
        raise RunRefused("snapshot", f"{snapshot} was withdrawn; its files are gone. Choose or freeze another")
    there = ", ".join(snapshot.tables)
    # Rankings bring their pairs with them; of ties and ratings alone nothing says what people prefer.
    wanted = ("preference",) if kind == "reward" else tables_read(kind, config)
    if not rows_read(snapshot, wanted, TRAIN) and not rows_read(snapshot, wanted, EVALUATION):
        raise RunRefused(
            "snapshot",
            f"{snapshot} has no {' or '.join(wanted)} rows, which this run reads; it holds {there or 'none'}. "
            f"Freeze {to_freeze(kind)}",
        )
    if kind == "evaluate" and not snapshot.compared(EVALUATION):
        raise RunRefused(
            "snapshot",
            f"{snapshot} has no preference in its evaluation split that a person gave between two responses; "
            "label more and freeze another",
        )
    if kind != "evaluate" and not rows_read(snapshot, wanted, TRAIN):
        raise RunRefused(
            "snapshot",
            f"{snapshot} has no {' or '.join(wanted)} rows in its train split; label more and freeze another",
        )
    if not (snapshot.directory / "manifest.json").is_file():
        raise RunRefused("snapshot", f"the files of {snapshot} are gone: {snapshot.directory} has no manifest.json")


def check_prompts(kind: str, project: Project, prompt_ids: list[str], config: Config) -> None:
    prompts = project.prompts.pool()
    if not prompt_ids:
        prompts = prompts.filter(split__in=(EVALUATION,) if kind == "evaluate" else SAMPLED)
    else:
        try:
            wanted = [uuid.UUID(one) for one in prompt_ids]
        except ValueError as error:
            raise RunRefused("prompt_ids", "not every prompt id is a UUID") from error
        prompts = prompts.filter(pk__in=wanted)
        if prompts.count() != len(set(wanted)):
            raise RunRefused("prompt_ids", "not every prompt is one of this project")
    if kind in ONLINE:
        if not prompts.filter(split=TRAIN).exists():
            raise RunRefused(
                "prompt_ids", f"{Run.Kind(kind).label} learns on the train split only, and there is no such prompt"
            )
        if looks_at_held_out(config) and not prompts.filter(split=EVALUATION).exists():
            raise RunRefused(
                "evaluate_every",
                "there is no prompt of the evaluation split to look at; choose some, or set it to 0 for no looks",
            )
    elif not prompts.exists() and kind == "evaluate":
        raise RunRefused("prompt_ids", "the project has no prompts in its evaluation split; choose some yourself")
    elif not prompts.exists():
        raise RunRefused("prompt_ids", "the project has no prompts outside of the hold-out split; import some first")


def looks_at_held_out(config: Config) -> bool:
    """Tell whether a run that learns from prompts is measured on held-out ones on the way."""
    return isinstance(config, PPOConfig) and config.evaluate_every > 0
