"""On SQLite the transactions of one process wait in turns, and nobody keeps the turn after the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import OperationalError

from rlhf_site.sqlite_in_turns.base import TURNS, DatabaseWrapper

pytestmark = pytest.mark.django_db


def wrapper(path: Path) -> DatabaseWrapper:
    options = {"transaction_mode": "IMMEDIATE", "timeout": 0.1}
    return DatabaseWrapper({**settings.DATABASES["default"], "NAME": str(path), "OPTIONS": options}, "turns")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "turns.sqlite3"


@pytest.fixture
def connection(path: Path) -> Iterator[DatabaseWrapper]:
    connection = wrapper(path)
    run(connection, "CREATE TABLE counted (number INTEGER)")
    yield connection
    connection.close()


def begin(connection: DatabaseWrapper) -> None:
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)


def run(connection: DatabaseWrapper, sql: str) -> list[tuple[int, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def test_a_transaction_goes_on_when_the_one_before_it_ends(connection, path):
    begin(connection)
    began = threading.Event()

    def count() -> None:
        other = wrapper(path)
        began.set()
        begin(other)  # SQLite alone would give up after 0.1 s
        run(other, "INSERT INTO counted VALUES (2)")
        other.commit()
        other.close()

    waiting = threading.Thread(target=count)
    waiting.start()
    assert began.wait(10)
    waiting.join(0.3)
    assert waiting.is_alive()
    run(connection, "INSERT INTO counted VALUES (1)")
    connection.commit()
    waiting.join(10)
    assert run(connection, "SELECT number FROM counted") == [(1,), (2,)]


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_every_end_of_a_transaction_ends_the_turn(connection, path, end):
    begin(connection)
    assert TURNS[str(path)].locked()
    getattr(connection, end)()
    assert not TURNS[str(path)].locked()


def test_a_transaction_that_cannot_begin_keeps_no_turn(connection, path):
    begin(connection)
    TURNS[str(path)].release()  # as if another process were writing
    connection.turn = None
    other = wrapper(path)
    with pytest.raises(OperationalError, match="locked"):
        begin(other)
    assert not TURNS[str(path)].locked()
    other.close()


def test_databases_have_turns_of_their_own(connection, tmp_path):
    begin(connection)
    other = wrapper(tmp_path / "other.sqlite3")
    begin(other)
    other.commit()
    other.close()
