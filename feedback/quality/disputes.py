"""On which comparisons people differ, and on which of them it matters most.

The weight of a task is the sum, over every two people who contradict each other, of the mean strength of what the two
said: how many differ, and how sure they are. A task of the evaluation or hold-out split counts twice, because what is
wrong there is measured again and again. With n and S the number and the summed strength of those who prefer A, who
prefer B, and ties (of strength 0), it is (nA SB + nB SA + nT SA + nT SB) / 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from feedback.contract import SPLITS, TRAIN
from feedback.quality.columns import NO_PREFERENCE, as_uuid, read_columns
from feedback.quality.reports import Measured

if TYPE_CHECKING:
    from feedback.models import Project
    from feedback.quality.columns import Columns, Floats
    from feedback.quality.reports import Tell

KEPT = 1_000
"""The heaviest disputes that a report names; it counts the others."""


def measure_disputes(*, project: Project, params: Mapping[str, Any], tell: Tell) -> Measured:
    """Compute the report that the page of disputes shows."""
    tell(0, 2, "Reading the judgments")
    columns = read_columns(project=project)
    tell(1, 2, "Comparing them")
    return Measured(content=disputes_of(columns), columns=columns)


def disputes_of(columns: Columns) -> dict[str, Any]:
    """Return the heaviest disputes, each with who prefers what, and how many there are in all."""
    counted = (
        (columns.preference != NO_PREFERENCE) & ~columns.gold & ~columns.repeat & ~columns.simulated & ~columns.rejected
    )
    task, said = columns.task[counted], columns.preference[counted].astype(np.int64)
    size = len(columns.tasks)
    first = np.bincount(task[said < 0], minlength=size)
    second = np.bincount(task[said > 0], minlength=size)
    ties = np.bincount(task[said == 0], minlength=size)
    sure_first = np.bincount(task[said < 0], weights=-said[said < 0], minlength=size)
    sure_second = np.bincount(task[said > 0], weights=said[said > 0], minlength=size)
    weight = weights(first, second, ties, sure_first, sure_second)
    held = columns.task_prompt >= 0
    split = np.full(size, SPLITS.index(TRAIN))
    split[held] = columns.prompt_split[columns.task_prompt[held]]
    weight = np.where(split == SPLITS.index(TRAIN), weight, 2 * weight)
    disputed = np.flatnonzero(weight > 0)
    judged = int(np.count_nonzero(first + second + ties >= 2))
    heaviest = disputed[np.lexsort((disputed, -weight[disputed]))][:KEPT]
    return {
        "disputed": len(disputed),
        "judged_by_several": judged,
        "tasks": [
            {
                "task": str(as_uuid(columns.tasks[row])),
                "weight": round(float(weight[row]), 2),
                "first": int(first[row]),
                "second": int(second[row]),
                "ties": int(ties[row]),
                "split": SPLITS[split[row]],
            }
            for row in heaviest
        ],
    }


def weights(first: Any, second: Any, ties: Any, sure_first: Any, sure_second: Any) -> Floats:
    """Return each task's weight from its counts and summed strengths; all [tasks]."""
    pairs = first * sure_second + second * sure_first + ties * (sure_first + sure_second)
    found: Floats = pairs / 2
    return found
