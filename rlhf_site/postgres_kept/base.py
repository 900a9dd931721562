"""Django's PostgreSQL, whose kept connections are looked at before they are asked.

Before each request Django asks a kept connection `SELECT 1`, because the server may have ended it meanwhile. A server
that ends a connection closes its socket, which the kernel tells without asking anybody.

No statement here runs long enough to be worth compiling (`jit`): PostgreSQL overestimates what a condition with a
subquery costs, and compiles for half a second what then runs for a tenth of one, at every page of a search.
"""

from __future__ import annotations

import select
from typing import Any

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    def init_connection_state(self) -> None:
        super().init_connection_state()
        with self.connection.cursor() as cursor:
            cursor.execute("SET jit = off")
        if not self.get_autocommit():
            self.connection.commit()  # else it would be undone with the first transaction

    def is_usable(self) -> Any:
        """Tell whether the connection still answers; it is asked only when something waits on its socket."""
        if self.connection is None or self.connection.closed:
            return False
        socket = select.poll()
        socket.register(self.connection.pgconn.socket, select.POLLIN)
        return super().is_usable() if socket.poll(0) else True
