"""Gold: tasks whose good answer is known. They are mixed in unseen, to learn how people do.

A judgment is *right* when it says no more than noise differently from the gold:

    comparison   the same side, whatever the strength; a tie is right where the gold is a tie
    ranking      no pair the other way round than in the gold, and not every pair of the gold tied away
    rating       every value of the gold at most one step away; thumbs the same

Demonstrations, corrections and conversations have no one good answer, so they have no gold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from feedback.answers import Answer, BadJudgment, check_answer
from feedback.audit import record
from feedback.locks import lock_task
from feedback.models import Adjudication, Assignment, Gold, Queue, Skip, Task, User
from feedback.refusals import Refusal
from feedback.schemas import Schema, TaskKind

KINDS = (TaskKind.COMPARISON, TaskKind.RANKING, TaskKind.RATING)
"""What can be gold."""
EXPLANATION_LENGTH_LIMIT = 2_000


class GoldRefused(Refusal):
    """A task cannot be made gold as asked; `field` says which value is wrong."""


@transaction.atomic
def make_gold(
    *,
    task: Task,
    answer: Mapping[str, Any],
    explanation: str = "",
    made_from: str = Gold.MadeFrom.CURATOR,
    created_by: User,
    now: datetime | None = None,
) -> Gold:
    """Say what a good judgment of the task is, in response order (`feedback.answers`). Raises GoldRefused.

    From now on the task goes to people as gold only: its open slots are withdrawn, and who holds one finishes it. A
    rating's gold may leave out attributes that do not matter.
    """
    lock_task(task.pk)
    queue = Queue.objects.in_force().get(pk=task.queue_id)
    assert queue.schema is not None, "an open queue has its label schema"
    if queue.kind not in KINDS:
        raise GoldRefused("task", f"a {queue.kind} has no one good answer; gold is for {', '.join(KINDS)}")
    if task.repeat_of_id is not None:
        raise GoldRefused("task", "this task is one person's repeat of another one; make that one gold")
    if Gold.objects.filter(task=task).exists():
        raise GoldRefused("task", "this task is gold already, and what people were held against stays as it is")
    explanation = explanation.strip()
    if len(explanation) > EXPLANATION_LENGTH_LIMIT or "\x00" in explanation:
        raise GoldRefused("explanation", f"write at most {EXPLANATION_LENGTH_LIMIT:,} characters, without NUL")
    known = checked_gold(queue.schema.asks, len(task.texts), answer)
    slots = Assignment.objects.filter(task=task)
    slots.filter(state=Assignment.State.OPEN).update(state=Assignment.State.WITHDRAWN, reserved_for=None)
    slots.filter(state=Assignment.State.LEASED).update(reserved_for=F("annotator"))
    gold = Gold.objects.create(
        task=task, queue=queue, answer=known, explanation=explanation, made_from=made_from, created_by=created_by
    )
    record(
        project=queue.project,
        actor=created_by,
        action="gold.make",
        subject=task,
        after={"answer": known, "made_from": made_from},
        reason=explanation,
        now=now or timezone.now(),
    )
    return gold


def checked_gold(schema: Schema, responses: int, answer: Mapping[str, Any]) -> dict[str, Any]:
    try:
        checked = check_answer(schema, responses, answer, whole=schema.kind != TaskKind.RATING)
    except BadJudgment as refusal:
        raise GoldRefused("answer" if refusal.field == "rationale" else refusal.field, refusal.message) from refusal
    known = checked.as_sent(schema.kind)
    if "edited" in known:
        raise GoldRefused("edited", "gold says which response is better; nobody is held to an edit")
    if schema.kind == TaskKind.RATING and not any(known["ratings"]):
        raise GoldRefused("ratings", "rate at least one attribute of one response")
    return known


def gold_left(*, queue: Queue, annotator: User) -> QuerySet[Gold]:
    """Return the queue's gold in use that the person never had nor adjudicated, without what is out for review."""
    task = OuterRef("task")
    had = Assignment.objects.filter(task=task, annotator=annotator)
    made = Assignment.objects.filter(task=task, reserved_for=annotator)
    passed = Skip.objects.standing().filter(task=task, annotator=annotator)
    out = Skip.objects.keeping_out().filter(task=task)
    settled = Adjudication.objects.filter(task=task, adjudicator=annotator)
    left = Gold.objects.in_use().filter(~Exists(had), ~Exists(made), ~Exists(passed), ~Exists(out), ~Exists(settled))
    return left.filter(queue=queue).order_by("pk")


# What is right: pure functions


def is_right(schema: Schema, gold_answer: Mapping[str, Any], answer: Answer) -> bool:
    """Tell whether `answer` is right by the gold; both in response order."""
    if schema.kind == TaskKind.COMPARISON:
        return answer.preference is not None and sign(answer.preference) == sign(gold_answer["preference"])
    if schema.kind == TaskKind.RANKING:
        return ranked_right(gold_answer["ranks"], answer.content.get("ranks", []))
    if schema.kind == TaskKind.RATING:
        thumbs = {attribute.key for attribute in schema.attributes if attribute.style == "thumbs"}
        return rated_right(gold_answer["ratings"], answer.content.get("ratings", []), thumbs)
    raise ValueError(f"a {schema.kind} has no gold")


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


def ranked_right(gold: Sequence[int | None], ranks: Sequence[int | None]) -> bool:
    orders = pair_orders(gold, ranks)
    has_order = any(known for known, _ in pair_orders(gold, gold))
    return all(known * said >= 0 for known, said in orders) and (
        any(known * said > 0 for known, said in orders) or not has_order
    )


def pair_orders(a: Sequence[int | None], b: Sequence[int | None]) -> list[tuple[int, int]]:
    """Return how each pair of responses that both rank is ordered in `a` and in `b`: -1, 0 = tied, 1."""
    pairs = [(i, j) for j in range(min(len(a), len(b))) for i in range(j)]
    return [(sign(a[i] - a[j]), sign(b[i] - b[j])) for i, j in pairs if None not in (a[i], a[j], b[i], b[j])]  # type: ignore[operator]


def rated_right(gold: Sequence[Mapping[str, int]], ratings: Sequence[Mapping[str, int]], thumbs: set[str]) -> bool:
    return len(gold) == len(ratings) and all(
        key in said and abs(said[key] - value) <= (0 if key in thumbs else 1)
        for known, said in zip(gold, ratings, strict=True)
        for key, value in known.items()
    )
