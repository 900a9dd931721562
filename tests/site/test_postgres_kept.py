"""A kept connection to PostgreSQL is known to be gone without asking the server each time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import django
django.setup()
from django.db import close_old_connections, connection
from django.test.utils import CaptureQueriesContext
from feedback.prepared import cursor_of

def end(pid):
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert cursor.fetchone() == (True,)
    other.close()

def pid_asked_by(cursor):
    with cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]

pid = pid_asked_by(connection.cursor())
with CaptureQueriesContext(connection) as asked:
    assert connection.is_usable()
assert not asked.captured_queries
end(pid)
assert not connection.is_usable()
connection.close()
assert not connection.is_usable()
connection.ensure_connection()
assert connection.is_usable()

pid = pid_asked_by(cursor_of(connection))
close_old_connections()  # the next request begins
end(pid)
assert pid_asked_by(cursor_of(connection)) != pid
with connection.cursor() as cursor:
    cursor.execute("ROLLBACK")
    cursor.execute("SHOW jit")
    assert cursor.fetchone() == ("off",)
print("as it should be")
"""


def test_a_connection_that_the_server_ended_is_known_without_a_question(postgres_url, tmp_path):
    environment = {
        **os.environ,
        "DATABASE_URL": postgres_url,
        "CONCORD_DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "rlhf_site.settings",
    }
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == "as it should be\n", done.stderr
