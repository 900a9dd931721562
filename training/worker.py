"""Carry out runs: claim one, start its child, land what it writes, record how it ended.

What the worker holds in memory can be lost at any time: the run directory and the database say all that another worker
needs to go on.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from django.conf import settings
from django.db import connection

from feedback.alive import DATABASE_AWAY, TakesInTurn
from feedback.models import Worker
from feedback.row_leases import Heartbeat
from training.capabilities import CLUSTERS, Capabilities, own_capabilities
from training.child import Child, DirectoryBusy, start_child
from training.configs import BadConfig
from training.landing import (
    BadOutcome,
    Tail,
    findings_of,
    land_findings,
    land_metrics,
    land_outcome,
    land_samples,
    outcome_of_killed,
    read_finding,
    read_outcome,
)
from training.launchers import child_environment, launch_argv
from training.leases import Lease, LeaseLost, claim_run, end_run, lease_of, requeue_run, rest_run
from training.lineage import CheckpointGone
from training.models import Run
from training.run_inputs import write_inputs
from training.rundir import BadRunDirectory, Outcome, RunDirectory, RunSpec
from training.scoring import land_scores

logger = logging.getLogger(__name__)

LOG_LINES = 15
LOOK_SECONDS = 0.2
"""How soon what a child has written is brought into the database: pages ask every two seconds, and shall show the step
before."""
STOP_BY_THEMSELVES = (
    Run.Kind.SFT,
    Run.Kind.REWARD,
    Run.Kind.DPO,
    Run.Kind.KTO,
    Run.Kind.PPO,
    Run.Kind.GRPO,
    Run.Kind.RLOO,
    Run.Kind.ONLINE_DPO,
)
"""Kinds whose trainer saves a checkpoint when it is asked to pause; the others' children are ended, and what they have
written stays."""
NO_TORCH = "The worker's machine has no torch; install Concord there with its extra `train`."


class RunWorker(TakesInTurn[Run]):
    work_of = Worker.Work.RUNS
    called = "worker"

    def __init__(
        self,
        *,
        name: str = "",
        poll: float = 1.0,
        cancel_grace: float = 60.0,
        capabilities: Capabilities | None = None,
        launcher: Callable[[RunDirectory], list[str]] = launch_argv,
    ) -> None:
        """`poll` is in seconds. `capabilities` are the machine's own unless they are given. A child that was asked to
        stop may be silent for `cancel_grace` seconds, or three times its longest silence so far, before it is killed.
        """
        self.capabilities = capabilities or own_capabilities()
        super().__init__(name=name, poll=poll, has=self.capabilities.as_values())
        self.cancel_grace = cancel_grace
        self.launcher = launcher

    def claim(self) -> Run | None:
        return claim_run(worker=self.name, capabilities=self.capabilities)

    # One run --------------------------------------------------------------------------------------

    def carry_out(self, run: Run) -> None:
        """Bring a claimed run to its end, or give it back. Never raises LeaseLost: then the run is another worker's."""
        lease = lease_of(run)
        logger.info("run %s (%s): attempt %d", run.pk, run.kind, run.attempt)
        heartbeat = Heartbeat(lease)
        heartbeat.start()
        try:
            Attempt(self, run, lease, heartbeat).carry_out()
        except LeaseLost as error:
            logger.warning("%s; nothing more is written", error)
        except DATABASE_AWAY:
            raise
        except (BadOutcome, BadRunDirectory, CheckpointGone) as error:
            self.fail(lease, str(error))
        except BadConfig as error:
            self.fail(lease, f"Its settings are no longer known here: {error}. Start one like it with others.")
        except OSError as error:
            self.fail(lease, f"The run directory cannot be used: {error}. {disk_space()}")
        except Exception as error:  # whatever goes wrong in one run, the worker goes on and people are told
            logger.exception("run %s (%s) cannot be carried out", run.pk, run.kind)
            self.fail(
                lease,
                f"Something went wrong that nobody foresaw ({type(error).__name__}: {error}); the worker's log has the "
                "details. A retry goes on from the last checkpoint.",
            )
        finally:
            heartbeat.stop()

    def fail(self, lease: Lease, message: str) -> None:
        logger.error("run %s failed: %s", lease.pk, message)
        try:
            end_run(lease, state=Run.State.FAILED, error=message)
        except LeaseLost as error:
            logger.warning("%s; nothing more is written", error)


