"""Where a checkpoint comes from and what came of it, in both directions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.db.models import Q

from feedback.models import Queue, Response, Snapshot
from training.base_models import has_weights, is_adapter_directory, is_model_directory, resolve_path
from training.models import Checkpoint, Run
from training.rundir import ModelSource, directory_digest, read_json


class CheckpointGone(Exception):
    """A checkpoint's files, or those of one it builds on, are not where they were left."""


@dataclass(frozen=True)
class Lineage:
    ancestors: list[Checkpoint]
    """The checkpoint's parent first, the base model last; empty for a base model."""
    runs: list[Run]
    """The runs that made the checkpoint and its ancestors, the latest first."""
    snapshot: Snapshot | None
    """The human feedback it learned from."""
    judgments: int
    """How many judgments that snapshot holds."""


@dataclass(frozen=True)
class WhereUsed:
    children: list[Checkpoint]
    """Checkpoints whose training started from this one."""
    runs: list[Run]
    """Runs that train, sample, evaluate or are scored by it, the latest first."""
    queues: list[Queue]
    """Queues that its responses went to."""


def ancestors(checkpoint: Checkpoint) -> list[Checkpoint]:
    """Return the parent, its parent and so on; the base model is last."""
    found: list[Checkpoint] = []
    current = checkpoint
    while current.parent_id is not None:
        current = Checkpoint.objects.select_related("run__reward", "snapshot").get(pk=current.parent_id)
        found.append(current)
    return found


def lineage(checkpoint: Checkpoint) -> Lineage:
    above = ancestors(checkpoint)
    snapshot = checkpoint.snapshot
    return Lineage(
        ancestors=above,
        runs=[one.run for one in [checkpoint, *above] if one.run is not None],
        snapshot=snapshot,
        judgments=snapshot.judgment_count if snapshot else 0,
    )


def where_used(checkpoint: Checkpoint) -> WhereUsed:
    used = Q(policy=checkpoint) | Q(reward=checkpoint) | Q(others=checkpoint)
    wrote = Q(sample_runs__policy=checkpoint) | Q(sample_runs__others=checkpoint)
    runs = Run.objects.filter(used).select_related("queue").distinct()
    return WhereUsed(
        children=list(checkpoint.children.all()),
        runs=list(runs),
        queues=list(Queue.objects.filter(wrote).distinct()),
    )


def weights(checkpoint: Checkpoint) -> tuple[Checkpoint, list[Checkpoint]]:
    """Return the whole model whose weights `checkpoint` uses, and the adapters on it that make it up, oldest first.

    The whole model is `checkpoint` itself, or the nearest below it that is whole.
    """
    adapters: list[Checkpoint] = []
    for one in (checkpoint, *ancestors(checkpoint)):
        if one.is_whole or one.parent_id is None:
            break
        adapters.append(one)
    return one, adapters[::-1]


def model_source(checkpoint: Checkpoint) -> ModelSource:
    """Return where the weights of `checkpoint` lie; raises CheckpointGone."""
    whole, above = weights(checkpoint)
    for one in (whole, *above):
        if one.files_deleted_at is not None:
            raise CheckpointGone(f"the files of checkpoint {one.name} were deleted on {one.files_deleted_at:%d %B %Y}")
    base = resolve_path(whole.path)
    if isinstance(base, Path) and not is_model_directory(base):
        called = "the base model" if whole.kind == Checkpoint.Kind.BASE else "the whole model"
        raise CheckpointGone(f"{called} {whole.name} is gone: {base} has no config.json")
    if isinstance(base, Path) and not has_weights(base):
        raise CheckpointGone(f"the weights of {whole.name} are gone: {base} has no .safetensors file")
    adapters: list[str] = []
    for trained in above:
        place = Path(resolve_path(trained.path))
        if not is_adapter_directory(place):
            raise CheckpointGone(f"the files of checkpoint {trained.name} are gone: {place} has no adapter_config.json")
        if not has_weights(place):
            raise CheckpointGone(f"the weights of checkpoint {trained.name} are gone: {place} has no .safetensors file")
        adapters.append(str(place))
    return ModelSource(str(base), tuple(adapters))


