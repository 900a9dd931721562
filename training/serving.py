"""How `manage.py up` runs the site under gunicorn (`--config python:training.serving`).

Two processes where there are two cores, because the threads of one process use no more than one core for Python. On
SQLite their writers wait for each other in turns (`rlhf_site/sqlite_in_turns`).
"""

from __future__ import annotations

import os
import signal
from typing import Any

from training.rundir import when_guard_closes

worker_class = "gthread"
workers = min(2, os.cpu_count() or 1)
threads = 8 // workers
timeout = 120
graceful_timeout = 5
keepalive = 5
reuse_port = True  # a socket for each process: the kernel shares kept-alive connections out between them evenly
loglevel = "warning"
control_socket_disable = True


def when_ready(server: Any) -> None:
    """End with `manage.py up`, even when it is killed: its end of the guard pipe closes then."""
    when_guard_closes(lambda: os.kill(os.getpid(), signal.SIGTERM))
