"""Put pairs of responses that are already there into a queue."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count

from feedback.models import Queue
from feedback.queues import enqueue_prompt


@dataclass(frozen=True)
class Filled:
    prompts: int
    comparisons: int


@transaction.atomic
def fill_from_responses(*, queue: Queue, pairs: int = 1) -> Filled:
    """Add `pairs` comparisons of every prompt of the project with two or more responses; a second call adds nothing."""
    prompts = queue.project.prompts.annotate(response_count=Count("responses")).filter(response_count__gte=2)
    known = queue.comparisons.count()
    seen = 0
    for prompt in prompts.prefetch_related("responses").iterator(chunk_size=200):
        enqueue_prompt(queue=queue, prompt=prompt, responses=list(prompt.responses.all()), pairs=pairs)
        seen += 1
    return Filled(prompts=seen, comparisons=queue.comparisons.count() - known)
