"""Statements that are compiled once. For the few that every claim and every submission makes.

To build and compile a QuerySet costs Django several times what the database needs to answer it. Here the QuerySet
is built once, of `Given` values, and its SQL kept for the connection; a call only binds values and makes models of the
rows. What is asked stays a QuerySet that can be read, tested and explained. docs/decisions/prepared-statements.md
has the figures.

    @prepared
    def drafts_of(*, task, annotator):
        return Draft.objects.filter(task=task, annotator=annotator)

    drafts_of.first(task=slot.task_id, annotator=person)

The function is called once, with a `Given` for each argument: it must not look at the values. `prefetch_related` is not
carried out, a list (`__in`) cannot be given, and an id has to be a UUID, not its text.
"""

from __future__ import annotations

import inspect
import operator
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Expression, QuerySet
from django.db.models.query import FlatValuesListIterable, ModelIterable, ValuesListIterable, get_related_populators
from django.db.models.sql import DeleteQuery, UpdateQuery

Row = TypeVar("Row")


class Given(Expression):
    """A value that is not known yet when the statement is compiled."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


@dataclass(frozen=True)
class Statement:
    """SQL with the places of the given values, for one connection."""

    connection: BaseDatabaseWrapper
    sql: str
    parameters: tuple[Any, ...]
    rows: Callable[[list[Any]], list[Any]] | None = None
    """What makes models of the rows; None of an update or a deletion, which has none."""
    keeps_plan: bool = True
    """Whether PostgreSQL may keep its plan, too."""

    def execute(self, given: Mapping[str, Any]) -> tuple[list[Any], int]:
        """Return the rows and how many there were, or how many an update or a deletion met."""
        bound = [
            bind(given[each.name], self.connection) if isinstance(each, Given) else each for each in self.parameters
        ]
        with cursor_of(self.connection) if self.keeps_plan else self.connection.cursor() as cursor:
            cursor.execute(self.sql, bound)
            return (self.rows(cursor.fetchall()) if self.rows else []), cursor.rowcount


def cursor_of(connection: Any) -> Any:
    """Return a cursor; PostgreSQL's binds in the server, which keeps its plan too (setting PREPARED_STATEMENTS)."""
    if connection.vendor != "postgresql":
        return connection.cursor()
    from django.db.backends.postgresql.base import ServerBindingCursor

    connection.close_if_health_check_failed()  # both as connection.cursor() does
    connection.ensure_connection()
    cursor = ServerBindingCursor(connection.connection)  # type: ignore[call-arg]
    return connection.make_debug_cursor(cursor) if connection.queries_logged else connection.make_cursor(cursor)


def bind(value: Any, connection: BaseDatabaseWrapper) -> Any:
    """Return `value` as the database's driver takes it."""
    if isinstance(value, models.Model):
        value = value.pk
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, uuid.UUID):
        return value if connection.features.has_native_uuid_field else value.hex
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value


class Kept:
    """Compiles at the first call of each thread, whose connection is its own."""

    def __init__(self, build: Callable[..., Any]) -> None:
        self.build = build
        self.names = frozenset(inspect.signature(build).parameters)
        self.__doc__ = build.__doc__
        self.local = threading.local()

    def run(self, given: Mapping[str, Any]) -> tuple[list[Any], int]:
        if given.keys() != self.names:
            raise TypeError(f"{self.build.__name__} takes {sorted(self.names)}, not {sorted(given)}")
        connection = connections[DEFAULT_DB_ALIAS]
        statement: Statement | None = getattr(self.local, "statement", None)
        if statement is None or statement.connection is not connection:
            statement = self.compile({name: Given(name) for name in self.names}, connection)
            self.local.statement = statement
        return statement.execute(given)

    def compile(self, given: Mapping[str, Given], connection: BaseDatabaseWrapper) -> Statement:
        raise NotImplementedError


