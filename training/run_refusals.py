"""The refusal of a run that somebody asks for."""

from __future__ import annotations

from feedback.refusals import Refusal


class RunRefused(Refusal):
    """A run was asked for that cannot be carried out; `field` says which input is wrong."""
