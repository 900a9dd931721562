"""On SQLite transactions wait in turns, in one process and over several, and nobody keeps a turn after the end."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import OperationalError

from rlhf_site.sqlite_in_turns.base import TURNS, DatabaseWrapper
from rlhf_site.sqlite_in_turns.turns import Turn

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
    assert TURNS[str(path)].is_taken()
    getattr(connection, end)()
    assert not TURNS[str(path)].is_taken()


def test_a_transaction_that_cannot_begin_keeps_no_turn(connection, path):
    begin(connection)
    TURNS[str(path)].release()  # as if another process were writing
    connection.turn = None
    other = wrapper(path)
    with pytest.raises(OperationalError, match="locked"):
        begin(other)
    assert not TURNS[str(path)].is_taken()
    other.close()


HOLDER = """
import sys
from rlhf_site.sqlite_in_turns.turns import Turn
turn = Turn(sys.argv[1])
assert turn.acquire(10)
print("has it", flush=True)
sys.stdin.readline()
turn.release()
print("gave it back", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the turn until it is told something."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "has it\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("end", ["gives it back", "is killed"])
def test_a_turn_that_another_process_has_comes_when_that_process(path, holder, end):
    turn = Turn(str(path))
    assert not turn.acquire(0.01)
    assert not turn.is_taken()
    if end == "is killed":
        holder.kill()
        holder.wait(10)
    else:
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "gave it back\n"
    assert turn.acquire(10)
    turn.release()


@pytest.mark.parametrize("name", [":memory:", "file:memorydb_default?mode=memory&cache=shared", "/nowhere/at/all/x"])
def test_a_database_without_a_place_for_the_file_has_turns_in_this_process(name):
    turn = Turn(name)
    assert turn.acquire(1)
    assert not turn.acquire(0.01)
    turn.release()
    assert turn.acquire(1)
    turn.release()


def test_databases_have_turns_of_their_own(connection, tmp_path):
    begin(connection)
    other = wrapper(tmp_path / "other.sqlite3")
    begin(other)
    other.commit()
    other.close()
