"""Carry a run out as a Ray job: `python -m training.launchers.ray_jobs RUN_DIR`.

RAY_ADDRESS names the cluster's dashboard, such as http://head:8265. Its machines see the data directory under the same
path and have Concord installed.
"""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from training.configs import NeedsConfig, parse
from training.launchers import job_argv, launch_of
from training.launchers.attending import NoCluster, attend, job_environment
from training.launchers.attending import main as attend_main
from training.rundir import RunDirectory

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

ENDED = {"SUCCEEDED", "FAILED", "STOPPED"}


class RayJob:
    def __init__(self, client: JobSubmissionClient, name: str, asks: dict[str, Any] | None = None) -> None:
        """`name` is the job's submission id; `asks` what `submit_job` takes, of a job that is still to start."""
        self.client = client
        self.name = name
        self.asks = asks or {}

    def start(self) -> None:
        try:
            self.client.submit_job(submission_id=self.name, **self.asks)
        except (RuntimeError, ValueError, OSError) as error:  # Ray lets what its HTTP library raises through: OSErrors
            raise NoCluster(f"Ray does not take the job: {error}") from error

    def reference(self) -> dict[str, str]:
        return {"launcher": "ray", "id": self.name}

    def ended(self) -> str:
        try:
            found = self.client.get_job_info(self.name)
        except OSError:
            return ""  # a head that restarts: its jobs go on
        except RuntimeError as error:
            return f"Ray does not know the job {self.name}: {error}"
        status = str(getattr(found.status, "value", found.status))
        return f"The Ray job {self.name} {status.lower()}: {found.message or 'no message'}" if status in ENDED else ""

    def stop(self) -> None:
        try:
            self.client.stop_job(self.name)
        except (RuntimeError, OSError) as error:
            sys.stderr.write(f"the Ray job {self.name} cannot be stopped: {error}\n")


def resources(processes: int, needs: NeedsConfig) -> dict[str, Any]:
    """Return what Ray keeps for the job: a GPU for each process, or a core where none is asked for."""
    asks: dict[str, Any] = {"entrypoint_num_cpus": processes}
    if needs.device == "cuda":
        asks["entrypoint_num_gpus"] = processes
    elif needs.memory_gb:
        asks["entrypoint_memory"] = int(needs.memory_gb * 2**30)
    return asks


def entrypoint(directory: RunDirectory, python: str) -> str:
    """Return the shell line of the job: the trainer, in this folder, its output in the run's log."""
    command = shlex.join(job_argv(directory, python))
    return f"cd {shlex.quote(os.getcwd())} && exec {command} >> {shlex.quote(str(directory.log_path))} 2>&1"


def connect() -> JobSubmissionClient:
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise NoCluster("Ray is not installed where the worker runs; install Concord with its extra `ray`") from error
    address = os.environ.get("RAY_ADDRESS", "")
    if not address:
        raise NoCluster("RAY_ADDRESS is not set where the worker runs; it names the cluster, as http://head:8265")
    try:
        return JobSubmissionClient(address)
    except (OSError, RuntimeError, ValueError) as error:
        raise NoCluster(f"Ray does not answer at {address}: {error}") from error


def carry_out(directory: RunDirectory) -> int:
    launch, needs = launch_of(directory), parse(NeedsConfig, directory.spec().needs, "what a run needs")
    client = connect()
    python = os.environ.get("CLUSTER_PYTHON") or sys.executable

    def new_job(word: str) -> RayJob:
        asks = {
            "entrypoint": entrypoint(directory, python),
            "runtime_env": {"env_vars": job_environment(word)},
            "metadata": {"run": directory.spec().run_id},
            **resources(launch.processes, needs),
        }
        return RayJob(client, f"concord-{directory.spec().run_id[:13]}-{word}", asks)

    def find_job(reference: dict[str, str]) -> RayJob | None:
        return RayJob(client, reference["id"]) if reference.get("launcher") == "ray" else None

    return attend(directory, new_job, find_job)


if __name__ == "__main__":
    sys.exit(attend_main(sys.argv[1:], "training.launchers.ray_jobs", carry_out))
