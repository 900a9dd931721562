"""Which models answer a sample run's prompts, and which one chooses among their drafts."""

from __future__ import annotations

from collections.abc import Sequence

from training.configs import SampleConfig
from training.lineage import CheckpointGone, model_source
from training.models import Checkpoint
from training.run_refusals import RunRefused

MOST_RESPONSES = 64
"""Of a sample run to one prompt."""


def check_sampling(
    config: SampleConfig, policy: Checkpoint | None, others: Sequence[Checkpoint], reward: Checkpoint | None
) -> None:
    """Refuse models that cannot write or come twice, and drafts without a reward model that chooses among them."""
    for place, other in enumerate(others):
        if other in (policy, *others[:place]):
            raise RunRefused("others", f"{other} is given twice; each model answers every prompt once")
        if other.kind == Checkpoint.Kind.REWARD:
            raise RunRefused("others", f"{other} is a reward model; it scores text but cannot write any")
        try:
            model_source(other)
        except CheckpointGone as error:
            raise RunRefused("others", str(error)) from error
    if config.responses * (1 + len(others)) > MOST_RESPONSES:
        raise RunRefused(
            "others",
            f"{1 + len(others)} models with {config.responses} responses each are more than {MOST_RESPONSES} responses "
            "to one prompt; choose fewer",
        )
    if config.best_of > 1 and reward is None:
        raise RunRefused("reward", f"a reward model must choose among {config.best_of} drafts; name one")
    if config.best_of == 1 and reward is not None:
        raise RunRefused("reward", "with one draft there is nothing to choose; give best_of 2 or more, or leave it out")
