"""Many rows into one table by one statement, of values and not of models: several times as fast as `bulk_create`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

from django.db import connection, models

Model = TypeVar("Model", bound=models.Model)


class Insert:
    """An INSERT of a model's rows, which give the named fields; every other field takes its default for all of them."""

    def __init__(self, model: type[models.Model], names: Sequence[str]) -> None:
        self.model = model
        by_name: dict[str, Any] = {field.name: field for field in model._meta.concrete_fields}
        self.given = [by_name[name] for name in names]
        others = [
            field
            for field in model._meta.concrete_fields
            if field not in self.given and not isinstance(field, models.AutoField)
        ]
        if drawn := [
            f.name for f in others if f.has_default() and callable(f.default) and f.default not in (dict, list)
        ]:
            raise ValueError(f"{drawn[0]} of {model.__name__} differs from row to row; name it")
        self.constant = tuple(field.get_db_prep_save(field.get_default(), connection) for field in others)
        turns = [(place, turn_of(field)) for place, field in enumerate(self.given)]
        self.turned = [(place, turn) for place, turn in turns if turn is not None]
        quote = connection.ops.quote_name
        columns = ", ".join(quote(str(field.column)) for field in (*self.given, *others))
        values = ", ".join(["%s"] * (len(self.given) + len(others)))
        # Names of the models' own columns; the values are bound.
        self.sql = f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES ({values})"  # noqa: S608

    def models(self, made: Iterable[models.Model]) -> int:
        """Insert the given fields of models that are made and not stored."""
        values = attrgetter(*(field.attname for field in self.given))
        return self.rows(values(one) for one in made)

    def rows(self, rows: Iterable[Sequence[Any]]) -> int:
        """Insert each row, a value for each named field; return how many there were."""
        turned, constant = self.turned, self.constant
        prepared = []
        for row in rows:
            values = list(row)
            for place, turn in turned:
                if values[place] is not None:
                    values[place] = turn(values[place])
            prepared.append((*values, *constant))
        if prepared:
            with connection.cursor() as cursor:
                cursor.executemany(self.sql, prepared)
        return len(prepared)


def the_same_again(turn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return `turn`, which is not asked again for the very object that came last, such as all rows' tags."""
    last = made = None

    def turned(value: Any) -> Any:
        nonlocal last, made
        if value is not last:
            last, made = value, turn(value)
        return made

    return turned


def among(rows: models.QuerySet[Model], column: str, values: Collection[str]) -> models.QuerySet[Model]:
    """Return the rows whose column of text holds one of the values, which Django does not go through one by one."""
    if not values:
        return rows.none()
    model = rows.model._meta
    name = f"{connection.ops.quote_name(model.db_table)}.{connection.ops.quote_name(column)}"
    # A column of the model's own; the values are bound.
    return rows.extra(where=[f"{name} IN ({', '.join(['%s'] * len(values))})"], params=list(values))  # noqa: S610


AS_THEY_ARE = (models.CharField, models.TextField, models.BooleanField, models.IntegerField, models.FloatField)
"""Fields whose values every database takes as Python has them."""


def turn_of(field: Any) -> Callable[[Any], Any] | None:
    """Return what makes a value of the field one of the database's, as Django would; None where it is one."""
    field = field.target_field if isinstance(field, models.ForeignKey) else field
    if isinstance(field, models.UUIDField) and not connection.features.has_native_uuid_field:
        return attrgetter("hex")
    if isinstance(field, (models.UUIDField, *AS_THEY_ARE)):
        return None
    if isinstance(field, models.JSONField):
        adapt = connection.ops.adapt_json_value
        return the_same_again(lambda value: adapt(value, field.encoder))
    if isinstance(field, models.DateTimeField):
        return cache(connection.ops.adapt_datetimefield_value)
    return lambda value: field.get_db_prep_save(value, connection)
