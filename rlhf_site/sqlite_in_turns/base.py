"""Django's SQLite, with the writers of one process waiting in turns.

SQLite has one writer at a time, and who finds it busy sleeps and looks again, up to 100 ms at a time: nobody writes
meanwhile, and who came last may get in first. The threads of one process can do better: each takes a lock before it
begins a transaction (which is IMMEDIATE here, so it will write), and the next one goes on the moment it ends. Other
processes, and single statements outside of a transaction, wait in SQLite's way.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

from django.db.backends.sqlite3 import base

TURNS: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
"""By the database's name."""
PATIENCE = 20.0
"""Seconds after which a transaction is tried without its turn; SQLite then says itself that it is locked."""


class DatabaseWrapper(base.DatabaseWrapper):
    turn: threading.Lock | None = None
    """The lock while a transaction of this connection holds it."""

    def _start_transaction_under_autocommit(self) -> None:
        turn = TURNS[str(self.settings_dict["NAME"])]
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
