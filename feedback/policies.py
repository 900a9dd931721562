"""What the people's side asks of the side that has the models: which can answer in a conversation, and to forget.

`feedback` imports nothing of training; settings.POLICIES names the module that speaks for it. Label schemas hold the
ids of checkpoints (`policies`), which are opaque here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from typing import Protocol, cast

from django.conf import settings

from feedback.models import Project, Snapshot, User


class Policies(Protocol):
    """What the module at settings.POLICIES has."""

    def policy_choices(self, project: Project) -> list[tuple[str, str]]:
        """Return id and name of every checkpoint of the project that can answer, the latest first."""

    def unknown_policy(self, project: Project, ids: Sequence[str]) -> str:
        """Say what is wrong with the first of `ids` that cannot answer in this project; empty when all can."""

    def somebody_answers(self, now: datetime) -> bool:
        """Tell whether a worker that answers in conversations has been alive of late."""

    def forget_snapshot(self, *, snapshot: Snapshot, by: User, now: datetime) -> None:
        """Stop the runs that are at work on a snapshot which is withdrawn, and delete what they copied from it."""


def policies() -> Policies:
    return cast(Policies, import_module(settings.POLICIES))
