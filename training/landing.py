"""Bring what a child wrote into the database: metrics and responses while it runs, its outcome at the end.

Everything here may be done twice: a step is one row, a response has one origin, a run has one checkpoint. Every
transaction starts by renewing the lease, so a worker that has lost it lands nothing.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from feedback.filling import enqueue_prompt
from feedback.models import Project, Prompt, Response, Snapshot
from feedback.responses import add_response, storable
from training.base_models import is_adapter_directory, is_model_directory
from training.configs import is_finite
from training.leases import Lease, end_run, renew_lease, requeue_run, rest_run
from training.models import Checkpoint, Run, RunMetric
from training.rundir import Outcome, RunDirectory, directory_digest, finite, read_json

logger = logging.getLogger(__name__)

METRICS_AT_ONCE = 1000
SAMPLES_AT_ONCE = 64
"""Rows per transaction: few enough that nobody waits long for SQLite's one write lock."""

LEAVES: dict[str, str] = {
    "reward": Checkpoint.Kind.REWARD,
    **dict.fromkeys(("sft", "dpo", "kto", "ppo", "grpo", "rloo", "online_dpo", "merge"), Checkpoint.Kind.POLICY),
}
"""The kind of checkpoint that each kind of run leaves."""


class BadOutcome(Exception):
    """What the child left does not fit what it said; the message is for people."""


# Files that grow --------------------------------------------------------------------------------------


@dataclass
class Piece:
    """Some whole lines of a file, and where they end."""

    rows: list[dict[str, Any]]
    end: int
    inode: int
    is_new: bool
    """The file is not the one that was read before, or has been cut; `rows` start at its beginning."""


