"""Rows that are written once, and the one door through which they change after all: erasure."""

from __future__ import annotations

from typing import Any

from django.db import models


class AppendOnly(TypeError):
    """A stored row was about to be changed or deleted; write a new one instead."""


def wipe(rows: models.QuerySet[Any], **values: Any) -> int:
    """Change append-only rows, and return how many: for what a person has a right to have erased, and nothing else.

    Only `feedback.erasing` and `feedback.withdrawing` come through here (tests/test_architecture.py holds it). The
    rows stay, so that who did something, when and how often is still known.
    """
    return rows.order_by().update(**values)


class AppendOnlyModel(models.Model):
    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly(f"{type(self).__name__} {self.pk} is append-only")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise AppendOnly(f"{type(self).__name__} {self.pk} is append-only")
