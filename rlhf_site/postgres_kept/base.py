"""Django's PostgreSQL, whose kept connections are looked at before they are asked.

Before each request Django asks a kept connection `SELECT 1`, because the server may have ended it meanwhile. A server
that ends a connection closes its socket, which the kernel tells without asking anybody.
"""

from __future__ import annotations

import select
from typing import Any

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    def is_usable(self) -> Any:
        """Tell whether the connection still answers; it is asked only when something waits on its socket."""
        if self.connection is None or self.connection.closed:
            return False
        socket = select.poll()
        socket.register(self.connection.pgconn.socket, select.POLLIN)
        return super().is_usable() if socket.poll(0) else True
