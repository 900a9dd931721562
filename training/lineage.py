"""Where a checkpoint comes from and what came of it, in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.db.models import Q

from feedback.models import Queue, Snapshot
from training.base_models import is_model_directory, resolve_path
from training.models import Checkpoint, Run
from training.rundir import ModelSource


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
        current = Checkpoint.objects.select_related("run", "snapshot").get(pk=current.parent_id)
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
    runs = Run.objects.filter(Q(policy=checkpoint) | Q(reward=checkpoint)).select_related("queue")
    return WhereUsed(
        children=list(checkpoint.children.all()),
        runs=list(runs),
        queues=list(Queue.objects.filter(sample_runs__policy=checkpoint).distinct()),
    )


def model_source(checkpoint: Checkpoint) -> ModelSource:
    """Return the base model and the adapters, oldest first, that make up `checkpoint`; raises CheckpointGone."""
    chain = [checkpoint, *ancestors(checkpoint)]
    base = resolve_path(chain[-1].path)
    if isinstance(base, Path) and not is_model_directory(base):
        raise CheckpointGone(f"the base model {chain[-1].name} is gone: {base} has no config.json")
    adapters: list[str] = []
    for trained in reversed(chain[:-1]):
        place = resolve_path(trained.path)
        if not (Path(place) / "adapter_config.json").is_file():
            raise CheckpointGone(f"the files of checkpoint {trained.name} are gone: {place} has no adapter_config.json")
        adapters.append(str(place))
    return ModelSource(str(base), tuple(adapters))
