"""Runs as jobs of submitit, whose local executor stands for Slurm: the same calls, a process on this machine."""

from __future__ import annotations

import pytest

from tests.ml.conftest import make_run_directory, prompt_rows, write_prompts
from tests.training.attendants import said, start_attendant
from training.configs import NeedsConfig
from training.launchers.attending import NoCluster
from training.launchers.slurm import make_executor, parameters
from training.rundir import ModelSource, read_json, read_lines

pytestmark = pytest.mark.torch

SLURM = "training.launchers.slurm"
LOCAL = {"SLURM_CLUSTER": "local"}


@pytest.fixture(autouse=True)
def _submitit() -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install submitit")


def test_a_run_is_carried_out_as_a_job(tmp_path, tiny_model):
    run = make_run_directory(
        tmp_path / "run",
        "sample",
        {"temperatures": [1.0], "max_new_tokens": 4},
        policy=ModelSource(str(tiny_model)),
        launch={"launcher": "slurm"},
    )
    write_prompts(run, prompt_rows(2))
    assert start_attendant(SLURM, run, LOCAL).wait(240) == 0, said(run)
    assert run.outcome().status == "succeeded"
    assert len(list(read_lines(run.samples_path))) == 2
    assert read_json(run.job_path)["id"]
    assert "The Slurm job" in run.log_path.read_text()


def test_a_run_that_the_trainer_refuses_ends_with_its_error(tmp_path):
    run = make_run_directory(tmp_path / "run", "dpo", {"no_such_setting": 1}, launch={"launcher": "slurm"})
    assert start_attendant(SLURM, run, LOCAL).wait(120) == 1
    assert "no_such_setting" in run.error()


def test_a_machine_without_slurm_is_the_runs_error(tmp_path):
    run = make_run_directory(tmp_path / "run", "dpo", {}, launch={"launcher": "slurm"})
    assert start_attendant(SLURM, run, {"SLURM_CLUSTER": "slurm", "PATH": ""}).wait(120) == 1
    assert "submitit refuses" in run.error() or "Slurm does not take the job" in run.error()


def test_what_a_run_needs_is_asked_of_slurm_and_the_operator_has_the_last_word():
    assert parameters(2, NeedsConfig(device="cuda"), '{"timeout_min": 60}') == {
        "nodes": 1,
        "tasks_per_node": 1,
        "cpus_per_task": 2,
        "gpus_per_node": 2,
        "timeout_min": 60,
    }
    assert parameters(1, NeedsConfig(memory_gb=4.0), '{"mem_gb": 8}')["mem_gb"] == 8


@pytest.mark.parametrize("given", ["{", "[1]"])
def test_parameters_that_are_no_json_object_are_refused(given):
    with pytest.raises(NoCluster, match="SLURM_PARAMETERS"):
        parameters(1, NeedsConfig(), given)


def test_a_parameter_that_submitit_does_not_know_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CLUSTER", "local")
    with pytest.raises(NoCluster, match="submitit refuses"):
        make_executor(tmp_path, "name", {"no_such_parameter": 1})
