"""Runs as jobs of a real Ray on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ml.conftest import easy_preferences, make_run_directory, write_snapshot
from tests.training.attendants import said, start_attendant
from tests.training.conftest import processes_with, wait_until
from training.configs import NeedsConfig
from training.launchers.ray_jobs import resources
from training.rundir import ModelSource, read_json

pytestmark = pytest.mark.torch

RAY = "training.launchers.ray_jobs"
CLUSTER = """
import sys, ray
told = ray.init(
    num_cpus=2, include_dashboard=True, dashboard_host="127.0.0.1", object_store_memory=100_000_000,
    log_to_driver=False, configure_logging=False, _temp_dir=sys.argv[1],
)
print(f"http://{told.dashboard_url}", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """A Ray of one machine, which ends with this test module; yields what reaches it."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[default]'")
    open_door = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    with tempfile.TemporaryDirectory(
        prefix="ray-", ignore_cleanup_errors=True
    ) as folder:  # its sockets want a short path
        head = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, folder],
            env={**os.environ, **open_door},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert head.stdout is not None
        try:
            address = next(line.decode().strip() for line in head.stdout if line.startswith(b"http://"))
            yield {**open_door, "RAY_ADDRESS": address}
        finally:
            head.stdin.close()
            try:
                head.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(head.pid, signal.SIGKILL)
                head.wait()


def job_status(cluster: dict[str, str], run) -> str:
    from ray.job_submission import JobSubmissionClient

    os.environ["RAY_AUTH_MODE"] = "disabled"
    return JobSubmissionClient(cluster["RAY_ADDRESS"]).get_job_status(read_json(run.job_path)["id"]).value


def test_a_job_whose_attendant_was_killed_is_stopped_before_the_next_one_ends_the_run(cluster, tmp_path, tiny_model):
    place, sha256 = write_snapshot(tmp_path / "snapshot", easy_preferences(24))
    run = make_run_directory(
        tmp_path / "run",
        "dpo",
        {"steps": 100_000, "batch_size": 4},
        policy=ModelSource(str(tiny_model)),
        snapshot=place,
        snapshot_sha256=sha256,
        launch={"launcher": "ray"},
    )
    killed = start_attendant(RAY, run, cluster)
    try:
        wait_until(lambda: run.metrics() or run.error() or killed.poll() is not None, "the first step")
        assert run.metrics(), said(run)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    first = read_json(run.job_path)
    assert job_status(cluster, run) == "RUNNING"
    run.request_cancel()
    assert start_attendant(RAY, run, cluster).wait(240) == 0, said(run)
    assert run.outcome().status == "cancelled"
    assert run.outcome().step >= 1
    assert (run.model_path / "checkpoint.json").exists()
    assert read_json(run.job_path) != first
    assert job_status(cluster, run) == "SUCCEEDED"
    wait_until(lambda: not processes_with(f"training.ml\0{run.path}"), "the end of the first job's trainer")


def test_a_run_that_the_trainer_refuses_ends_with_its_error(cluster, tmp_path):
    run = make_run_directory(tmp_path / "run", "dpo", {"no_such_setting": 1}, launch={"launcher": "ray"})
    assert start_attendant(RAY, run, cluster).wait(120) == 1
    assert "no_such_setting" in run.error()
    assert job_status(cluster, run) == "FAILED"


@pytest.mark.parametrize(
    ("address", "error"),
    [("", "RAY_ADDRESS is not set"), ("http://127.0.0.1:9", "does not answer at http://127.0.0.1:9")],
)
def test_a_cluster_that_is_not_there_is_the_runs_error(tmp_path, address, error):
    run = make_run_directory(tmp_path / "run", "dpo", {}, launch={"launcher": "ray"})
    assert start_attendant(RAY, run, {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"}).wait(120) == 1
    assert error in run.error()


def test_a_card_is_asked_for_each_process():
    assert resources(2, NeedsConfig(device="cuda", memory_gb=40.0)) == {
        "entrypoint_num_cpus": 2,
        "entrypoint_num_gpus": 2,
    }
    assert resources(1, NeedsConfig(memory_gb=2.0)) == {"entrypoint_num_cpus": 1, "entrypoint_memory": 2 * 2**30}


def test_no_secret_of_the_site_goes_to_a_job():
    from training.launchers.attending import job_environment

    environ = {"SECRET_KEY": "x", "DATABASE_URL": "y", "HUB_TOKEN": "z", "HF_HUB_OFFLINE": "1", "PATH": "/bin"}
    assert job_environment("word", environ) == {"HF_HUB_OFFLINE": "1", "CONCORD_ATTENDED": "word"}


def test_a_trainer_on_this_machine_gets_no_secret_of_the_site_either():
    from training.launchers import SECRETS, plain_environment

    assert not set(SECRETS) & set(plain_environment({**dict.fromkeys(SECRETS, "x"), "PATH": "/bin"}))


def test_a_head_that_cannot_be_reached_for_a_moment_does_not_end_the_job():
    from requests.exceptions import ConnectionError as NotReached

    from training.launchers.attending import NoCluster
    from training.launchers.ray_jobs import RayJob

    class Away:
        """Ray's client while the head restarts: what its HTTP library raises comes through."""

        def get_job_info(self, name: str) -> None:
            raise NotReached("refused")

        stop_job = get_job_info

        def submit_job(self, submission_id: str) -> None:
            raise NotReached("refused")

    job = RayJob(Away(), "one")
    assert job.ended() == ""
    job.stop()
    with pytest.raises(NoCluster, match="refused"):
        job.start()


def test_a_path_with_a_space_reaches_the_job_whole(tmp_path: Path):
    from training.launchers.ray_jobs import entrypoint

    run = make_run_directory(tmp_path / "a run", "dpo", {}, launch={"launcher": "ray", "processes": 2})
    line = entrypoint(run, "/usr/bin/python3")
    assert f"/usr/bin/python3 -m training.launchers.several '{run.path}' >> '{run.log_path}' 2>&1" in line