class Attempt:
    """One worker's attempt at one run."""

    def __init__(self, worker: RunWorker, run: Run, lease: Lease, heartbeat: Heartbeat) -> None:
        self.worker = worker
        self.run = run
        self.lease = lease
        self.heartbeat = heartbeat
        self.directory = RunDirectory(run.directory)
        self.metrics = Tail(self.directory.metrics_path)
        self.samples = Tail(self.directory.samples_path)
        self.scores = Tail(self.directory.scores_path)
        self.progress = run.progress
        self.findings = {"preflight": run.preflight, "environment": run.environment}
        self.findings_seen: list[tuple[int, int, int]] = []
        self.finds = list(findings_of(self.directory).values())
        self.lands = [
            *(self.directory.progress_path, self.metrics.path, self.samples.path, self.scores.path),
            *(*self.finds, self.directory.outcome_path, self.directory.error_path),
        ]
        self.silence = Silence(self.directory)
        self.overdue = False

    def carry_out(self) -> None:
        if self.has_ended() or (self.cancel_requested() and not self.directory.checkpoints_path.is_dir()):
            # The worker before recorded nothing of it, or there is nothing yet that a stop could keep.
            self.land_until_written()
            self.conclude()
            return
        if self.requests() == {"pause"} and rest_run(self.lease):
            return  # the worker before gave the run back, or is gone: nothing is left to stop
        if self.run.crashes >= settings.RUN_MAX_ATTEMPTS:
            self.give_up(self.run.crashes, "the last time its worker vanished")
            return
        if self.run.launch.get("launcher") not in CLUSTERS and importlib.util.find_spec("torch") is None:
            end_run(self.lease, state=Run.State.FAILED, error=NO_TORCH)
            return
        spec = write_inputs(self.run)
        try:
            child = self.start(spec)
        except DirectoryBusy as error:
            requeue_run(self.lease, crash=str(error))
            return
        try:
            self.watch(child)
        finally:
            child.kill()
        if self.worker.stopping.is_set() and not self.has_ended() and not self.overdue:
            requeue_run(self.lease)
            logger.info("run %s is given back; another worker resumes it", self.run.pk)
        else:
            self.conclude(child.ending())

    def start(self, spec: RunSpec) -> Child:
        source = spec.policy or spec.reward
        environment = child_environment(self.directory, source.base if source else "")
        if spec.waits_after_preflight and not self.run.waits_after_preflight:
            self.directory.preflight_seen_path.touch()
        self.pass_requests_on()
        return start_child(self.directory, self.worker.launcher(self.directory), environment, settings.BASE_DIR)

    def watch(self, child: Child) -> None:
        """Land what the child writes until it ends, has to be ended, or the worker is to stop. Raises LeaseLost."""
        while True:
            ended = child.ended()
            signs = signs_of(self.lands)
            written = self.land()
            if (ended and written) or (self.worker.stopping.is_set() and not ended):
                return
            silent = self.silence.now()
            if not ended and self.pass_requests_on() and self.stop_is_overdue(silent):
                logger.warning("run %s does not stop; its child is killed", self.run.pk)
                self.overdue = True
                child.kill()
                continue
            if ended:
                self.worker.stopping.wait(0.1)
            else:
                self.rest(child, signs)

    def rest(self, child: Child, signs: list[tuple[int, int, int]]) -> None:
        """Wait until the child has ended or written more than `signs` say, at most a poll long."""
        until = time.monotonic() + self.worker.poll
        while not self.worker.stopping.wait(min(LOOK_SECONDS, self.worker.poll)):
            if time.monotonic() >= until or signs_of(self.lands) != signs or child.ended():
                return

    def land(self) -> bool:
        """Bring everything new into the database; False when it cannot be reached now. Raises LeaseLost."""
        if self.heartbeat.lost.is_set():
            raise LeaseLost(f"run {self.run.pk} was taken by another worker")
        try:
            self.worker.alive.give()
            land_metrics(self.lease, self.metrics)
            if (seen := signs_of(self.finds)) != self.findings_seen:
                self.findings = land_findings(self.lease, self.directory, self.findings)
                self.findings_seen = seen
            if self.run.kind == Run.Kind.SAMPLE:
                land_samples(self.run, self.lease, self.samples)
            if self.run.kind == Run.Kind.SCORE:
                land_scores(self.run, self.lease, self.scores)
            progress = read_finding(self.directory.progress_path) or self.progress
            if progress != self.progress:
                if not self.lease.rows().update(progress=progress):
                    raise LeaseLost(f"run {self.run.pk} was taken by another worker")
                self.progress = progress
        except DATABASE_AWAY as error:
            logger.warning("run %s: the database cannot be reached or is busy: %s", self.run.pk, error)
            connection.close()
            return False
        return True

    def land_until_written(self) -> None:
        while not self.land():
            self.worker.stopping.wait(self.worker.poll)

    def cancel_requested(self) -> bool:
        return "cancel" in self.requests()

    def requests(self) -> set[str]:
        """Return what people have asked of the run: "cancel", "pause", both or nothing."""
        try:
            asked = Run.objects.filter(pk=self.run.pk).values("cancel_requested_at", "pause_requested_at").get()
        except DATABASE_AWAY:
            connection.close()
            return set()
        return {name.removesuffix("_requested_at") for name, when in asked.items() if when is not None}

    def pass_requests_on(self) -> bool:
        """Tell the child what people have asked of the run; say whether that is to stop, for good or for a while."""
        asked = self.requests()
        if "cancel" in asked and not self.directory.cancel_requested():
            self.directory.request_cancel()
        if "pause" in asked and not self.directory.pause_requested():
            self.directory.request_pause()
        return bool(asked)

    def stop_is_overdue(self, silent: float) -> bool:
        """Tell whether a child that was asked to stop is to be killed, because it is silent or knows of no pause."""
        if not self.directory.cancel_requested() and self.run.kind not in STOP_BY_THEMSELVES:
            return True
        paths = [self.directory.cancel_path, self.directory.pause_path]
        asked = time.time() - min(path.stat().st_mtime for path in paths if path.exists())
        return min(asked, silent) > max(self.worker.cancel_grace, 3 * self.silence.longest)

    def has_ended(self) -> bool:
        """Say whether a child has ended by itself and said how."""
        return self.directory.outcome_path.exists() or bool(self.directory.error())

    # The end --------------------------------------------------------------------------------------

    def conclude(self, ending: str = "") -> None:
        """Record what came of the run, or put it back after a crash. Raises LeaseLost or BadOutcome."""
        outcome = read_outcome(self.directory)
        if outcome is None and not self.directory.error():
            asked = self.requests()
            if "cancel" in asked:
                outcome = outcome_of_killed(self.directory)
            elif "pause" in asked and self.overdue:
                outcome = Outcome(Run.State.PAUSED)
        if outcome is not None:
            self.lease.renew()  # so that nobody else works in the directory yet
            shutil.rmtree(self.directory.datasets_cache, ignore_errors=True)
            checkpoint = land_outcome(self.run, self.lease, outcome)
            logger.info("run %s %s%s", self.run.pk, outcome.status, f", left {checkpoint}" if checkpoint else "")
        elif self.directory.error():
            end_run(self.lease, state=Run.State.FAILED, error=self.directory.error())
            logger.error("run %s failed: %s", self.run.pk, self.directory.error())
        elif self.run.crashes + 1 >= settings.RUN_MAX_ATTEMPTS:
            self.give_up(self.run.crashes + 1, f"the last time the trainer {ending}")
        else:
            logger.warning("run %s: the trainer %s; it will be resumed", self.run.pk, ending)
            requeue_run(self.lease, crash=f"Attempt {self.run.attempt}: the trainer {ending}. It will be resumed.")

    def give_up(self, crashes: int, reason: str) -> None:
        message = f"Given up after {crashes} attempts that ended without saying why; {reason}. {disk_space()}".strip()
        if (kept := self.directory.kept_step()) is not None:
            message += f" The checkpoint of step {kept} is kept: a retry goes on from there."
        end_run(
            self.lease,
            state=Run.State.FAILED,
            error=f"{message}\n{log_tail(self.directory)}".strip(),
            crashed=crashes > self.run.crashes,
        )
        logger.error("run %s: %s", self.run.pk, message)


