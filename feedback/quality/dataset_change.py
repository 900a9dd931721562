"""How many rows a snapshot would have with and without a selection's exclusions, per table and split."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import Count, TextField
from django.db.models.functions import Cast

from feedback.models import Judgment, LabelSchema, Project
from feedback.quality.columns import batches
from feedback.schemas import TaskKind
from feedback.selection import Selection

Json = dict[str, Any]


def dataset_change(project: Project, selection: Selection) -> Json:
    """Return judgments per kind and rows per table, each by split, before and after, and why judgments stay out.

    Every judgment counts by itself, as under the verdict rule `latest`. A correction or an edit that changed nothing is
    counted as one that did.
    """
    plain = Selection()
    before, after = counted(project, plain), counted(project, selection)
    return {
        "judgments": beside(judgments_of(before), judgments_of(after)),
        "rows": beside(rows_of(project, plain, before), rows_of(project, selection, after)),
        "left_out": beside({"": left_out(before)}, {"": left_out(after)}).get("", {}),
    }


def counted(project: Project, selection: Selection) -> Counter[tuple[str, str, str]]:
    """Count the considered judgments by kind, split and why they stay out ("" for what goes in)."""
    names = ("queue__kind", "task__prompt__split", "left_out")
    rows = selection.considered(project).order_by().values_list(*names)  # the last one is annotated
    return Counter({(kind, split, why): number for kind, split, why, number in rows.annotate(Count("pk"))})


def judgments_of(counts: Counter[tuple[str, str, str]]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for (kind, split, why), number in counts.items():
        if not why:
            found.setdefault(TaskKind(kind).label, Counter())[split] += number
    return found


def left_out(counts: Counter[tuple[str, str, str]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (_, _, why), number in counts.items():
        if why:
            found[why] += number
    return found


def rows_of(project: Project, selection: Selection, counts: Counter[tuple[str, str, str]]) -> dict[str, Counter[str]]:
    """Return rows by table and split of what goes in."""
    found: dict[str, Counter[str]] = {}

    def add(table: str, split: str, number: int) -> None:
        if number:
            found.setdefault(table, Counter())[split] += number

    for (kind, split, why), number in counts.items():
        if not why:
            for table in PLAIN_TABLES.get(kind, ()):
                add(table, split, number)
    told = Judgment.objects.filter(pk__in=selection.eligible(project).values("pk")).exclude(content={})
    told = told.filter(queue__kind__in=MORE_ROWS).order_by()
    columns = ("queue__kind", "task__prompt__split", "schema_id", Cast("content", TextField()))
    thumbs = thumbs_of(project)
    for batch in batches(told.values_list(*columns)):
        for kind, split, schema, content in batch:
            for table, number in MORE_ROWS[kind](json.loads(content), thumbs.get(schema, frozenset())).items():
                add(table, split, number)
    return found


PLAIN_TABLES: Mapping[str, tuple[str, ...]] = {
    TaskKind.COMPARISON: ("preference",),
    TaskKind.RANKING: ("ranking",),
    TaskKind.DEMONSTRATION: ("sft",),
    TaskKind.CORRECTION: ("sft",),
    TaskKind.CONVERSATION: ("conversation",),
}
"""Tables of which a judgment of the kind becomes one row, whatever it says."""


def thumbs_of(project: Project) -> dict[int, frozenset[str]]:
    """Return which attributes each label schema of the project rates by thumbs."""
    schemas = LabelSchema.objects.filter(queue__project=project, queue__kind=TaskKind.RATING).select_related("queue")
    return {
        schema.pk: frozenset(attribute.key for attribute in schema.asks.attributes if attribute.style == "thumbs")
        for schema in schemas
    }


def of_comparison(content: Json, thumbs: frozenset[str]) -> dict[str, int]:
    return {"preference": 2 if str(content.get("edited", "")).strip() else 0}


def of_ranking(content: Json, thumbs: frozenset[str]) -> dict[str, int]:
    ranks = [rank for rank in content.get("ranks", ()) if rank is not None]
    pairs = len(ranks) * (len(ranks) - 1) // 2 - sum(n * (n - 1) // 2 for n in Counter(ranks).values())
    return {"preference": pairs}


def of_rating(content: Json, thumbs: frozenset[str]) -> dict[str, int]:
    said = content.get("ratings", ())
    return {"rating": len(said), "unpaired": sum(key in thumbs for one in said for key in one)}


def of_correction(content: Json, thumbs: frozenset[str]) -> dict[str, int]:
    return {"preference": 1}


MORE_ROWS: Mapping[str, Callable[[Json, frozenset[str]], dict[str, int]]] = {
    TaskKind.COMPARISON: of_comparison,
    TaskKind.RANKING: of_ranking,
    TaskKind.RATING: of_rating,
    TaskKind.CORRECTION: of_correction,
}
"""What a judgment becomes besides, from what it says and which attributes of its schema are thumbs."""


def beside(before: Mapping[str, Counter[str]], after: Mapping[str, Counter[str]]) -> dict[str, dict[str, list[int]]]:
    """Lay two tables of counts beside each other: name, split, [before, after]."""
    return {
        name: {
            split: [before.get(name, Counter())[split], after.get(name, Counter())[split]]
            for split in sorted({*before.get(name, ()), *after.get(name, ())})
        }
        for name in sorted({*before, *after})
    }