def check_digests(checkpoint: Checkpoint) -> None:
    """Raise CheckpointGone where the weights of `checkpoint` are not those that were recorded when it was made."""
    whole, above = weights(checkpoint)
    for one in (whole, *above):
        place = resolve_path(one.path)
        if one.sha256 and isinstance(place, Path) and directory_digest(place) != one.sha256:
            raise CheckpointGone(
                f"the files of checkpoint {one.name} in {place} are not those that were recorded: their sha256 differs "
                "from the one on its page. Restore them from a backup"
            )


def hold(checkpoints: Iterable[Checkpoint | None]) -> None:
    """Keep the files of `checkpoints` from being deleted until the transaction ends; each says then whether they were.

    Call it before `model_source` where something is stored that needs the files, for which a deletion then looks.
    """
    wanted = {one.pk: one for one in checkpoints if one is not None}
    stored = Checkpoint.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    for pk, deleted_at in stored.values_list("pk", "files_deleted_at"):
        wanted[pk].files_deleted_at = deleted_at


def is_tuned_prompt(checkpoint: Checkpoint) -> bool:
    """Tell whether `checkpoint` is virtual tokens before a model, which nothing can be trained on top of or merged."""
    if checkpoint.is_whole:
        return False
    config = read_json(Path(resolve_path(checkpoint.path)) / "adapter_config.json") or {}
    return config.get("peft_type") == "PROMPT_TUNING"


@dataclass(frozen=True)
class Learned:
    """What learned from some snapshots, in whatever way, the latest first."""

    runs: list[Run]
    """Runs that read one of the snapshots, or a model that had learned from one."""
    checkpoints: list[tuple[Checkpoint, str]]
    """With how it learned: from the snapshot itself, from a reward model, or from the model that it started from."""
    responses: int
    """Responses that such a model has written."""


def learned_from(snapshots: Iterable[Snapshot]) -> Learned:
    """Follow the snapshots' rows through runs and checkpoints to everything that descends from them.

    A policy descends from the model that it started from and, trained by PPO, from its reward model.
    """
    read = {snapshot.pk for snapshot in snapshots}
    runs = list(Run.objects.filter(project__snapshots__in=read).select_related("checkpoint").distinct()) if read else []
    how: dict[Checkpoint, str] = {}
    touched: set[Run] = {run for run in runs if run.snapshot_id in read}
    for found in Checkpoint.objects.filter(snapshot__in=read):
        how[found] = "trained on the snapshot"
    while True:
        before = len(how) + len(touched)
        known = {checkpoint.pk for checkpoint in how}
        answered = set(Run.others.through.objects.filter(checkpoint_id__in=known).values_list("run_id", flat=True))
        for run in runs:
            by_reward, by_policy = run.reward_id in known, run.policy_id in known
            if by_reward or by_policy or run.pk in answered or run in touched:
                touched.add(run)
                made = getattr(run, "checkpoint", None)
                if made is not None and made not in how:
                    direct = run.snapshot_id in read
                    how[made] = (
                        "trained on the snapshot" if direct
                        else "trained against such a reward model" if by_reward
                        else "started from such a model"
                    )  # fmt: skip
        for child in Checkpoint.objects.filter(parent__in=known):
            how.setdefault(child, "started from such a model")
        if len(how) + len(touched) == before:
            break
    latest = sorted(how.items(), key=lambda one: one[0].pk, reverse=True)
    return Learned(
        runs=sorted(touched, key=lambda run: run.pk, reverse=True),
        checkpoints=latest,
        responses=Response.objects.filter(checkpoint_id__in=[checkpoint.pk for checkpoint in how]).count(),
    )
