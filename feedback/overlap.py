"""One more opinion while people disagree: when the last wanted judgment of a task is in, or a revision changes one.

Two judgments *disagree* when

    comparison   their sides differ; a tie is a side of its own
    ranking      some pair of responses stands the other way round
    rating       some value is more than two steps apart, or thumbs differ

A task is *settled* when more than half of its judgments agree with one of them. While it is not, one more person is
asked, up to the policy's `overlap_cap`. Words are not compared: demonstrations, corrections, talks do not disagree.
When nobody more is to be asked and the task is still not settled, it is proposed for adjudication (`Dispute`), if the
policy says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import models
from django.db.models import Exists, OuterRef

from feedback.answers import Answer
from feedback.filling import add_slots
from feedback.gold import pair_orders, sign
from feedback.locks import lock_task
from feedback.models import Assignment, Dispute, Gold, Judgment, Queue, Skip, Task
from feedback.prepared import prepared
from feedback.schemas import Schema, TaskKind

FEWEST_TO_DIFFER = 2
STEPS_APART = 2
"""Ratings further apart than this disagree."""


def ask_one_more(*, task: Task, queue: Queue, schema: Schema) -> Assignment | None:
    """Add a slot if all wanted judgments are there, they are not settled, and the cap leaves room.

    Where it leaves none, the task is proposed for adjudication. Part of the transaction that stored a judgment, which
    has begun with `lock_if_growing`. `assignment_slot_once_per_task` holds the number of the new slot. `queue` comes
    with its policy.
    """
    if not may_differ(task=task, queue=queue):
        return None
    assert queue.policy is not None, "an open queue has its policy"
    # Most submissions end here: this is all that they pay for those that fill a task's last slot.
    states = states_of_slots.all(task=task.pk)
    if any(state != Assignment.State.DONE for state in states):
        return None  # a slot that was taken out counts too: a curator wants no more of this task
    if len(states) < FEWEST_TO_DIFFER and queue.policy.overlap_cap is None:
        return None
    if not is_compared.all(task=task.pk):
        return None
    judgments = Judgment.objects.current().filter(task=task, assignment__slot__isnull=False).order_by()
    if settled(schema, [judgment.answer for judgment in judgments]):
        return None
    if queue.policy.overlap_cap is None or len(states) >= queue.policy.overlap_cap:
        propose(task=task, queue=queue)
        return None
    (slot,) = add_slots(task=task, queue=queue, language=task.prompt.language, count=1)
    return slot


@prepared
def states_of_slots(*, task: Any) -> models.QuerySet[Assignment, Any]:
    return Assignment.objects.filter(task=task, slot__isnull=False).values_list("state", flat=True)


@prepared
def is_compared(*, task: Any) -> models.QuerySet[Task, Any]:
    """The task, unless it was withdrawn, its good answer is known, or a skip keeps everybody off it."""
    gold = Gold.objects.filter(task=OuterRef("pk"))
    kept_out = Skip.objects.keeping_out().filter(task=OuterRef("pk"))
    return Task.objects.filter(~Exists(gold), ~Exists(kept_out), pk=task, withdrawn_at__isnull=True).values_list("pk")


def propose(*, task: Task, queue: Queue) -> None:
    """Propose a task for adjudication, once."""
    assert queue.policy is not None, "an open queue has its policy"
    if queue.policy.propose_disputes:
        Dispute.objects.bulk_create([Dispute(task=task, queue=queue)], ignore_conflicts=True)


def lock_if_growing(*, task: Task, queue: Queue) -> None:
    """Lock a task that may get one more slot, so that of two last judgments at once one sees the other.

    Before the slot is written: curators' verbs lock task and slots in that order, too.
    """
    if may_differ(task=task, queue=queue):
        lock_task(task.pk)


def may_differ(*, task: Task, queue: Queue) -> bool:
    """Tell whether judgments of the task are compared once they are in: somebody more is asked, or it is proposed."""
    if queue.policy is None or queue.kind not in DISAGREE or task.repeat_of_id is not None:
        return False
    several = max(queue.policy.overlap, queue.policy.evaluation_overlap or 1) >= FEWEST_TO_DIFFER
    return queue.policy.overlap_cap is not None or (queue.policy.propose_disputes and several)


# Pure functions


def settled(schema: Schema, answers: Sequence[Answer]) -> bool:
    """Tell whether more than half of the answers agree with one of them, which is one of that half."""
    return (
        any(2 * sum(not disagree(schema, answer, other) for other in answers) > len(answers) for answer in answers)
        or not answers
    )


def disagree(schema: Schema, a: Answer, b: Answer) -> bool:
    """Tell whether two answers to one task, both in response order, contradict each other."""
    return DISAGREE[schema.kind](schema, a, b)


def sides_differ(schema: Schema, a: Answer, b: Answer) -> bool:
    return sign(a.preference or 0) != sign(b.preference or 0)


def some_pair_reversed(schema: Schema, a: Answer, b: Answer) -> bool:
    return any(x * y < 0 for x, y in pair_orders(a.content.get("ranks", []), b.content.get("ranks", [])))


def some_value_far_apart(schema: Schema, a: Answer, b: Answer) -> bool:
    limits = {each.key: 0 if each.style == "thumbs" else STEPS_APART for each in schema.attributes}
    ratings: tuple[Sequence[Mapping[str, int]], ...] = (a.content.get("ratings", []), b.content.get("ratings", []))
    return any(
        abs(one[key] - other[key]) > limits.get(key, STEPS_APART)
        for one, other in zip(*ratings, strict=False)
        for key in one.keys() & other.keys()
    )


DISAGREE: Mapping[str, Callable[[Schema, Answer, Answer], bool]] = {
    TaskKind.COMPARISON: sides_differ,
    TaskKind.RANKING: some_pair_reversed,
    TaskKind.RATING: some_value_far_apart,
}
