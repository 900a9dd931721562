"""A run of several processes: the same losses as in one, one writer, and no orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.ml.conftest import ROOT, finished_run, make_run_directory
from tests.training.conftest import processes_with, wait_until
from training.configs import BadConfig, LaunchConfig
from training.devices import Device
from training.launchers.several import accelerate_config
from training.ml import CannotRun, processes
from training.rundir import RunDirectory

pytestmark = pytest.mark.torch

TWO = {"launcher": "accelerate", "processes": 2}
CPU = Device("cpu", "a processor", 8.0)
GPUS = Device("cuda", "a card", 80.0, count=8)


def start(run: RunDirectory) -> subprocess.Popen[bytes]:
    with open(run.log_path, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "training.launchers.several", str(run.path)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def test_two_processes_have_the_losses_of_one_and_one_of_them_writes(tmp_path, tiny, snapshot):
    config = {"steps": 3, "batch_size": 4, "learning_rate": 5e-3, "checkpoint_every": 2}
    inputs = {"policy": tiny, "snapshot": snapshot[0], "snapshot_sha256": snapshot[1]}
    one = finished_run(tmp_path / "one", "dpo", config, **inputs)
    two = make_run_directory(tmp_path / "two", "dpo", config, launch=TWO, **inputs)
    assert start(two).wait(300) == 0, two.error() or two.log_path.read_text()[-3000:]
    assert [row["step"] for row in two.metrics()] == [1, 2, 3]
    assert [row["loss"] for row in two.metrics()] == pytest.approx([row["loss"] for row in one.metrics()], abs=2e-5)
    assert (two.outcome().status, two.outcome().step) == ("succeeded", 3)
    assert two.outcome().evaluation["n"] == one.outcome().evaluation["n"]
    assert {path.name for path in two.model_path.iterdir()} == {path.name for path in one.model_path.iterdir()}


def test_a_killed_launcher_leaves_no_trainer_behind(tmp_path, tiny, snapshot):
    run = make_run_directory(
        tmp_path / "orphans",
        "dpo",
        {"steps": 100_000, "batch_size": 4},
        launch=TWO,
        policy=tiny,
        snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
    )
    launcher = start(run)
    try:
        wait_until(lambda: run.metrics(), "the first step")
        assert len(processes_with(str(run.path))) >= 4  # the launcher, accelerate and two trainers
    finally:
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()
    wait_until(lambda: not processes_with(str(run.path)), "the end of all its processes")


PARTED = """
import os, sys
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from training.configs import DPOConfig
from training.ml.models import load_policy, load_tokenizer, publish_model
from training.ml.tuning import tuned
from training.rundir import ModelSource, RunDirectory

distributed.init_process_group("gloo")
source = ModelSource(sys.argv[1])
for tuning in ("full", "lora"):
    tokenizer = load_tokenizer(source)
    model = tuned(load_policy(source, tokenizer), DPOConfig(tuning=tuning))
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.normal_()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    assert next(model.parameters()).to_local().numel() < next(iter(before.values())).numel()
    run = RunDirectory(f"{sys.argv[2]}/{tuning}")
    run.path.mkdir(exist_ok=True)
    publish_model(run, model, tokenizer, kind="policy", source=source, step=1)
    if distributed.get_rank() == 0:
        torch.save(before, run.path / "before.pt")
"""


def test_weights_that_are_parted_over_processes_are_published_whole(tmp_path, tiny):
    import torch
    from safetensors.torch import load_file

    argv = [*("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"), str(tmp_path / "parted.py")]
    (tmp_path / "parted.py").write_text(PARTED)
    done = subprocess.run(
        [sys.executable, *argv, tiny.base, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    whole = load_file(tmp_path / "full" / "model" / "model.safetensors")
    before = torch.load(tmp_path / "full" / "before.pt")
    assert set(before) - set(whole) <= {"lm_head.weight"}  # tied to the embeddings
    assert all(torch.equal(weight, before[name]) for name, weight in whole.items())
    adapter = load_file(tmp_path / "lora" / "model" / "adapter_model.safetensors")
    before = torch.load(tmp_path / "lora" / "before.pt")
    trained = {name.replace(".default", ""): weight for name, weight in before.items() if ".default" in name}
    assert set(adapter) == set(trained)
    assert all(torch.equal(weight, trained[name]) for name, weight in adapter.items())


def test_a_batch_that_cannot_be_shared_evenly_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert processes.share(4) == 2
    with pytest.raises(CannotRun, match="3 rows cannot be shared evenly by 2 processes; 2 can"):
        processes.share(3)


@pytest.mark.parametrize("sharding", ["none", "fsdp", "zero2", "zero3"])
def test_accelerate_reads_the_file_that_is_written_for_it(tmp_path, sharding):
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    run = RunDirectory(tmp_path)
    launch = LaunchConfig(launcher="accelerate", processes=4, sharding=sharding)
    write_config(run, accelerate_config(launch, GPUS))
    read = load_config_from_file(str(run.accelerate_path))
    assert read.num_processes == 4
    arguments = ["--config_file", str(run.accelerate_path), "-m", "training.ml", str(run.path)]
    parsed, _, _ = _validate_launch_command(launch_command_parser().parse_args(arguments))
    assert parsed.multi_gpu == (sharding == "none")
    assert parsed.use_fsdp == (sharding == "fsdp")
    assert parsed.use_deepspeed == sharding.startswith("zero")
    if sharding.startswith("zero"):
        assert parsed.zero_stage == int(sharding[-1])
    if sharding == "fsdp":
        assert (parsed.fsdp_version, parsed.fsdp_state_dict_type) == (2, "FULL_STATE_DICT")


def write_config(run: RunDirectory, config: dict) -> None:
    from training.rundir import write_json

    write_json(run.accelerate_path, config)


def test_what_the_machine_cannot_do_is_refused():
    with pytest.raises(BadConfig, match="this machine has none"):
        accelerate_config(LaunchConfig(launcher="accelerate", processes=2, sharding="fsdp"), CPU)
    with pytest.raises(BadConfig, match="16 processes need as many GPUs; this machine shows 8"):
        accelerate_config(LaunchConfig(launcher="accelerate", processes=16), GPUS)