class Silence:
    """How long a child has written nothing, and the longest that it did so before."""

    def __init__(self, directory: RunDirectory) -> None:
        self.paths = (
            directory.progress_path,
            directory.metrics_path,
            directory.samples_path,
            directory.scores_path,
            directory.log_path,
            directory.checkpoints_path,
        )
        self.last = time.time()
        self.longest = 0.0

    def now(self) -> float:
        """Return the seconds since the last sign of life; called at every poll."""
        newest = max((path.stat().st_mtime for path in self.paths if path.exists()), default=0.0)
        if newest > self.last:
            self.longest = max(self.longest, newest - self.last)
            self.last = newest
        return time.time() - self.last


def signs_of(paths: Iterable[Path]) -> list[tuple[int, int, int]]:
    """Return what changes when one of the files is written or replaced, of each that is there."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return found


def disk_space() -> str:
    """Say how much room is left, if it is little."""
    try:
        free = shutil.disk_usage(settings.DATA_DIR).free
    except OSError:
        return ""
    return f"Only {free // 2**20} MB are free in {settings.DATA_DIR}." if free < 256 * 2**20 else ""


def log_tail(directory: RunDirectory) -> str:
    try:
        lines = directory.log_path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(["Its log ends with:", *lines[-LOG_LINES:]]) if lines else ""