class Tail:
    """Reads a JSONL file while it grows, is replaced, or is not there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.inode = 0

    def next(self, limit: int) -> Piece:
        """Return the whole lines that follow, at most `limit`; the place is kept by `accept` only."""
        try:
            file = open(self.path, "rb")  # noqa: SIM115 (closed below)
        except FileNotFoundError:
            return Piece([], 0, 0, self.inode != 0)
        with file:
            stat = os.fstat(file.fileno())
            is_new = stat.st_ino != self.inode or stat.st_size < self.offset
            end = 0 if is_new else self.offset
            file.seek(end)
            rows: list[dict[str, Any]] = []
            while len(rows) < limit and (line := file.readline()).endswith(b"\n"):
                end += len(line)
                if line.strip():
                    row = parsed(line)
                    if row is None:
                        logger.warning("%s has an unreadable line before byte %d; passed over", self.path, end)
                    else:
                        rows.append(row)
            return Piece(rows, end, stat.st_ino, is_new)

    def accept(self, piece: Piece) -> None:
        self.offset, self.inode = piece.end, piece.inode


def parsed(line: bytes) -> dict[str, Any] | None:
    """Return the object in a line; None where there is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def keepable(value: Any) -> Any:
    """Return plain JSON values as every database keeps them: no NaN, no infinity, no NUL."""
    if isinstance(value, dict):
        return {storable(str(name)): keepable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [keepable(one) for one in value]
    return storable(value) if isinstance(value, str) else finite(value)


# While the run runs -----------------------------------------------------------------------------------


def land_metrics(lease: Lease, tail: Tail) -> int:
    """Copy new lines of metrics.jsonl to the run's metrics; returns how many. Raises LeaseLost.

    A child that resumes rewrites the file without the steps after its checkpoint; those are dropped here, too, until
    it takes them again.
    """
    landed = 0
    while True:
        piece = tail.next(METRICS_AT_ONCE)
        if not piece.rows and not piece.is_new:
            return landed
        by_step = {row["step"]: row for row in piece.rows if is_step(row.get("step"))}
        with transaction.atomic():
            renew_lease(lease)
            if piece.is_new:
                last = last_step(tail.path)
                RunMetric.objects.filter(run_id=lease.pk, step__gt=last).delete()
            RunMetric.objects.bulk_create(
                [
                    RunMetric(
                        run_id=lease.pk,
                        step=step,
                        values=figures_of(row),
                    )
                    for step, row in by_step.items()
                ],
                update_conflicts=True,
                unique_fields=["run", "step"],
                update_fields=["values"],
            )
        tail.accept(piece)
        landed += len(piece.rows)


def is_step(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def figures_of(row: dict[str, Any]) -> dict[str, float | None]:
    """Return the numbers of a step's row; what is no number is no metric."""
    return {
        storable(name): finite(value)
        for name, value in row.items()
        if name != "step" and (value is None or is_finite(value) or isinstance(value, float))
    }


def last_step(path: Path) -> int:
    """Return the highest step in the file; -1 when it holds none."""
    tail, last = Tail(path), -1
    while (piece := tail.next(METRICS_AT_ONCE)).rows:
        last = max([last, *(row["step"] for row in piece.rows if is_step(row.get("step")))])
        tail.accept(piece)
    return last


def land_findings(lease: Lease, directory: RunDirectory, known: dict[str, Any]) -> dict[str, Any]:
    """Copy what the child found before its first step, preflight and environment, where it is not what is `known`.

    Returns what is known now. Raises LeaseLost.
    """
    found = {name: read_finding(path) for name, path in findings_of(directory).items()}
    new = {name: value for name, value in found.items() if value is not None and value != known.get(name)}
    if new:
        lease.write(**new)
    return {**known, **new}


def read_finding(path: Path) -> dict[str, Any] | None:
    """Return what is in the file; None where there is none, or none that can be read: a run does not fail for that."""
    try:
        found = read_json(path)
    except (ValueError, RecursionError):
        logger.warning("%s cannot be read; passed over", path)
        return None
    return keepable(found) if isinstance(found, dict) else None


def findings_of(directory: RunDirectory) -> dict[str, Path]:
    """Return the files that become fields of the run, each by the field's name."""
    return {"preflight": directory.preflight_path, "environment": directory.environment_path}


def land_samples(run: Run, lease: Lease, tail: Tail) -> int:
    """Store new lines of samples.jsonl as responses, and queue each prompt whose set is whole. Raises LeaseLost.

    Returns how many lines were read.
    """
    landed = 0
    while True:
        piece = tail.next(SAMPLES_AT_ONCE)
        if not piece.rows:
            return landed
        wanted = {row["prompt_id"] for row in piece.rows}
        prompts = {str(prompt.pk): prompt for prompt in Prompt.objects.filter(project=run.project, pk__in=wanted)}
        models = [run.policy, *run.further_models]
        with transaction.atomic():
            renew_lease(lease)
            for row in piece.rows:
                if (prompt := prompts.get(row["prompt_id"])) is not None:  # else its import was undone meanwhile
                    land_response(run, prompt, row, models[row.get("model", 0)])
            for prompt in prompts.values():
                queue_whole_set(run, prompt, len(models))
        tail.accept(piece)
        landed += len(piece.rows)


def land_response(run: Run, prompt: Prompt, row: dict[str, Any], model: Checkpoint | None) -> Response:
    how = ("index", "temperature", "top_p", "max_new_tokens", "seed", "finished", "best_of", "score")
    return add_response(
        prompt=prompt,
        text=row["text"],
        origin=f"{run.pk}:{row['index']}",
        model_name=model.name if model else "",
        checkpoint_id=model.pk if model else None,
        run_id=run.pk,
        sampling={name: row[name] for name in how if name in row},
    )


def queue_whole_set(run: Run, prompt: Prompt, models: int) -> None:
    """Put a pair of the run's responses to `prompt` into its queue once those of all its models are there."""
    wanted = models * len(run.config["temperatures"]) * run.config["responses_per_temperature"]
    responses = list(Response.objects.filter(prompt=prompt, run_id=run.pk))
    if run.queue is not None and len(responses) == wanted:
        enqueue_prompt(queue=run.queue, prompt=prompt, responses=responses)


# When it has ended ------------------------------------------------------------------------------------


def read_outcome(directory: RunDirectory) -> Outcome | None:
    """Return what the child said at its end; None when it has not ended by itself. Raises BadOutcome."""
    try:
        outcome = directory.outcome()
    except (ValueError, TypeError) as error:
        raise BadOutcome(f"{directory.outcome_path} is not an outcome: {error}") from error
    known = (Run.State.SUCCEEDED, Run.State.CANCELLED, Run.State.PAUSED, Run.State.FAILED)
    if outcome is not None and outcome.status not in known:
        raise BadOutcome(
            f"{directory.outcome_path} has status {outcome.status!r}; one of {', '.join(known)} is expected"
        )
    return None if outcome is None else dataclasses.replace(outcome, evaluation=keepable(outcome.evaluation))


def outcome_of_killed(directory: RunDirectory) -> Outcome:
    """Return the outcome of a cancelled run whose child had to be killed: with a model if it had published one."""
    published = read_finding(directory.model_path / "checkpoint.json")
    if published is None:
        return Outcome(status=Run.State.CANCELLED)
    return Outcome(
        status=Run.State.CANCELLED,
        step=published.get("step", 0),
        model_sha256=directory_digest(directory.model_path),
        template_digest=published.get("template_digest", ""),
    )


def land_outcome(run: Run, lease: Lease, outcome: Outcome) -> Checkpoint | None:
    """End the run and, if it left a model, make its checkpoint, in one transaction. Raises LeaseLost or BadOutcome.

    A run that has paused is not over: it only rests, or goes to a worker again if it was cancelled meanwhile. One that
    failed may leave what its last good checkpoint had learned.
    """
    if outcome.status == Run.State.PAUSED:
        if not rest_run(lease):
            RunDirectory(run.directory).forget_ending()
            requeue_run(lease)
        return None
    error = RunDirectory(run.directory).error() if outcome.status == Run.State.FAILED else ""
    leaves_model = run.kind in LEAVES and bool(outcome.model_sha256)
    if run.kind in LEAVES and outcome.status == Run.State.SUCCEEDED and not leaves_model:
        raise BadOutcome("the trainer says that it succeeded, but it left no model")
    if leaves_model:
        check_model(RunDirectory(run.directory), outcome)
    with transaction.atomic():
        end_run(lease, state=outcome.status, error=error, outcome=dataclasses.asdict(outcome))
        return make_checkpoint(run, outcome) if leaves_model else None


def check_model(directory: RunDirectory, outcome: Outcome) -> None:
    if not is_adapter_directory(directory.model_path) and not is_model_directory(directory.model_path):
        raise BadOutcome(
            f"the trainer's model is gone: {directory.model_path} has neither adapter_config.json nor config.json"
        )
    found = directory_digest(directory.model_path)
    if found != outcome.model_sha256:
        raise BadOutcome(
            f"{directory.model_path} has sha256 {found}, not {outcome.model_sha256} as when it was written"
        )


def make_checkpoint(run: Run, outcome: Outcome) -> Checkpoint:
    """Make the run's checkpoint, named by kind and number; a second call returns the first one's."""
    project = Project.objects.select_for_update().get(pk=run.project_id)  # one namer at a time
    known = Checkpoint.objects.filter(run=run).first()
    if known is not None:
        return known
    return Checkpoint.objects.create(
        project=project,
        name=next_checkpoint_name(project, run.kind),
        kind=LEAVES[run.kind],
        parent=run.policy,
        run=run,
        snapshot=learned_from(run),
        is_whole=not is_adapter_directory(run.directory / "model"),
        path=(run.directory / "model").relative_to(settings.DATA_DIR).as_posix(),
        sha256=outcome.model_sha256,
        template_digest=outcome.template_digest,
        step=outcome.step,
        evaluation=outcome.evaluation,
    )


def learned_from(run: Run) -> Snapshot | None:
    """Return the human feedback that the run's model learned from; a merge learns nothing new."""
    if run.snapshot is not None:
        return run.snapshot
    source = run.policy if run.kind == Run.Kind.MERGE else run.reward
    return source.snapshot if source else None


def next_checkpoint_name(project: Project, kind: str) -> str:
    """Return "dpo-3" for the third; a number is never given twice."""
    names = Checkpoint.objects.filter(project=project, name__startswith=f"{kind}-").values_list("name", flat=True)
    said = [name.removeprefix(f"{kind}-") for name in names]
    numbers = [int(text) for text in said if text.isdecimal() and len(text) < 10]
    return f"{kind}-{max(numbers, default=0) + 1}"
