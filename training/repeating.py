"""Run a run again, to see whether the same comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from feedback.models import User
from training.models import Checkpoint, Run
from training.rundir import RunDirectory, read_lines
from training.runs import RunRefused, start_run
from training.starting import SWEPT

REPEATED = (*SWEPT, Run.Kind.EVALUATE, Run.Kind.MERGE)
"""Kinds of which something comes that can be held against what came the first time."""


@transaction.atomic
def repeat_run(*, run: Run, created_by: User) -> Run:
    """Queue a run with the inputs, settings, seed and prompts of `run`. Raises RunRefused or BadConfig, and then
    nothing is queued."""
    if run.kind not in REPEATED:
        raise RunRefused(
            "repeats", f"a run of kind {run.get_kind_display()!r} leaves nothing to compare; start another like it"
        )
    if run.state != Run.State.SUCCEEDED:
        raise RunRefused(
            "repeats",
            f"{run} has not succeeded ({run.get_state_display().lower()}), so there is nothing to compare with; "
            "start another like it",
        )
    return start_run(
        project=run.project,
        kind=run.kind,
        config=run.config,
        created_by=created_by,
        name=f"{run.name[:190]}, again",
        policy=run.policy,
        reward=run.reward,
        snapshot=run.snapshot,
        queue=run.queue,
        others=run.further_models,
        prompt_ids=prompts_of(run),
        launch=run.launch,
        needs=run.needs,
        repeats=run,
    )


def prompts_of(run: Run) -> list[str]:
    """Return the ids of the prompts that `run` had: those of then, where it took all that there were."""
    if run.prompt_ids:
        return list(run.prompt_ids)
    return [row["prompt_id"] for row in read_lines(RunDirectory(run.directory).prompts_path)]


@dataclass(frozen=True)
class Sameness:
    """What came of a run beside what came of the one that it repeats."""

    first: Run
    second: Run
    is_same: bool | None
    """None while one of the two has nothing to compare."""
    what: str
    """What was compared: "sha256" of the model, or "figures"."""
    differing: list[tuple[str, Any, Any]]
    """What the environments say differently: (name, the first's, the second's)."""


def samenesses(run: Run) -> list[Sameness]:
    """Return how `run` compares with the one that it repeats, and with those that repeat it."""
    pairs = [(run.repeats, run)] if run.repeats is not None else []
    pairs += [(run, other) for other in run.repetitions.select_related("checkpoint")]
    return [sameness(first, second) for first, second in pairs]


def sameness(first: Run, second: Run) -> Sameness:
    models = [digest(one) for one in (first, second)]
    figures = [one.outcome.get("evaluation") for one in (first, second)]
    compared = models if any(models) else figures
    is_same = compared[0] == compared[1] if all(compared) and not second.is_unfinished else None
    differing = environment_differences(first.environment, second.environment)
    return Sameness(first, second, is_same, "sha256" if any(models) else "figures", differing)


def digest(run: Run) -> str:
    checkpoint: Checkpoint | None = getattr(run, "checkpoint", None)
    return checkpoint.sha256 if checkpoint is not None else ""


def environment_differences(first: dict[str, Any], second: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return what is not the same in the two environments; nothing while one of them is not known."""
    if not first or not second:
        return []
    names = sorted({*first, *second})
    return [(name, first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)]
