"""How long a run should take on this device, and how much memory: from one short trial of its own model.

The trial reads a few of the run's tokens without and with gradients, before the first step, and leaves no trace: no
gradient is kept and no random number is drawn from the run's own generators. What then happened is written beside the
estimate at the end.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from training.configs import (
    AdapterConfig,
    DPOConfig,
    GroupConfig,
    GRPOConfig,
    KTOConfig,
    PPOConfig,
    RewardConfig,
    RLOOConfig,
    SFTConfig,
    TrainingConfig,
)

TRIAL_TOKENS = 128
"""Enough for the rate of long rows, few enough for about a second with 135 million parameters on one core."""
MIB = 1024 * 1024
ON_THE_WAY = 1.8
"""Memory for each byte that is kept from forward to backward: gradients on the way back, and freed blocks that the
allocator holds, since batches differ in width. Measured with SmolLM2-135M on a processor: 1.3 to 1.8; the most is
taken, because a run that is told to fit must fit."""


@dataclass(frozen=True)
class Work:
    """What a run does, in tokens through its model."""

    steps: int
    trained: float
    """Tokens of each step that go forward and backward."""
    read: float = 0.0
    """Tokens of each step that only go forward."""
    read_once: float = 0.0
    """Tokens that go forward before the first step and after the last."""
    written: float = 0.0
    """Tokens of each step that one response after the other is decoded by, `at_once` responses together."""
    at_once: int = 1
    widest: int = 0
    """Tokens of the widest batch that goes forward and backward."""


@dataclass(frozen=True)
class Trial:
    """What one short pass of the model took on this device."""

    read: float
    """Seconds for each token without gradients."""
    trained: float
    """Seconds for each token forward and backward."""
    written: float
    """Seconds for one decoding step."""
    saved: float
    """Bytes for each token that are kept from forward to backward."""
    fixed: int
    """Bytes of gradients and optimizer states."""
    layers: int
    width: int


def step_rows(config: AdapterConfig) -> float:
    """Return how many rows (or prompts) one step or update takes."""
    match config:
        case TrainingConfig():
            return config.batch_size * config.gradient_accumulation
        case PPOConfig():
            return config.batch_size
        case GroupConfig():
            return config.prompts_per_step
        case _:
            raise TypeError(f"{type(config).__name__} takes no steps")


def run_steps(config: AdapterConfig) -> int:
    match config:
        case TrainingConfig() | GroupConfig():
            return config.steps
        case PPOConfig():
            return config.updates
        case _:
            raise TypeError(f"{type(config).__name__} takes no steps")


Lengths = Sequence[int]
"""Of each sequence of a row: one of a response, two of a pair, as many as a ranking has."""


def tokens_of(batch: Sequence[Lengths]) -> int:
    """Return the tokens of a batch, padding included: all its sequences are as wide as the longest."""
    return max(map(max, batch)) * sum(map(len, batch))


def padded(sequences: Sequence[Lengths], batch: int, is_grouped: bool) -> float:
    """Return the mean tokens of a row in a batch, padding included."""
    if is_grouped or batch == 1:
        return fmean(tokens_of([row]) for row in sequences)
    draw = random.Random(0)
    return fmean(tokens_of(draw.choices(sequences, k=batch)) / batch for _ in range(200))


def widest_batch(sequences: Sequence[Lengths], batch: int) -> int:
    """Return the tokens of the largest batch that may come: that of the rows that take most."""
    return tokens_of(sorted(sequences, key=lambda row: tokens_of([row]))[-batch:])


def work_of(config: AdapterConfig, sequences: Sequence[Lengths], measured: int = 0) -> Work:
    """Return what `config` asks for, where `sequences` are the lengths of each row's sequences.

    `measured` are the tokens of the held-out rows that are looked at.
    """
    lengths = [max(row) for row in sequences]
    match config:
        case SFTConfig() if config.packing:
            packs = max(1, math.ceil(sum(lengths) / config.max_length))
            pack = sum(lengths) / packs
            widest = int(config.batch_size * pack)
            return Work(config.steps, step_rows(config) * pack, read_once=2 * measured, widest=widest)
        case TrainingConfig():
            rows, steps, read, once = step_rows(config), config.steps, 0.0, 2.0 * measured
            trained = rows * padded(sequences, config.batch_size, config.group_by_length)
            widest = widest_batch(sequences, config.batch_size)
            used = min(len(sequences), config.steps * rows) * fmean(map(sum, sequences))
            match config:
                case RewardConfig() if config.ensemble == "full":
                    steps, once = steps * config.members, config.members * measured
                case DPOConfig() if config.loss not in ("simpo", "orpo"):
                    once = used + 2 * measured
                case KTOConfig():
                    read, once = trained, 2 * used + 3 * measured
            return Work(steps, trained, read=read, read_once=once, widest=widest)
        case PPOConfig():
            whole = fmean(lengths) + config.max_new_tokens
            part = config.minibatch_size // config.gradient_accumulation
            own_value = config.value_model == "own"
            begun = 0 if config.gradient_checkpointing else part  # of what the policy reads, learning needs this again
            return Work(
                config.updates,
                trained=(1 + own_value) * config.ppo_epochs * config.batch_size * whole,
                read=((3 + own_value) * config.batch_size - begun) * whole,  # policy, reference, reward, value model
                written=config.max_new_tokens,
                at_once=config.batch_size,
                widest=int(part * (max(lengths) + config.max_new_tokens)),
            )
        case GroupConfig():
            responses = config.responses_per_prompt if isinstance(config, GRPOConfig | RLOOConfig) else 2
            rows = config.prompts_per_step * responses
            whole = fmean(lengths) + config.max_new_tokens
            return Work(
                config.steps,
                trained=rows * whole,
                read=2 * rows * whole,
                written=config.max_new_tokens,
                at_once=rows,
                widest=int(rows / config.gradient_accumulation * (max(lengths) + config.max_new_tokens)),
            )
        case _:
            raise TypeError(f"{type(config).__name__} takes no steps")


# The trial --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Let `model` be run without a trace: it is in evaluation mode, and the random generators stay as they are."""
    was_training = model.training
    model.eval()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        model.train(was_training)


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def try_out(model: nn.Module, config: AdapterConfig, ids: Sequence[int], at_once: int) -> Trial:
    """Read `ids` once without and once with gradients, and one token of `at_once` responses; return what it took."""
    device = this_device()
    if next(model.parameters()).device != device:
        model.to(device)
    tokens = torch.tensor([list(ids)], device=device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    changed = sum(parameter.numel() * parameter.element_size() for parameter in trained)
    if config.tuning in ("lora", "dora", "qlora") and not adapted(model):
        trained = list(
            embeddings_of(model).parameters()
        )  # whose gradient comes back through all layers, as an adapter's
        changed = adapter_bytes(model, config.lora_rank)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    def forward(batch: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            logits = model(input_ids=batch, attention_mask=torch.ones_like(batch), use_cache=False).logits
        return logits.float().logsumexp(-1).mean()

    def learn() -> None:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = forward(tokens)
        torch.autograd.grad(loss, trained, allow_unused=True)

    with undisturbed(model):
        with torch.no_grad():
            forward(tokens[:, : max(1, len(ids) // 8)])  # the first pass pays for what the later ones find ready
            read = seconds_of(lambda: forward(tokens), device)
            one = tokens[:, :1].expand(at_once, 1).contiguous()
            written = seconds_of(lambda: forward(one), device) if at_once > 1 else 0.0
        learned = seconds_of(learn, device)
    config_of: Any = model.config
    sizes = config_of.get_text_config()
    return Trial(
        read=read / len(ids),
        trained=learned / len(ids),
        written=written,
        saved=sum(saved.values()) / len(ids),
        fixed=3 * changed,  # a gradient and two moments
        layers=sizes.num_hidden_layers,
        width=sizes.hidden_size,
    )


def adapted(model: nn.Module) -> bool:
    """Tell whether an adapter is on the model; a trainer of TRL's puts it there later."""
    return any("lora_" in name for name, _ in model.named_parameters())


def embeddings_of(model: Any) -> nn.Module:
    return model.get_input_embeddings()


def adapter_bytes(model: Any, rank: int) -> int:
    """Return the size of a LoRA adapter on every linear layer but the output's, in float32."""
    output = model.get_output_embeddings()
    layers = [module for module in model.modules() if isinstance(module, nn.Linear) and module is not output]
    return sum(4 * rank * (layer.in_features + layer.out_features) for layer in layers)


def estimate(config: AdapterConfig, work: Work, trial: Trial, resident: int) -> dict[str, Any]:
    """Return preflight's estimate; `resident` is the memory in use after the trial, in bytes."""
    trained, saved = trial.trained, trial.saved
    if config.gradient_checkpointing:
        # Each layer's input is kept; what is inside a layer is worked out a second time, one layer at a time.
        trained += trial.read
        saved = saved / trial.layers + 4 * trial.layers * trial.width
    each_step = work.trained * trained + work.read * trial.read + work.written * trial.written
    memory = resident + trial.fixed + ON_THE_WAY * saved * work.widest
    return {
        "device": device_name(),
        "memory_mb": round(memory / MIB),
        "step_seconds": round(each_step, 3),
        "seconds": round(work.steps * each_step + work.read_once * trial.read, 1),
    }


# The device -------------------------------------------------------------------------------------------


def device_name() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"


def memory_now() -> int:
    """Return the bytes that this process holds on the device now."""
    if torch.cuda.is_available():
        return torch.cuda.memory_allocated()
    return status_bytes("VmRSS") or peak_memory()


def forget_peak() -> None:
    """Let the peak count from now on, where the system can do that: loading a model may have taken more for a while."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Return the most bytes that this process held on the device since `forget_peak`."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return status_bytes("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def status_bytes(name: str) -> int:
    """Return a size from /proc/self/status in bytes; 0 on a system without it."""
    return proc_bytes(Path("/proc/self/status"), name)


def proc_bytes(path: Path, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def available_memory() -> int:
    """Return the bytes that this process could hold in all, itself included; 0 where nobody can tell."""
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        return free + torch.cuda.memory_reserved()
    free = proc_bytes(Path("/proc/meminfo"), "MemAvailable")
    limit = container_limit()
    free = min(free, limit) if limit and free else free
    return free + memory_now() if free else 0


def container_limit() -> int:
    """Return what the container leaves free, in bytes; 0 for no limit."""
    folder = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):
        return int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())
    return 0


def is_sharded() -> bool:
    """Tell whether `accelerate launch` will spread the weights over processes, so that none could try them alone."""
    return any(os.environ.get(name) == "true" for name in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"))


def this_device() -> torch.device:
    """Return the device on which this process trains."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
