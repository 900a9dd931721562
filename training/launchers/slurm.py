"""Carry a run out as a Slurm job, by submitit: `python -m training.launchers.slurm RUN_DIR`.

SLURM_PARAMETERS (JSON) are submitit's parameters for every job, such as {"slurm_partition": "gpu", "timeout_min": 600}.
The cluster's machines see the data directory under the same path and have Concord installed. SLURM_CLUSTER is
submitit's executor: "slurm" where it is not set, "local" to try it out on one machine.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.configs import NeedsConfig, parse
from training.launchers import job_argv, launch_of
from training.launchers.attending import NoCluster, attend, job_environment, run_logged
from training.launchers.attending import main as attend_main
from training.rundir import RunDirectory

if TYPE_CHECKING:
    import submitit


class SlurmJob:
    def __init__(self, executor: submitit.AutoExecutor, command: tuple[Any, ...], job: Any = None) -> None:
        """`command` are run_logged's arguments; `job` is submitit's, once it is handed in."""
        self.executor = executor
        self.command = command
        self.job = job

    def start(self) -> None:
        from submitit.core.utils import FailedSubmissionError

        try:
            self.job = self.executor.submit(run_logged, *self.command)
        except (FailedSubmissionError, OSError, RuntimeError) as error:
            raise NoCluster(f"Slurm does not take the job: {error}") from error

    def reference(self) -> dict[str, str]:
        return {"launcher": "slurm", "id": self.job.job_id if self.job else ""}

    def ended(self) -> str:
        if self.job is None or not self.job.done():
            return ""
        return f"The Slurm job {self.job.job_id} ended: {self.job.state.lower()}"

    def stop(self) -> None:
        if self.job is not None:
            self.job.cancel(check=False)


def parameters(processes: int, needs: NeedsConfig, given: str) -> dict[str, Any]:
    """Return submitit's parameters: what the run asks for, then what the operator has given. Raises NoCluster."""
    try:
        own = json.loads(given or "{}")
    except ValueError as error:
        raise NoCluster(f"SLURM_PARAMETERS is not JSON: {error}") from error
    if not isinstance(own, dict):
        raise NoCluster(f"SLURM_PARAMETERS is {given!r}; it must be a JSON object")
    asks: dict[str, Any] = {"nodes": 1, "tasks_per_node": 1, "cpus_per_task": processes}
    if needs.device == "cuda":
        asks["gpus_per_node"] = processes
    elif needs.memory_gb:
        asks["mem_gb"] = needs.memory_gb
    return {**asks, **own}


def make_executor(folder: Path, name: str, asks: dict[str, Any]) -> submitit.AutoExecutor:
    try:
        import submitit
    except ImportError as error:
        raise NoCluster(
            "submitit is not installed where the worker runs; install Concord with its extra `slurm`"
        ) from error
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=os.environ.get("SLURM_CLUSTER") or "slurm")
        executor.update_parameters(name=name, **asks)
    except (ValueError, TypeError, NameError, RuntimeError) as error:
        raise NoCluster(f"submitit refuses: {error}") from error
    return executor


def earlier_job(folder: Path, job_id: str) -> Any:
    """Return Slurm's handle of a job that an earlier attempt handed in; None where the cluster knows none."""
    import submitit

    return (
        submitit.SlurmJob(folder=folder, job_id=job_id) if os.environ.get("SLURM_CLUSTER", "slurm") == "slurm" else None
    )


def carry_out(directory: RunDirectory) -> int:
    launch, needs = launch_of(directory), parse(NeedsConfig, directory.spec().needs, "what a run needs")
    folder = directory.path / "slurm"
    asks = parameters(launch.processes, needs, os.environ.get("SLURM_PARAMETERS", ""))
    executor = make_executor(folder, f"concord-{directory.spec().run_id[:13]}", asks)
    python = os.environ.get("CLUSTER_PYTHON") or sys.executable

    def new_job(word: str) -> SlurmJob:
        argv = job_argv(directory, python)
        return SlurmJob(executor, (argv, os.getcwd(), job_environment(word), str(directory.log_path)))

    def find_job(reference: dict[str, str]) -> SlurmJob | None:
        if reference.get("launcher") != "slurm" or not reference.get("id"):
            return None
        found = earlier_job(folder, reference["id"])
        return None if found is None else SlurmJob(executor, (), found)

    return attend(directory, new_job, find_job)


if __name__ == "__main__":
    sys.exit(attend_main(sys.argv[1:], "training.launchers.slurm", carry_out))
