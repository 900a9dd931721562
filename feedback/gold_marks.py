"""What people said of gold: right or wrong, in the order of time. It is evidence about them, and about the gold.

Counted is what was given to a person as gold, and gold whose answer a curator wrote. Left out are votes from which the
gold itself was made, which are right by construction, and gold that was retired because good people dispute it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import models
from django.db.models import Exists, OuterRef, Q

from feedback.answers import Answer
from feedback.gold import is_right
from feedback.models import Arm, Gold, GoldRetirement, LabelSchema
from feedback.models.judgments import JudgmentQuerySet

ROWS_AT_ONCE = 10_000


class Mark(NamedTuple):
    judgment: UUID
    person: int
    gold: int
    at: datetime
    right: bool


def of_gold(judgments: JudgmentQuerySet) -> JudgmentQuerySet:
    """Return those of `judgments` that tell how a person does."""
    told = Q(arm=Arm.GOLD) | Q(task__gold__made_from=Gold.MadeFrom.CURATOR)
    return judgments.filter(told, task__gold__isnull=False).exclude(Exists(disputed(OuterRef("task__gold"))))


def read_marks(judgments: JudgmentQuerySet, golds: models.QuerySet[Gold], *, with_disputed: bool = False) -> list[Mark]:
    """Return what `judgments` say of `golds`, the first made first; as `of_gold` counts them, or disputed gold, too.

    The gold is read first and named to the database, which then finds a person's few answers among a million judgments,
    or all answers to the gold, along an index. 100,000 answers take a second.
    """
    if not with_disputed:
        golds = golds.exclude(Exists(disputed(OuterRef("pk"))))
    known = {
        task: (pk, answer, made) for pk, task, answer, made in golds.values_list("pk", "task", "answer", "made_from")
    }
    wanted = judgments.filter(task__in=list(known)).order_by()
    rows = list(
        wanted.values_list(
            "id", "annotator_id", "task_id", "created_at", "preference", "content", "arm", "schema_id"
        ).iterator(ROWS_AT_ONCE)
    )
    schemas = LabelSchema.objects.filter(pk__in={row[-1] for row in rows}).select_related("queue")
    asked = {schema.pk: schema.asks for schema in schemas}
    marks = []
    for judgment, person, task, at, preference, content, arm, schema in rows:
        gold, answer, made_from = known[task]
        if arm == Arm.GOLD or made_from == Gold.MadeFrom.CURATOR:
            right = is_right(asked[schema], answer, Answer(preference, content))
            marks.append(Mark(judgment, person, gold, at, right))
    return sorted(marks, key=lambda mark: (mark.at, mark.judgment))


def disputed(gold: Any) -> models.QuerySet[GoldRetirement]:
    standing = GoldRetirement.objects.filter(gold=gold, returned_at__isnull=True)
    return standing.filter(reason=GoldRetirement.Reason.DISPUTED)
