"""Rows that are locked so that one act waits for another; always a person first, then a task, then its slots.

SQLite needs none of it: a transaction there holds the database's write lock from its first statement on.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import connection, models

from feedback.models import Task, User
from feedback.prepared import prepared


def lock_person(person: User) -> None:
    """Let nobody else claim for this person until the transaction ends."""
    if connection.features.has_select_for_update:
        person_locked.all(person=person.pk)


def lock_task(task_id: uuid.UUID) -> None:
    """Let nobody else change what becomes of this task until the transaction ends."""
    if connection.features.has_select_for_update:
        task_locked.all(task=task_id)


@prepared
def person_locked(*, person: Any) -> models.QuerySet[User, Any]:
    return User.objects.select_for_update(no_key=True).filter(pk=person).values_list("pk")


@prepared
def task_locked(*, task: Any) -> models.QuerySet[Task, Any]:
    return Task.objects.select_for_update(no_key=True).filter(pk=task).values_list("pk")
