"""What a run would use, told before it starts: how much of which data, how often, and for how long."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from feedback.contract import EVALUATION, SPLITS, TRAIN
from feedback.durations import duration
from feedback.models import Project, Queue, Response, Snapshot
from feedback.schemas import RESPONSES, TaskKind
from feedback.selection import WEIGHTS
from feedback.splits import SAMPLED
from training.configs import CONFIGS
from training.lineage import ancestors
from training.models import Checkpoint, Run
from training.reading import seconds_per_step
from training.runs import ONLINE
from training.scoring import responses_to_score
from training.snapshot_tables import READS, SFT_SOURCES, readable, rows_learned
from training.starting import NewQueue, PromptChoice

FEW_ROWS = 50
RECENT = 10
"""So many of the last runs are looked at for their pace."""
MANY_PASSES = 3.0
FEW_EVALUATION_ROWS = 30
PAIR = 2
"""Responses to a prompt where the kind leaves no choice: online DPO."""
PASSED_OVER = "only a reward model learns that two responses are equally good"
LEARN = tuple(kind for kind in READS if kind != Run.Kind.EVALUATE)
"""Kinds that learn from a snapshot's rows."""


@dataclass(frozen=True)
class Figure:
    label: str
    value: str
    note: str = ""


@dataclass
class Plan:
    figures: list[Figure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def say(self, label: str, value: str | int | float, note: str = "") -> None:
        shown = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}" if isinstance(value, float) else value
        self.figures.append(Figure(label, shown, note))

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def plan(
    *,
    project: Project,
    kind: str,
    config: Mapping[str, Any],
    policy: Checkpoint | None = None,
    reward: Checkpoint | None = None,
    snapshot: Snapshot | None = None,
    queue: Queue | None = None,
    new_queue: NewQueue | None = None,
    prompts: PromptChoice | None = None,
    runs: int = 1,
    others: Sequence[Checkpoint] = (),
    **rest: Any,
) -> Plan:
    """Return what a run with these inputs would use; writes nothing. Values may be missing while a person types.

    `rest` are inputs that say nothing about that: its name, its launcher.
    """
    told = Plan()
    if runs > 1:
        told.say("Runs", runs, "the figures below are of each")
    if kind in LEARN and snapshot is not None:
        tell_rows(told, config, snapshot, kind)
    elif kind in ONLINE:
        tell_rollouts(told, config, prompt_count(project, prompts, TRAIN), kind)
    elif kind == Run.Kind.SAMPLE:
        tell_samples(told, config, prompt_count(project, prompts, None), queue, new_queue, 1 + len(others))
    elif kind == Run.Kind.EVALUATE and snapshot is not None:
        tell_evaluation(told, snapshot.compared(EVALUATION))
    elif kind == Run.Kind.SCORE and reward is not None:
        told.say("Responses without a score", responses_to_score(project=project, reward=reward, queue=queue).count())
    elif kind == Run.Kind.MERGE and policy is not None:
        tell_merge(told, policy)
    seconds, like = expected_seconds(project, kind, config, prompt_count(project, prompts, None), policy or reward)
    if seconds is not None and like is not None:
        told.say("Time, about", duration(seconds), f"at the pace of {like.name}")
    return told


def tell_rows(told: Plan, config: Mapping[str, Any], snapshot: Snapshot, kind: str) -> None:
    learned = rows_learned(snapshot, kind, config)
    train = sum(learned.values())
    told.say("Rows to train on", train, rows_by_table(learned))
    if (ties := snapshot.ties(TRAIN)) and (kind != Run.Kind.REWARD or not config.get("use_ties")):
        told.say("Ties, passed over", ties, PASSED_OVER)
    told.say("Rows per step", rows_per_step(config))
    passes = rows_per_step(config) * number(config, "steps") / train if train else 0.0
    told.say("Passes over the rows", passes, "steps x rows per step / rows")
    if not train:
        told.warn(" ".join(["This snapshot has no row to train on.", *rows_elsewhere(config, snapshot, kind)]))
    elif train < FEW_ROWS:
        told.warn(f"{train} rows show that the machinery works; they say little about what people prefer.")
    if kind == Run.Kind.DPO and passes > 1:
        told.warn(
            "DPO often overfits within the first pass over the rows, and this is more than one. Take fewer steps."
        )
    elif passes > MANY_PASSES:
        told.warn(f"{passes:.1f} passes: the model will learn these rows by heart. Take fewer steps.")
    if kind in (Run.Kind.DPO, Run.Kind.REWARD):
        if (weights := snapshot.manifest.get("selection", {}).get("weights", "none")) != "none":
            told.say("Rows are drawn", "by weight", f"{WEIGHTS[weights].lower()}; heavier rows come up more often")
        tell_evaluation(told, snapshot.compared(EVALUATION))
    else:
        told.say("Held-out rows", sum(rows_learned(snapshot, kind, config, EVALUATION).values()))
    if includes_simulated(snapshot):
        told.warn("The snapshot holds judgments of simulated annotators: the model will learn their rule.")


