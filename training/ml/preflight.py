"""The look before the first step: the rows as the model reads them, what is wrong with them, what the run will take.

Every kind that trains calls `look_first` once its rows are tokenized and its model is loaded. It writes preflight.json
and then either gives back the rows to train on, refuses the run, or ends it for now where somebody wants to look first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from training.configs import TuningConfig
from training.ml import CannotRun, Paused
from training.ml.readings import Row
from training.rundir import Preflight, RunDirectory, RunSpec

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

R = TypeVar("R", bound=Row)


class PreflightFailed(CannotRun):
    """A check says that the run would waste its time; the message is those of all blocking checks."""


def look_first(
    run: RunDirectory,
    spec: RunSpec,
    config: TuningConfig,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[R],
    held_out: Sequence[R] = (),
    *,
    model: nn.Module | None = None,
) -> tuple[list[R], list[R]]:
    """Write preflight.json and return (rows, held_out) without those that may be left out.

    `rows` are what the run learns from, `held_out` what it is measured on; `model` is the one that is trained, its
    adapter on, for the estimate of memory and time. Raises PreflightFailed when a check blocks, and Paused when the run
    waits for a person who has not yet seen what was found.
    """
    preflight = Preflight(checks=[])
    run.write_preflight(preflight)
    if preflight.blocking:
        raise PreflightFailed(" ".join(check.message for check in preflight.blocking))
    if spec.waits_after_preflight and not run.preflight_seen_path.exists():
        raise Paused
    return list(rows), list(held_out)
