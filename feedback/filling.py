"""Put pairs of responses that are already there into a queue."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet

from feedback.models import Comparison, Prompt, Queue
from feedback.queues import enqueue_prompt


@dataclass(frozen=True)
class Filled:
    prompts: int
    comparisons: int


def fillable_prompts(queue: Queue) -> QuerySet[Prompt]:
    """Return the project's prompts with two or more responses and no comparison in `queue` yet."""
    there = Comparison.objects.filter(queue=queue, prompt=OuterRef("pk"))
    counted = queue.project.prompts.annotate(response_count=Count("responses"))
    return counted.filter(~Exists(there), response_count__gte=2)


@transaction.atomic
def fill_from_responses(*, queue: Queue, pairs: int = 1) -> Filled:
    """Add up to `pairs` comparisons of every fillable prompt; a second call adds nothing."""
    prompts = comparisons = 0
    for prompt in fillable_prompts(queue).prefetch_related("responses"):
        drawn = enqueue_prompt(queue=queue, prompt=prompt, responses=prompt.responses.all(), pairs=pairs)
        prompts += bool(drawn)
        comparisons += len(drawn)
    return Filled(prompts=prompts, comparisons=comparisons)
