"""How `manage.py up` runs the site under gunicorn (`--config python:training.serving`).

SQLite: one process with threads, because there is one writer anyway, and the threads of one process wait for it in
turns (`rlhf_site/sqlite_in_turns`). PostgreSQL: two processes where there are two cores, because the threads of one
process use no more than one core for Python.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from training.rundir import when_guard_closes

worker_class = "gthread"
workers = min(2, os.cpu_count() or 1) if os.environ.get("DATABASE_URL", "").startswith("postgres") else 1
threads = 8 // workers
timeout = 120
graceful_timeout = 5
keepalive = 5
loglevel = "warning"
control_socket_disable = True


def when_ready(server: Any) -> None:
    """End with `manage.py up`, even when it is killed: its end of the guard pipe closes then."""
    when_guard_closes(lambda: os.kill(os.getpid(), signal.SIGTERM))
