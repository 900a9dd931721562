"""Say who did what, in the transaction that does it. Nothing changes or deletes an event afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from feedback.models import AuditEvent, BulkAction, Project, User

NAMES: Mapping[str, str] = {"user": "person", "labelschema": "schema", "queuepolicy": "rules", "bulkaction": "bulk"}
"""What a kind of thing is called where its model has another name."""


def record(
    *,
    project: Project,
    actor: User | None,
    action: str,
    subject: models.Model,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    bulk: BulkAction | None = None,
    now: datetime | None = None,
) -> AuditEvent:
    """Store one act on one thing, with what stood there before and after; call it in the verb's own transaction.

    `action` is noun.verb (`judgment.reject`). `actor` is None when the product acted by a rule that somebody had set.
    `before` and `after` hold what JSON can say, dates and ids as text.
    """
    event = event_of(
        project=project, actor=actor, action=action, subject=subject, before=before, after=after, reason=reason,
        bulk=bulk, now=now,
    )  # fmt: skip
    event.save(force_insert=True)
    return event


def record_all(events: Iterable[AuditEvent]) -> None:
    """Store many events at once, as `event_of` makes them."""
    AuditEvent.objects.bulk_create(events, batch_size=500)


def event_of(
    *,
    project: Project,
    actor: User | None,
    action: str,
    subject: models.Model,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    bulk: BulkAction | None = None,
    now: datetime | None = None,
) -> AuditEvent:
    """Return an event that is not stored yet."""
    noun, _, verb = action.partition(".")
    if not noun or not verb:
        raise ValueError(f"{action!r} is not noun.verb, such as judgment.reject")
    made = {"created_at": now} if now is not None else {}
    return AuditEvent(
        project=project, actor=actor, action=action, subject=name_of(subject.__class__), subject_id=str(subject.pk),
        before=plain(before), after=plain(after), reason=reason, bulk=bulk, **made,
    )  # fmt: skip


def name_of(model: type[models.Model]) -> str:
    """Return what the audit log calls a kind of thing: judgment, task, queue, person ..."""
    name = str(model._meta.model_name)
    return NAMES.get(name, name)


def plain(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return `values` as JSON holds them: dates, ids and decimals as text, rows by their id."""
    if not values:
        return {}
    rows = {key: value.pk if isinstance(value, models.Model) else value for key, value in values.items()}
    return dict(json.loads(json.dumps(rows, cls=DjangoJSONEncoder)))


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both without what is the same in both."""
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return {key: before[key] for key in keys if key in before}, {key: after[key] for key in keys if key in after}