def rows_elsewhere(config: Mapping[str, Any], snapshot: Snapshot, kind: str) -> list[str]:
    """Say which of SFT's sources that are switched off would have rows, else what to do instead."""
    there = []
    for source in SFT_SOURCES if kind == Run.Kind.SFT else ():
        if not config.get(source) and (count := sum(rows_learned(snapshot, kind, {source: True}).values())):
            label = CONFIGS[kind].__dataclass_fields__[source].metadata["label"]
            there.append(f"Tick “{label}”: that would be up to {count:,}.")
    return there or ["Choose another, or freeze one with more labels."]


def rows_by_table(learned: Mapping[str, int]) -> str:
    """Return `3 preference, 5 ranking` where several tables are read."""
    return ", ".join(f"{count} {table}" for table, count in learned.items() if count) if len(learned) > 1 else ""


def tell_merge(told: Plan, policy: Checkpoint) -> None:
    chain = [policy, *ancestors(policy)]
    told.say("Becomes one model", len(chain), ", ".join(one.name for one in reversed(chain)))


def tell_evaluation(told: Plan, labels: int) -> None:
    if not labels:
        told.say("Held-out labels", 0, "no accuracy can be given")
        told.warn("No label lies on an evaluation prompt, so nothing will say whether the model generalises.")
        return
    half_width = 100 * 1.96 * 0.5 / math.sqrt(labels)
    known = f"an accuracy near 50 % is known to ±{half_width:.0f} points"
    told.say("Held-out labels", labels, known if half_width < 50 else "too few to know an accuracy by")
    if labels < FEW_EVALUATION_ROWS:
        told.warn(f"With {labels} held-out labels only large differences between models can be seen.")


def tell_rollouts(told: Plan, config: Mapping[str, Any], prompts: int, kind: str) -> None:
    told.say("Prompts", prompts, "of the train split")
    asked = number(config, "batch_size") if kind == Run.Kind.PPO else number(config, "prompts_per_step")
    rounds = number(config, "updates") if kind == Run.Kind.PPO else number(config, "steps")
    told.say("Responses in all", int(work(kind, config)))
    if kind == Run.Kind.PPO:
        minibatch = number(config, "minibatch_size") or 1
        told.say("Optimizer steps per update", int(number(config, "ppo_epochs") * asked / minibatch))
    if prompts:
        told.say("Passes over the prompts", rounds * asked / prompts)
    else:
        told.warn("There is no prompt in the train split, and this kind learns on no other.")
    if not config.get("kl_coef") and "kl_coef" in config:
        told.warn("Without a KL coefficient nothing holds the policy near its reference: it will exploit the reward.")


def tell_samples(
    told: Plan,
    config: Mapping[str, Any],
    prompts: int,
    queue: Queue | None,
    new_queue: NewQueue | None,
    models: int,
) -> None:
    each = models * responses_each(config)
    told.say("Prompts", prompts)
    told.say("Responses", prompts * each, f"{each} for each prompt")
    shown = queue.kind if queue else TaskKind.COMPARISON
    if (drafts := int(number(config, "best_of"))) > 1:
        told.say("Drafts", prompts * each * drafts, f"the best of {drafts} is kept, by the reward model")
    fewest = RESPONSES[shown][0]
    differ = " whose responses differ" if fewest > 1 else ""
    told.say(f"{TaskKind(shown).label}s", prompts if each >= fewest else 0, f"at most, one for each prompt{differ}")
    told.say("Goes to", queue.name if queue else (new_queue.name if new_queue and new_queue.name else "a new queue"))
    if each < fewest:
        told.warn(
            f"{'One response makes' if each == 1 else f'{each} responses make'} no {shown}, which shows {fewest} to a "
            "prompt: give more temperatures, or more responses for each."
        )


