"""What the question "what if" leaves out, as a selection and as a report's params say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feedback.refusals import Refusal
from feedback.selection import Selection

ASKED = ("people", "days", "guidelines", "flags")


class LeavingOutRefused(Refusal):
    """It cannot be left out as asked; `field` says why."""


def selection_of(params: Mapping[str, Any]) -> Selection:
    """Return the selection that leaves out what `params` name. Raises Refusal."""
    return Selection.from_json({f"without_{name}": params[name] for name in ASKED if params.get(name)})


def check_leaving_out(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return `params` in the one order in which a report is found again. Raises Refusal."""
    if unknown := sorted(set(params) - set(ASKED)):
        raise LeavingOutRefused("params", f"{unknown[0]!r} is not one of {', '.join(ASKED)}")
    selection = selection_of(params)
    asked = {name: sorted(getattr(selection, f"without_{name}")) for name in ASKED}
    if not any(asked.values()):
        raise LeavingOutRefused("params", f"say what to leave out: {', '.join(ASKED)}")
    return {name: values for name, values in asked.items() if values}
