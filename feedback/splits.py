"""Which part of the data a prompt belongs to: train, evaluation, or hold-out.

A prompt is not drawn by itself but with its cluster, the prompts that say nearly the same
(`feedback.hygiene.clusters`): a model that has learned from one of them has seen them all. The draw is a salted hash of
the cluster, made once, when the cluster's first prompt comes in. So a split never moves: not when data grows, and not
when the percentages change, which is for new clusters only.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Sequence

from django.db import transaction

from feedback.audit import changed, record
from feedback.contract import EVALUATION, HOLDOUT, TRAIN, Message, digest
from feedback.models import Project, User
from feedback.refusals import Refusal

EVALUATION_PERCENT_LIMIT = 90
HOLDOUT_PERCENT_LIMIT = 50
TRAIN_PERCENT_LEAST = 5
"""What the other two leave for training, at least."""

SAMPLED = (TRAIN, EVALUATION)
"""What is sampled, looked at and measured on the way. The hold-out split waits for the last test."""

NOT_WORDS = re.compile(r"[\W_]+")
ASCII_WORDS = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}


class SplitRefused(Refusal):
    """The shares cannot be as asked; `field` says which one is wrong."""


def normal_text(text: str) -> str:
    """Return what is left when only letters and digits count, and not their case."""
    if text.isascii():  # the same as below, four times as fast
        return " ".join(text.translate(ASCII_WORDS).split())
    text = unicodedata.normalize("NFKC", text)
    return NOT_WORDS.sub(" ", text.casefold()).strip()


def cluster_of(messages: Sequence[Message]) -> str:
    """Return the name of the cluster that a prompt starts when nothing like it is there."""
    words = normal_text("\n".join(message["content"] for message in messages))
    return digest(words or "\n".join(f"{message['role']} {message['content']}" for message in messages))


def split_of(project: Project, cluster: str) -> str:
    """Draw the split of a new cluster: the same project, shares and cluster always give the same one."""
    mark = hmac.digest(project.salt.encode(), cluster.encode(), "sha256")
    percent = int.from_bytes(mark[:8], "big") / 2**64 * 100
    if percent < project.evaluation_percent:
        return EVALUATION
    return HOLDOUT if percent < project.evaluation_percent + project.holdout_percent else TRAIN


def check_percents(*, evaluation_percent: int, holdout_percent: int) -> None:
    """Raise SplitRefused unless the two shares are possible and leave something to train on."""
    for field, percent, limit in (
        ("evaluation_percent", evaluation_percent, EVALUATION_PERCENT_LIMIT),
        ("holdout_percent", holdout_percent, HOLDOUT_PERCENT_LIMIT),
    ):
        if not 0 <= percent <= limit:
            raise SplitRefused(field, f"{percent} is not between 0 and {limit}")
    if (together := evaluation_percent + holdout_percent) > 100 - TRAIN_PERCENT_LEAST:
        raise SplitRefused(
            "holdout_percent",
            f"evaluation and hold-out together take {together} %; leave at least {TRAIN_PERCENT_LEAST} % for training",
        )


@transaction.atomic
def set_percents(*, project: Project, evaluation_percent: int, holdout_percent: int, changed_by: User) -> Project:
    """Change the shares that clusters are drawn by from now on. Prompts that are there stay where they are.

    The same shares again change nothing. Raises SplitRefused.
    """
    check_percents(evaluation_percent=evaluation_percent, holdout_percent=holdout_percent)
    asked = {"evaluation_percent": evaluation_percent, "holdout_percent": holdout_percent}
    locked = Project.objects.select_for_update().get(pk=project.pk)
    before, after = changed({name: getattr(locked, name) for name in asked}, asked)
    if after:
        Project.objects.filter(pk=locked.pk).update(**after)
        record(project=locked, actor=changed_by, action="project.splits", subject=locked, before=before, after=after)
    for name, percent in asked.items():
        setattr(project, name, percent)
    return project
