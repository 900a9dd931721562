"""Django's SQLite, with writers that wait in turns.

SQLite has one writer at a time, and who finds it busy sleeps and looks again, up to 100 ms at a time: nobody writes
meanwhile, and who came last may get in first. Here each takes a turn before it begins a transaction (which is
IMMEDIATE, so it will write), and the next one goes on the moment it ends: at once in the same process, within a
thousandth of a second in another one (`turns`). Single statements outside of a transaction wait in SQLite's way.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.sqlite3 import base

from rlhf_site.sqlite_in_turns.turns import Turn

TURNS: dict[str, Turn] = {}
"""By the database's name."""
PATIENCE = 20.0
"""Seconds after which a transaction is tried without its turn; SQLite then says itself that it is locked."""


class DatabaseWrapper(base.DatabaseWrapper):
    turn: Turn | None = None
    """The lock while a transaction of this connection holds it."""

    def _start_transaction_under_autocommit(self) -> None:
        name = str(self.settings_dict["NAME"])
        turn = TURNS.get(name) or TURNS.setdefault(name, Turn(name))
        if turn.acquire(timeout=PATIENCE):
            self.turn = turn
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self.end_turn()
            raise

    def _commit(self) -> Any:
        # A commit that fails leaves the transaction open; Django rolls it back then.
        done = super()._commit()  # type: ignore[misc]
        self.end_turn()
        return done

    def _rollback(self) -> Any:
        try:
            return super()._rollback()  # type: ignore[misc]
        finally:
            self.end_turn()

    def _close(self) -> Any:
        try:
            return super()._close()  # type: ignore[misc]
        finally:
            self.end_turn()

    def end_turn(self) -> None:
        turn, self.turn = self.turn, None
        if turn is not None:
            turn.release()
