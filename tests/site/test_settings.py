"""Settings from the environment, each start in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PRODUCTION = {
    "CONCORD_MODE": "production",
    "SECRET_KEY": "a-key-of-more-than-fifty-characters-for-production-use-0123456789",
    "ALLOWED_HOSTS": "concord.example",
    "CSRF_TRUSTED_ORIGINS": "https://concord.example",
}


def manage(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**kept, "CONCORD_DATA_DIR": str(tmp_path / "data"), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def shell(tmp_path: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return manage(tmp_path, "shell", "-v", "0", "-c", code, **environment)


def test_the_deploy_check_finds_nothing_in_production_mode(tmp_path):
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout + done.stderr


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ALLOWED_HOSTS"])
def test_production_refuses_to_start_without(tmp_path, missing):
    environment = {name: value for name, value in PRODUCTION.items() if name != missing}
    done = manage(tmp_path, "check", **environment)
    assert done.returncode != 0
    assert missing in done.stderr


def test_production_refuses_debug(tmp_path):
    done = manage(tmp_path, "check", **PRODUCTION, DEBUG="true")
    assert done.returncode != 0
    assert "DEBUG=true" in done.stderr


def test_an_unknown_mode_is_refused(tmp_path):
    done = manage(tmp_path, "check", CONCORD_MODE="staging")
    assert done.returncode != 0
    assert "'staging'" in done.stderr


def test_development_needs_nothing_and_keeps_its_key(tmp_path):
    say = "from django.conf import settings; print(settings.SECRET_KEY)"
    first, second = shell(tmp_path, say), shell(tmp_path, say)
    assert first.returncode == 0, first.stderr
    assert len(first.stdout.strip()) > 50
    assert first.stdout == second.stdout
    key = tmp_path / "data" / "secret_key"
    assert key.stat().st_mode & 0o777 == 0o600


def test_static_files_can_be_collected_for_production(tmp_path):
    done = manage(tmp_path, "collectstatic", "--noinput", "-v", "0", **PRODUCTION)
    assert done.returncode == 0, done.stderr
    collected = tmp_path / "data" / "static"
    assert (collected / "staticfiles.json").exists()
    assert list((collected / "css").glob("concord.*.css"))


def test_sqlite_is_in_wal_mode_with_foreign_keys(tmp_path):
    code = (
        "from django.db import connection as c; k = c.cursor();"
        "print(k.execute('PRAGMA journal_mode').fetchone()[0], k.execute('PRAGMA foreign_keys').fetchone()[0])"
    )
    done = shell(tmp_path, code)
    assert done.stdout.split() == ["wal", "1"], done.stderr
