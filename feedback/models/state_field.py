"""A field of few known words that SQLite's partial indexes are about.

SQLite plans a statement before it knows the values bound to it, and then cannot tell that `state IN (?, ?)` is what an
index with the condition `state IN ('open', 'leased')` covers: a claim would read and sort the whole queue. So a
comparison with one of the field's own choices is written out. (psycopg writes every value out itself.)
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import lookups


class StateField(models.CharField):
    """A CharField whose choices are plain words, written into statements as they stand."""

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _, arguments, options = super().deconstruct()
        return name, "django.db.models.CharField", arguments, options

    def written(self, value: object) -> str | None:
        """Return `value` as SQL if it is one of the choices, None for any other."""
        word = str(value)
        known = word.isidentifier() and any(word == choice for choice, _ in self.flatchoices)
        return f"'{word}'" if known else None


@StateField.register_lookup
class IsState(lookups.Exact):
    def process_rhs(self, compiler: Any, connection: Any) -> Any:
        written = self.lhs.output_field.written(self.rhs) if self.rhs_is_direct_value() else None
        return (written, []) if written else super().process_rhs(compiler, connection)


@StateField.register_lookup
class IsOneOfStates(lookups.In):
    def process_rhs(self, compiler: Any, connection: Any) -> Any:
        if self.rhs_is_direct_value():
            written = [self.lhs.output_field.written(value) for value in self.rhs]
            if written and all(written):
                return f"({', '.join(written)})", []
        return super().process_rhs(compiler, connection)
