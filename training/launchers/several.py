"""Start a run's processes on this machine with `accelerate launch`: `python -m training.launchers.several RUN_DIR`.

They share a step's rows, so that the run is the same as in one process. Ends as they end; ends them when its own
starter is gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

from training.configs import BadConfig, LaunchConfig
from training.devices import Device, own_device
from training.launchers import launch_of
from training.rundir import BadRunDirectory, RunDirectory, when_guard_closes, when_unattended, write_json

FSDP = {
    "fsdp_version": 2,
    "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    "fsdp_reshard_after_forward": True,
    "fsdp_state_dict_type": "FULL_STATE_DICT",
    "fsdp_cpu_ram_efficient_loading": True,
    "fsdp_offload_params": False,
    "fsdp_activation_checkpointing": False,
}
"""Weights, gradients and optimizer parted over the GPUs by PyTorch itself (FSDP2)."""


def deepspeed(stage: int) -> dict[str, Any]:
    """Return DeepSpeed's part: stage 2 parts gradients and optimizer, stage 3 the weights, too."""
    return {
        "zero_stage": stage,
        "offload_optimizer_device": "none",
        "offload_param_device": "none",
        "zero3_init_flag": stage == 3,
        "zero3_save_16bit_model": stage == 3,
        "deepspeed_multinode_launcher": "standard",
    }


def accelerate_config(launch: LaunchConfig, device: Device) -> dict[str, Any]:
    """Return what accelerate.json says. Raises BadConfig where the machine cannot do it."""
    if launch.sharding != "none" and device.kind != "cuda":
        raise BadConfig("sharding", f"{launch.sharding} parts the weights over GPUs; this machine has none")
    if device.kind == "cuda" and launch.processes > device.count:
        raise BadConfig(
            "processes", f"{launch.processes} processes need as many GPUs; this machine shows {device.count}"
        )
    config: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE",
        # accelerate starts one process only for MULTI_CPU; MULTI_GPU starts them all, and each then takes the CPU.
        "distributed_type": "MULTI_GPU" if launch.processes > 1 else "NO",
        "num_processes": launch.processes,
        "num_machines": 1,
        "machine_rank": 0,
        "main_process_port": 0,
        "rdzv_backend": "static",
        "same_network": True,
        "mixed_precision": "no",  # the run's own setting says how it computes
        "use_cpu": False,
        "debug": False,
        "downcast_bf16": False,
    }
    if launch.sharding == "fsdp":
        config |= {"distributed_type": "FSDP", "fsdp_config": FSDP}
    elif launch.sharding != "none":
        stage = 2 if launch.sharding == "zero2" else 3
        config |= {"distributed_type": "DEEPSPEED", "deepspeed_config": deepspeed(stage)}
    return config


def accelerate_argv(directory: RunDirectory) -> list[str]:
    return [
        *(sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(directory.accelerate_path)),
        *("-m", "training.ml", str(directory.path)),
    ]


def accelerate_environment(device: Device, processes: int) -> dict[str, str]:
    """Return this process's environment with what accelerate reads: processes share the machine's cores out."""
    own = dict(os.environ)
    if device.kind != "cuda":
        own["ACCELERATE_USE_CPU"] = "true"
    own.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    return own


def end_all() -> None:
    """Kill `accelerate launch` with this process; the trainers see that it is gone and end, too."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m training.launchers.several RUN_DIR\n")
        return 2
    directory = RunDirectory(arguments[0])
    when_guard_closes(end_all)
    when_unattended(directory, end_all)
    device = own_device()
    try:
        launch = launch_of(directory)
        write_json(directory.accelerate_path, accelerate_config(launch, device))
    except (BadConfig, BadRunDirectory) as error:
        directory.write_error(str(error))
        return 1
    environment = accelerate_environment(device, launch.processes)
    return subprocess.run(accelerate_argv(directory), env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