class prepared(Kept, Generic[Row]):
    """Decorates a function that returns a QuerySet of models or of `values_list` rows."""

    keeps_plan = True

    def __init__(self, build: Callable[..., QuerySet[Any, Row]]) -> None:
        super().__init__(build)

    def all(self, **given: Any) -> list[Row]:
        return self.run(given)[0]

    def asked(self, given: Mapping[str, Any]) -> QuerySet[Any, Row]:
        """Return the QuerySet that is compiled, or that of real values."""
        return self.build(**given)

    def first(self, **given: Any) -> Row | None:
        """Return the first of the rows, all of which are fetched: the QuerySet itself says how many it wants."""
        rows = self.run(given)[0]
        return rows[0] if rows else None

    def compile(self, given: Mapping[str, Given], connection: BaseDatabaseWrapper) -> Statement:
        asked = self.asked(given)
        compiler = asked.query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        converters = compiler.get_converters([column[0] for column in compiler.select[: compiler.col_count]])
        make = MAKERS[asked._iterable_class](compiler, connection)

        def rows(fetched: list[Any]) -> list[Any]:
            return [make(row) for row in (compiler.apply_converters(fetched, converters) if converters else fetched)]

        return Statement(connection, sql, tuple(parameters), rows, self.keeps_plan)


class prepared_for_each(prepared[Row]):
    """As `prepared`, where one plan does not suit all values: PostgreSQL plans it for the values of each call."""

    keeps_plan = False


def maker_of_models(compiler: Any, connection: BaseDatabaseWrapper) -> Callable[[Any], Any]:
    """Return what makes a model of a row, with what `select_related` and `annotate` add, as a QuerySet does."""
    made = compiler.klass_info["model"]
    columns = compiler.klass_info["select_fields"]
    start, end = columns[0], columns[-1] + 1
    names = [column[0].target.attname for column in compiler.select[start:end]]
    related = get_related_populators(compiler.klass_info, compiler.select, connection.alias)  # type: ignore[call-arg]
    annotations = list((compiler.annotation_col_map or {}).items())

    def make(row: Any) -> Any:
        model = made.from_db(connection.alias, names, row[start:end])
        for each in related:
            each.populate(row, model)
        for name, position in annotations:
            setattr(model, name, row[position])
        return model

    return make


MAKERS: Mapping[type, Callable[[Any, BaseDatabaseWrapper], Callable[[Any], Any]]] = {
    ModelIterable: maker_of_models,
    ValuesListIterable: lambda compiler, connection: tuple,
    FlatValuesListIterable: lambda compiler, connection: operator.itemgetter(0),
}
"""By what a QuerySet would make of its rows. (`values` and `raw` are not there: nobody has asked for them.)"""


class prepared_update(Kept):
    """Decorates a function that returns a QuerySet and the values to set on its rows, also of Given ones.

    JSON is given as text.
    """

    def __call__(self, **given: Any) -> int:
        """Return how many rows there were."""
        return self.run(given)[1]

    def compile(self, given: Mapping[str, Given], connection: BaseDatabaseWrapper) -> Statement:
        rows, values = self.build(**given)
        query = rows.query.chain(UpdateQuery)
        query.add_update_values(values)
        sql, parameters = query.get_compiler(connection=connection).as_sql()
        return Statement(connection, sql, tuple(parameters))


class prepared_delete(Kept):
    """Decorates a function that returns a QuerySet of rows on which no other row depends."""

    def __call__(self, **given: Any) -> int:
        """Return how many rows there were."""
        return self.run(given)[1]

    def compile(self, given: Mapping[str, Given], connection: BaseDatabaseWrapper) -> Statement:
        query = self.build(**given).query.chain(DeleteQuery)
        sql, parameters = query.get_compiler(connection=connection).as_sql()
        return Statement(connection, sql, tuple(parameters))


class prepared_insert:
    """Stores new rows of a model by one kept statement, as `save(force_insert=True)` would; every value is at hand."""

    def __init__(self, model: type[models.Model]) -> None:
        fields = model._meta.concrete_fields
        columns = ", ".join(f'"{field.column}"' for field in fields)
        places = ", ".join(["%s"] * len(fields))
        self.fields = fields
        self.sql = f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({places})'  # noqa: S608 (names of our own)

    def __call__(self, row: models.Model) -> None:
        connection = connections[DEFAULT_DB_ALIAS]
        values = [field.get_db_prep_save(field.pre_save(row, True), connection) for field in self.fields]
        with cursor_of(connection) as cursor:
            cursor.execute(self.sql, values)
        row._state.adding = False
        row._state.db = connection.alias
