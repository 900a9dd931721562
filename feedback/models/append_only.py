"""Rows that are written once."""

from __future__ import annotations

from typing import Any

from django.db import models


class AppendOnly(TypeError):
    """A stored row was about to be changed or deleted; write a new one instead."""


class AppendOnlyModel(models.Model):
    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly(f"{type(self).__name__} {self.pk} is append-only")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise AppendOnly(f"{type(self).__name__} {self.pk} is append-only")
