"""What people said of gold: right or wrong, in the order of time. It is evidence about them, and about the gold.

Counted is what was given to a person as gold, and gold whose answer a curator wrote. Left out are votes from which the
gold itself was made, which are right by construction, and gold that was retired because good people dispute it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from feedback.answers import Answer
from feedback.gold import KINDS, is_right
from feedback.models import Arm, Gold, GoldRetirement, LabelSchema
from feedback.models.judgments import JudgmentQuerySet
from feedback.schemas import TaskKind

ROWS_AT_ONCE = 10_000


class Mark(NamedTuple):
    judgment: UUID
    person: int
    gold: int
    at: datetime
    right: bool


def of_gold(judgments: JudgmentQuerySet, *, with_disputed: bool = False) -> JudgmentQuerySet:
    """Return those of `judgments` that tell how a person does, or how good the gold is (`with_disputed`)."""
    told = Q(arm=Arm.GOLD) | Q(task__gold__made_from=Gold.MadeFrom.CURATOR)
    found = judgments.filter(told, task__gold__isnull=False)
    if with_disputed:
        return found
    disputed = GoldRetirement.objects.filter(
        gold__task=OuterRef("task"), reason=GoldRetirement.Reason.DISPUTED, returned_at__isnull=True
    )
    return found.exclude(Exists(disputed))


def read_marks(judgments: JudgmentQuerySet, *, with_disputed: bool = False) -> list[Mark]:
    """Return what `judgments` say of gold, the first made first; raw rows, so that 100,000 take a second."""
    told = of_gold(judgments, with_disputed=with_disputed).order_by("created_at", "id")
    comparisons = told.filter(queue__kind=TaskKind.COMPARISON)
    others = told.filter(queue__kind__in=[kind for kind in KINDS if kind != TaskKind.COMPARISON])
    marks = [*marks_of_comparisons(comparisons), *marks_of_others(others)]
    return sorted(marks, key=lambda mark: (mark.at, mark.judgment))


def marks_of_comparisons(judgments: JudgmentQuerySet) -> Iterator[Mark]:
    wanted = judgments.values_list(
        "id", "annotator_id", "task__gold__id", "created_at", "preference", "task__gold__answer__preference"
    )
    for judgment, person, gold, at, said, known in wanted.iterator(ROWS_AT_ONCE):
        right = said is not None and (said > 0) - (said < 0) == (known > 0) - (known < 0)
        yield Mark(judgment, person, gold, at, right)


def marks_of_others(judgments: JudgmentQuerySet) -> Iterator[Mark]:
    known = dict(
        Gold.objects.filter(task__in=judgments.order_by().values("task")).order_by().values_list("pk", "answer")
    )
    schemas = LabelSchema.objects.filter(pk__in=judgments.order_by().values("schema")).select_related("queue")
    asked = {schema.pk: schema.asks for schema in schemas}
    wanted = judgments.values_list("id", "annotator_id", "task__gold__id", "created_at", "content", "schema_id")
    for judgment, person, gold, at, content, schema in wanted.iterator(ROWS_AT_ONCE):
        yield Mark(judgment, person, gold, at, is_right(asked[schema], known[gold], Answer(None, content)))


def failing_gold(judgments: JudgmentQuerySet) -> JudgmentQuerySet:
    """Return those of `judgments` that gold says are wrong, gold that is disputed left out."""
    told = of_gold(judgments)
    known = "task__gold__answer__preference"
    wrong = (
        Q(**{f"{known}__gt": 0}, preference__lte=0)
        | Q(**{f"{known}__lt": 0}, preference__gte=0)
        | Q(Q(preference__gt=0) | Q(preference__lt=0), **{known: 0})
    )
    others = told.filter(queue__kind__in=[kind for kind in KINDS if kind != TaskKind.COMPARISON])
    ids = [mark.judgment for mark in marks_of_others(others.order_by()) if not mark.right]
    return judgments.filter(Q(pk__in=told.filter(wrong, queue__kind=TaskKind.COMPARISON).values("pk")) | Q(pk__in=ids))
