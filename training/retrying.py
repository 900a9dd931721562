"""Try a failed run again, from its last good checkpoint."""

from __future__ import annotations

from django.db import transaction

from feedback.audit import record
from feedback.models import User
from training.lineage import CheckpointGone, hold, model_source
from training.models import Checkpoint, Run
from training.rundir import RunDirectory
from training.stopping import state_in_words


class NoRetry(Exception):
    """The run did not fail, it left a checkpoint, which a second end would contradict, or what it reads is gone."""


@transaction.atomic
def retry_run(*, run: Run, by: User | None = None) -> Run:
    """Queue a failed run again, as one that has never crashed; it goes on after its last good checkpoint.

    Raises NoRetry for a run that did not fail, for one that left a checkpoint, and for one that could only fail again
    because its models or its snapshot are gone.
    """
    failed = Run.objects.filter(pk=run.pk, state=Run.State.FAILED, checkpoint__isnull=True)
    if not failed.update(
        state=Run.State.QUEUED,
        finished_at=None,
        crashes=0,
        outcome={},
        error="",
        cancel_requested_at=None,
        pause_requested_at=None,
    ):
        if Checkpoint.objects.filter(run=run).exists():
            raise NoRetry(f"{run} left a checkpoint; start a new run from that, or one like it with other settings")
        raise NoRetry(f"{run} has not failed: {state_in_words(run)}")
    again = Run.objects.select_related("policy", "reward", "snapshot").get(pk=run.pk)
    check_inputs_are_there(again)
    RunDirectory(run.directory).forget_ending()
    record(project=run.project, actor=by, action="run.retry", subject=run)
    return again


def check_inputs_are_there(run: Run) -> None:
    """Refuse a run whose inputs were deleted while it did not need them. Raises NoRetry."""
    if run.snapshot is not None and run.snapshot.withdrawn_at is not None:
        raise NoRetry(f"{run} learned from the snapshot {run.snapshot}, which was withdrawn; start one on another")
    models = [one for one in (run.policy, run.reward, *run.further_models) if one is not None]
    hold(models)
    for one in models:
        try:
            model_source(one)
        except CheckpointGone as error:
            raise NoRetry(f"{run} cannot go on: {error}; start one from another checkpoint") from error
