"""Open queues, say what people are asked there, and fill them with comparisons."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Count, Q

from feedback.models import (
    Assignment,
    Comparison,
    Guideline,
    Project,
    Prompt,
    Queue,
    QueuePolicy,
    Response,
    Skip,
    User,
)
from feedback.refusals import Refusal

OVERLAP_LIMIT = 20
LEASE_MINUTES_LIMIT = 24 * 60
GUIDELINE_LENGTH_LIMIT = 100_000


class QueueRefused(Refusal):
    """A queue cannot be made or changed as asked; `field` says which value is wrong."""


@dataclass(frozen=True)
class QueueProgress:
    """Where a queue stands. Slots = done + leased + open; a lease that ran out counts as open."""

    comparisons: int
    slots: int
    done: int
    leased: int
    open: int
    skipped: int
    """How often people passed over a comparison."""

    @property
    def percent(self) -> int:
        """Share of slots that are done, rounded down, so that 100 means all."""
        return 100 * self.done // self.slots if self.slots else 0


@transaction.atomic
def open_queue(
    *,
    project: Project,
    name: str,
    guideline: str,
    created_by: User,
    overlap: int = 1,
    lease_minutes: int = 30,
    allow_tie: bool = True,
    require_rationale: bool = False,
) -> Queue:
    """Open a queue with the first version of its guidelines and policy. Raises QueueRefused."""
    name = name.strip()
    if not name or len(name) > 200:
        raise QueueRefused("name", "give the queue a name of at most 200 characters")
    if Queue.objects.filter(project=project, name=name).exists():
        raise QueueRefused("name", f"the project already has a queue named {name!r}")
    text = checked_guideline(guideline)
    check_policy(overlap, lease_minutes)
    queue = Queue.objects.create(project=project, name=name, created_by=created_by)
    Guideline.objects.create(queue=queue, number=1, text=text, created_by=created_by)
    QueuePolicy.objects.create(
        queue=queue,
        number=1,
        overlap=overlap,
        lease_minutes=lease_minutes,
        allow_tie=allow_tie,
        require_rationale=require_rationale,
        created_by=created_by,
    )
    return queue


def checked_guideline(text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise QueueRefused("guideline", "write down what makes one response better than another")
    if len(text) > GUIDELINE_LENGTH_LIMIT:
        raise QueueRefused(
            "guideline", f"{len(text):,} characters are too many; the most is {GUIDELINE_LENGTH_LIMIT:,}"
        )
    if "\x00" in text:
        raise QueueRefused("guideline", "the text contains a NUL character")
    return text


def check_policy(overlap: int, lease_minutes: int) -> None:
    if not 1 <= overlap <= OVERLAP_LIMIT:
        raise QueueRefused("overlap", f"{overlap} is not between 1 and {OVERLAP_LIMIT}")
    if not 1 <= lease_minutes <= LEASE_MINUTES_LIMIT:
        raise QueueRefused("lease_minutes", f"{lease_minutes} is not between 1 and {LEASE_MINUTES_LIMIT}")


@transaction.atomic
def change_guideline(*, queue: Queue, text: str, changed_by: User) -> Guideline:
    """Store `text` as the next version; the current text again adds none. Raises QueueRefused."""
    text = checked_guideline(text)
    Queue.objects.select_for_update().get(pk=queue.pk)
    current = queue.guideline
    if current.text == text:
        return current
    return Guideline.objects.create(queue=queue, number=current.number + 1, text=text, created_by=changed_by)


@transaction.atomic
def change_policy(
    *,
    queue: Queue,
    changed_by: User,
    overlap: int | None = None,
    lease_minutes: int | None = None,
    allow_tie: bool | None = None,
    require_rationale: bool | None = None,
) -> QueuePolicy:
    """Store the next version of the queue's rules; what is None stays. Raises QueueRefused.

    Claims follow it from now on. A new overlap counts for comparisons that are enqueued from now on.
    """
    Queue.objects.select_for_update().get(pk=queue.pk)
    current = queue.policy
    asked = {
        "overlap": overlap,
        "lease_minutes": lease_minutes,
        "allow_tie": allow_tie,
        "require_rationale": require_rationale,
    }
    before = {name: getattr(current, name) for name in asked}
    after = {name: before[name] if value is None else value for name, value in asked.items()}
    check_policy(after["overlap"], after["lease_minutes"])
    if after == before:
        return current
    return QueuePolicy.objects.create(queue=queue, number=current.number + 1, created_by=changed_by, **after)


def set_queue_state(*, queue: Queue, state: str) -> Queue:
    """Open, pause or close the queue. Who holds a lease may still submit. Raises QueueRefused."""
    if state not in Queue.State.values:
        raise QueueRefused("state", f"{state!r} is not one of {', '.join(Queue.State.values)}")
    queue.state = Queue.State(state)
    queue.save(update_fields=["state"])
    return queue


@transaction.atomic
def enqueue_prompt(
    *, queue: Queue, prompt: Prompt, responses: Iterable[Response], pairs: int = 1, priority: float = 0.0
) -> list[Comparison]:
    """Draw `pairs` of all pairs of differing responses and put each in the queue, with one slot per wanted judgment.

    The draw depends on the queue, the prompt and the responses alone, so the same call again adds nothing. Responses
    with the same text count once: people would see no difference. Raises QueueRefused.
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
    eligible = list(itertools.combinations(distinct.values(), 2))
    wanted = min(pairs, len(eligible))
    drawn = random.Random(f"{queue.pk}:{prompt.pk}").sample(eligible, wanted)
    overlap = queue.policy.overlap if drawn else 0
    comparisons = []
    for first, second in drawn:
        comparison, is_new = Comparison.objects.get_or_create(
            queue=queue,
            response_a=first,
            response_b=second,
            defaults={"prompt": prompt, "propensity": wanted / len(eligible)},
        )
        if is_new:
            Assignment.objects.bulk_create(
                Assignment(comparison=comparison, queue=queue, slot=slot, priority=priority) for slot in range(overlap)
            )
        comparisons.append(comparison)
    return comparisons


def queue_progress(queue: Queue, now: datetime) -> QueueProgress:
    """Count the queue's slots by what stands with them."""
    live = Q(state=Assignment.State.LEASED, lease_expires_at__gt=now)
    counts = Assignment.objects.filter(queue=queue).aggregate(
        slots=Count("pk"),
        done=Count("pk", filter=Q(state=Assignment.State.DONE)),
        leased=Count("pk", filter=live),
    )
    return QueueProgress(
        comparisons=queue.comparisons.count(),
        open=counts["slots"] - counts["done"] - counts["leased"],
        skipped=Skip.objects.filter(comparison__queue=queue).count(),
        **counts,
    )
