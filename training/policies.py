"""What the people's side asks of checkpoints that speak; `feedback.policies` reaches it through settings.POLICIES."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from feedback.models import Project
from training.forgetting import forget_snapshot as forget_snapshot
from training.models import Checkpoint
from training.watching import talker_is_alive


def policy_choices(project: Project) -> list[tuple[str, str]]:
    found = Checkpoint.objects.policies().filter(project=project).order_by("-id")
    return [(str(checkpoint.pk), checkpoint.name) for checkpoint in found]


def unknown_policy(project: Project, ids: Sequence[str]) -> str:
    for given in ids:
        if find_policy(project, given) is None:
            return f"{given!r} is not the id of a base model or policy of this project"
    return ""


def find_policy(project: Project, given: str) -> Checkpoint | None:
    try:
        wanted = uuid.UUID(str(given))
    except ValueError:
        return None
    return Checkpoint.objects.policies().filter(project=project, pk=wanted).first()


def somebody_answers(now: datetime) -> bool:
    return talker_is_alive(now)
