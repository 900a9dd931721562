"""How `manage.py up` runs the site under gunicorn (`--config python:training.serving`).

One process with threads: SQLite has one writer anyway, and the pages wait for the database more than for Python.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from training.rundir import when_guard_closes

worker_class = "gthread"
workers = 1
threads = 8
timeout = 120
graceful_timeout = 5
keepalive = 5
loglevel = "warning"
control_socket_disable = True


def when_ready(server: Any) -> None:
    """End with `manage.py up`, even when it is killed: its end of the guard pipe closes then."""
    when_guard_closes(lambda: os.kill(os.getpid(), signal.SIGTERM))
