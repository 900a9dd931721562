"""One small queue of every kind of task beside the demo's comparisons, so that each can be tried at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import transaction

from feedback.contract import digest
from feedback.filling import enqueue_prompt
from feedback.first_guidelines import FIRST_GUIDELINES
from feedback.models import Project, Prompt, Queue, Response, User
from feedback.queues import open_queue
from feedback.responses import add_response
from feedback.schemas import TaskKind
from training.models import Checkpoint

NAMES: Mapping[str, str] = {
    TaskKind.RANKING: "Rank three answers",
    TaskKind.RATING: "Rate an answer",
    TaskKind.CORRECTION: "Correct an answer",
    TaskKind.DEMONSTRATION: "Write the answer",
    TaskKind.CONVERSATION: "Talk with the model",
}
TASKS = 12
"""How many tasks each of these queues holds."""
WRITTEN_BY = "smollm2-135m-instruct"


@transaction.atomic
def seed_queues(*, project: Project, file: Path, base: Checkpoint | None, opened_by: User) -> None:
    """Open the queues that are missing and fill them; one that is there stays as it is.

    `file` holds prompts of the project with responses that the base model wrote. Without a base model there is nobody
    to talk with, so that queue waits until there is one.
    """
    answered = list(seed_responses(project, file))
    others = list(project.prompts.pool().exclude(pk__in=[prompt.pk for prompt, _ in answered]).order_by("pk")[:TASKS])
    for kind, name in NAMES.items():
        if (kind == TaskKind.CONVERSATION and base is None) or project.queues.filter(name=name).exists():
            continue
        talks_with = {"policies": [str(base.pk)], "max_new_tokens": 96} if base is not None else {}
        queue = open_queue(
            project=project,
            name=name,
            kind=kind,
            guideline=FIRST_GUIDELINES[kind],
            schema=talks_with if kind == TaskKind.CONVERSATION else {},
            created_by=opened_by,
        )
        fill(queue, answered, others)


def seed_responses(project: Project, file: Path) -> Iterator[tuple[Prompt, list[Response]]]:
    """Yield each prompt of `file` with its responses, stored once."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    prompts = {prompt.digest: prompt for prompt in project.prompts.all()}
    for row in rows:
        prompt = prompts[digest(row["messages"])]
        responses = [
            add_response(
                prompt=prompt,
                text=response["text"],
                origin=f"demo:{number}",
                model_name=WRITTEN_BY,
                sampling=response["sampling"],
            )
            for number, response in enumerate(row["responses"])
        ]
        yield prompt, responses


def fill(queue: Queue, answered: list[tuple[Prompt, list[Response]]], others: list[Prompt]) -> None:
    """Give the queue its tasks: on prompts with responses where the kind shows some, else on the others."""
    if queue.kind in (TaskKind.DEMONSTRATION, TaskKind.CONVERSATION):
        for prompt in others:
            enqueue_prompt(queue=queue, prompt=prompt, responses=[])
        return
    for number, (prompt, responses) in enumerate(islice(answered, TASKS)):
        shown = responses if queue.kind == TaskKind.RANKING else [responses[number % len(responses)]]
        enqueue_prompt(queue=queue, prompt=prompt, responses=shown)
