"""Several processes that carry out one run together, each on its share of a step's rows.

`accelerate launch` starts them and says in the environment who is who. The first one alone writes into the run
directory; whatever makes them branch has to be agreed on, or they would wait for each other for ever.

Torch is imported late: `training.ml.__main__` asks who it is before it sets what torch reads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from training.ml import CannotRun
from training.rundir import Outcome, Preflight, RunDirectory

if TYPE_CHECKING:
    from torch import Tensor, nn

PR_SET_PDEATHSIG = 1


def count() -> int:
    """Return how many processes carry out the run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


def share(rows: int, field: str = "batch_size") -> int:
    """Return this process's part of `rows` that go through together; raises CannotRun when they cannot be parted."""
    if rows % count():
        fits = max(rows // count(), 1) * count()
        raise CannotRun(f"{field}: {rows} rows cannot be shared evenly by {count()} processes; {fits} can")
    return rows // count()


def any_says(flag: bool) -> bool:
    """Tell whether one of the processes says so; all of them have to ask, and all get the same answer."""
    import torch
    from torch import distributed

    if not distributed.is_initialized():
        return flag
    said = torch.tensor([float(flag)], device="cuda" if distributed.get_backend() == "nccl" else "cpu")
    distributed.all_reduce(said, op=distributed.ReduceOp.MAX)
    return bool(said.item())


def mean_of_all(number: Any) -> Any:
    """Return the mean of the tensor `number` over all processes; all of them have to ask."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.all_reduce(number)
        number = number / count()
    return number


def parts_of_all(part: Any) -> list[Any]:
    """Return what each process gives, in their order; all of them have to ask."""
    from torch import distributed

    if not distributed.is_initialized():
        return [part]
    found: list[Any] = [None] * count()
    distributed.all_gather_object(found, part)
    return found


def wait_for_all() -> None:
    """Go on once every process has come here."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.barrier()


def whole_weights(model: nn.Module) -> dict[str, Tensor] | None:
    """Return the weights of a model that is parted over the processes, put together; None where each holds all.

    Every process has to call it. FSDP parts a weight into the shards of a DTensor, DeepSpeed's stage 3 into its own.
    """
    from torch.distributed.tensor import DTensor

    if any(isinstance(weight, DTensor) for weight in model.parameters()):
        state = model.state_dict()
        return {
            name: (weight.full_tensor() if isinstance(weight, DTensor) else weight).cpu()
            for name, weight in state.items()
        }
    if any(hasattr(weight, "ds_id") for weight in model.parameters()):
        from deepspeed import zero

        with zero.GatheredParameters(list(model.parameters())):
            return {name: weight.detach().cpu().clone() for name, weight in model.state_dict().items()}
    return None


class Follower(RunDirectory):
    """The run directory as the processes beside the first see it: they read what stands there and write nothing.

    An error is told all the same when no other process has told one: the first may never learn of it.
    """

    def write_progress(self, phase: str, done: int = 0, total: int = 0) -> None:
        pass

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        pass

    def forget_metrics_after(self, step: int) -> None:
        pass

    def write_preflight(self, preflight: Preflight) -> None:
        pass

    def write_outcome(self, outcome: Outcome) -> None:
        pass

    def write_error(self, message: str) -> None:
        if not self.error():
            super().write_error(message)


def end_with_the_parent() -> None:
    """Kill this process when the one that started it is gone: torch's launcher leaves orphans when it is killed."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