def prompt_count(project: Project, choice: PromptChoice | None, split: str | None) -> int:
    """Return how many prompts `choice` means, of one split only if given."""
    wanted = split or (choice.which if choice and choice.which in SPLITS else None)
    count = project.prompts.pool().filter(split__in=[wanted] if wanted else SAMPLED).count()
    return min(count, choice.count) if choice and choice.which == "random" else count


def includes_simulated(snapshot: Snapshot) -> bool:
    return any(one.get("simulated") for one in snapshot.manifest.get("annotators", ()))


def number(config: Mapping[str, Any], name: str) -> float:
    value = config.get(name)
    return value if isinstance(value, int | float) else 0


def responses_each(config: Mapping[str, Any]) -> int:
    """Return how many responses a model of a sample run writes to each prompt."""
    temperatures = config.get("temperatures")
    several = len(temperatures) if isinstance(temperatures, list | tuple) else 0
    return several * int(number(config, "responses_per_temperature"))


def rows_per_step(config: Mapping[str, Any]) -> int:
    return int(number(config, "batch_size") * (number(config, "gradient_accumulation") or 1))


# Time ------------------------------------------------------------------------------------------------


def expected_seconds(
    project: Project, kind: str, config: Mapping[str, Any], prompts: int, model: Checkpoint | None
) -> tuple[float | None, Run | None]:
    """Return how long the work would take at the pace of the project's last such run, and that run.

    It is of the same kind, on the same base as `model`. Pace is the time of a row or rollout in its last steps; of a
    run without steps, its whole time by response.
    """
    ended = project.runs.filter(kind=kind, state=Run.State.SUCCEEDED, started_at__isnull=False)
    recent = ended.select_related("policy", "reward")[:RECENT]
    base = stands_on(model)
    like = next((one for one in recent if stands_on(one.policy or one.reward) == base), None)
    if like is None or like.finished_at is None or like.started_at is None:
        return None, None
    if kind == Run.Kind.SAMPLE:
        done = float(Response.objects.filter(prompt__project=project, run_id=like.pk).count())
        wanted = work(kind, {**config, "steps": prompts})
    else:
        done, wanted = work(kind, like.config), work(kind, config)
    if not done or not wanted:
        return None, None
    pace = seconds_per_step(like)
    steps = number(like.config, "updates") or number(like.config, "steps")
    if pace is not None and steps:
        return pace * steps * wanted / done, like
    return (like.finished_at - like.started_at).total_seconds() * wanted / done, like


def stands_on(model: Checkpoint | None) -> Any:
    """Return the id of the base below `model`; None for no model."""
    return [model, *ancestors(model)][-1].pk if model else None


def work(kind: str, config: Mapping[str, Any]) -> float:
    if kind == Run.Kind.PPO:
        return number(config, "updates") * number(config, "batch_size")
    if kind in ONLINE:
        each = number(config, "responses_per_prompt") or PAIR
        return number(config, "steps") * number(config, "prompts_per_step") * each
    if kind == Run.Kind.SAMPLE:
        return number(config, "steps") * responses_each(config)
    return number(config, "steps") * rows_per_step(config)


# What is missing --------------------------------------------------------------------------------------


def lacking(project: Project, kind: str) -> list[str]:
    """Return what the project has to get before such a run can start: base, prompts, snapshot, reward, model or
    adapter."""
    checkpoints = project.checkpoints.all()
    found = []
    if kind not in (Run.Kind.EVALUATE, Run.Kind.SCORE, Run.Kind.MERGE) and not checkpoints.policies().exists():
        found.append("base")
    if (kind == Run.Kind.SAMPLE or kind in ONLINE) and not project.prompts.pool().exists():
        found.append("prompts")
    if kind in READS and not readable(project, kind):
        found.append("snapshot")
    if kind == Run.Kind.SCORE and not checkpoints.reward_models().exists():
        found.append("reward")
    if kind == Run.Kind.EVALUATE and not checkpoints.exclude(kind=Checkpoint.Kind.BASE).exists():
        found.append("model")
    if kind == Run.Kind.MERGE and not checkpoints.filter(kind=Checkpoint.Kind.POLICY, is_whole=False).exists():
        found.append("adapter")
    return found
