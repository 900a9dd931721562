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
from django.db import connection
from django.test.utils import CaptureQueriesContext

with connection.cursor() as cursor:
    cursor.execute("SELECT pg_backend_pid()")
    pid = cursor.fetchone()[0]
with CaptureQueriesContext(connection) as asked:
    assert connection.is_usable()
assert not asked.captured_queries
other = connection.copy()
with other.cursor() as cursor:
    cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert cursor.fetchone() == (True,)
other.close()
assert not connection.is_usable()
connection.close()
assert not connection.is_usable()
connection.ensure_connection()
assert connection.is_usable()
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
