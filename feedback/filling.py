"""Put tasks into a queue: new draws of responses, or responses that are already there."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet

from feedback.contract import TRAIN, digest
from feedback.hygiene.unsettled import PERSONAL, REPEATS, prompts_without, stays_out, waiting
from feedback.models import Assignment, Prompt, Queue, QueuePolicy, Response, Task, TaskResponse, User
from feedback.models.tasks import draw_key
from feedback.queues import QueueRefused
from feedback.schemas import RESPONSES
from feedback.splits import SAMPLED


@dataclass(frozen=True)
class Filled:
    prompts: int
    tasks: int


def fillable_prompts(
    queue: Queue,
    *,
    splits: Collection[str] = SAMPLED,
    without_personal_data: bool = False,
    without_near_duplicates: bool = False,
) -> QuerySet[Prompt]:
    """Return the project's prompts with enough responses for the queue's kind and no task in `queue` yet.

    The hold-out split only where it is asked for. Those with personal data that nobody has settled, and those that
    repeat another prompt, are left out on request; what a curator left out for good always is.
    """
    there = Task.objects.filter(queue=queue, prompt=OuterRef("pk"))
    counted = queue.project.prompts.pool().annotate(response_count=Count("responses"))
    counted = counted.filter(~Exists(there), response_count__gte=RESPONSES[queue.kind][0], split__in=splits)
    found = stays_out(queue.project)
    if without_personal_data:
        found |= waiting(queue.project, PERSONAL)
    if without_near_duplicates:
        found |= waiting(queue.project, REPEATS)
    return prompts_without(counted, found)


@transaction.atomic
def fill_from_responses(*, queue: Queue, pairs: int = 1, **which: Any) -> Filled:
    """Add up to `pairs` tasks of every fillable prompt; a second call adds nothing. `which` as `fillable_prompts`."""
    prompts = tasks = 0
    for prompt in fillable_prompts(queue, **which).prefetch_related("responses"):
        drawn = enqueue_prompt(queue=queue, prompt=prompt, responses=prompt.responses.all(), pairs=pairs)
        prompts += bool(drawn)
        tasks += len(drawn)
    return Filled(prompts=prompts, tasks=tasks)


@transaction.atomic
def enqueue_prompt(
    *, queue: Queue, prompt: Prompt, responses: Iterable[Response], pairs: int = 1, priority: float = 0.0
) -> list[Task]:
    """Draw `pairs` of all choices of differing responses and put each in the queue, with one slot per wanted judgment.

    A choice holds as many responses as the queue's kind shows (`feedback.schemas.RESPONSES`): two for a comparison, up
    to nine for a ranking, none for a demonstration. The draw depends on the queue, the prompt and the responses
    alone, so the same call again adds nothing. Responses with the same text count once: people would see no
    difference. Raises QueueRefused.
    """
    if prompt.project_id != queue.project_id:
        raise QueueRefused("prompt", "the prompt belongs to another project")
    if pairs < 1:
        raise QueueRefused("pairs", f"{pairs} is less than 1")
    distinct: dict[str, Response] = {}
    for response in sorted(responses, key=lambda response: response.pk):
        if response.prompt_id != prompt.pk:
            raise QueueRefused("responses", f"response {response.pk} answers another prompt")
        distinct.setdefault(response.text.strip(), response)
    fewest, most = RESPONSES[queue.kind]
    together = min(most, len(distinct))
    if together < fewest:
        return []
    eligible = list(itertools.combinations(distinct.values(), together))
    wanted = min(pairs, len(eligible))
    drawn = random.Random(f"{queue.pk}:{prompt.pk}").sample(eligible, wanted)
    return [
        enqueue_task(queue=queue, prompt=prompt, responses=chosen, propensity=wanted / len(eligible), priority=priority)
        for chosen in drawn
    ]


@transaction.atomic
def enqueue_task(
    *,
    queue: Queue,
    prompt: Prompt,
    responses: Sequence[Response],
    propensity: float = 1.0,
    priority: float = 0.0,
    slots: int | None = None,
) -> Task:
    """Put one task in the queue with its slots, or return the one that is there. Raises QueueRefused.

    `slots` overrides how many judgments the policy asks for; 0 makes a task that is only handed out on purpose (gold).
    """
    fewest, most = RESPONSES[queue.kind]
    in_order = sorted(responses, key=lambda response: response.pk)
    if not fewest <= len(in_order) <= most:
        raise QueueRefused("responses", f"a {queue.kind} shows {fewest} to {most} responses, not {len(in_order)}")
    if any(response.prompt_id != prompt.pk for response in in_order) or prompt.project_id != queue.project_id:
        raise QueueRefused("responses", "every response answers the task's prompt, in the queue's project")
    key = digest([str(prompt.pk), *(str(response.pk) for response in in_order)])
    task, is_new = Task.objects.get_or_create(
        queue=queue, key=key, defaults={"prompt": prompt, "propensity": propensity}
    )
    if is_new:
        TaskResponse.objects.bulk_create(
            TaskResponse(task=task, response=response, place=place) for place, response in enumerate(in_order)
        )
        wanted = slots_wanted(queue.policy, prompt) if slots is None else slots
        add_slots(task=task, queue=queue, language=prompt.language, count=wanted, priority=priority)
    return task


def add_slots(
    *,
    task: Task,
    queue: Queue,
    language: str,
    count: int,
    priority: float = 0.0,
    reserved_for: User | None = None,
) -> list[Assignment]:
    """Give a task `count` more open slots, which share its place in the queue."""
    order_key, random_key, start = draw_key(), draw_key(), 0
    last = task.assignments.filter(slot__isnull=False).order_by("-slot").first()
    if last is not None:
        order_key, random_key, start, priority = last.order_key, last.random_key, (last.slot or 0) + 1, last.priority
    return Assignment.objects.bulk_create(
        Assignment(
            task=task, queue=queue, slot=slot, priority=priority, order_key=order_key, random_key=random_key,
            language=language, reserved_for=reserved_for,
        )
        for slot in range(start, start + count)
    )  # fmt: skip


def slots_wanted(policy: QueuePolicy | None, prompt: Prompt) -> int:
    """Return how many judgments the policy asks of a task on this prompt; the share of tasks is drawn by prompt."""
    assert policy is not None, "an open queue has its policy"
    if prompt.split != TRAIN and policy.evaluation_overlap is not None:
        return policy.evaluation_overlap
    draw = random.Random(f"overlap:{policy.queue_id}:{prompt.pk}").random()
    return policy.overlap if draw < policy.overlap_percent / 100 else 1
