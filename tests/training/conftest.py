"""Databases that other processes share with the test, model directories, and worker processes."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from environs import Env

from feedback.models import Project, Snapshot
from tests.conftest import DATA_DIR
from training.models import Checkpoint
from training.rundir import directory_digest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0
"""Seconds after which a condition that never comes true fails the test."""


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Return the first true value of `condition`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail(f"{what} did not happen within {seconds:.0f} s")


# Databases --------------------------------------------------------------------------------------------


class SharedDatabase:
    """The default database of this process for a while; others reach it by `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        parsed = Env().dj_db_url("NO_SUCH_VARIABLE", url)
        before = connections.settings["default"]
        self.before = before
        self.connection_before = connections["default"]
        options = before.get("OPTIONS", {}) if "sqlite3" in parsed["ENGINE"] else {}
        connections.settings["default"] = {**before, **parsed, "OPTIONS": options}
        connections["default"] = connections.create_connection("default")

    def close(self) -> None:
        connections["default"].close()
        connections.settings["default"] = self.before
        connections["default"] = self.connection_before


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory, django_db_blocker) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("migrated") / "concord.sqlite3"
    with django_db_blocker.unblock():
        database = SharedDatabase(f"sqlite:///{path}")
        try:
            call_command("migrate", verbosity=0, skip_checks=True)
        finally:
            database.close()
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_cluster, django_db_blocker) -> str:
    url = postgres_cluster.new_database()
    with django_db_blocker.unblock():
        database = SharedDatabase(url)
        try:
            call_command("migrate", verbosity=0, skip_checks=True)
        finally:
            database.close()
    return url


@pytest.fixture
def shared_sqlite(migrated_sqlite: Path, tmp_path: Path, django_db_blocker) -> Iterator[SharedDatabase]:
    """A SQLite file of the test's own, seen by its threads and by the processes it starts."""
    path = tmp_path / "concord.sqlite3"
    shutil.copy(migrated_sqlite, path)
    with django_db_blocker.unblock():
        database = SharedDatabase(f"sqlite:///{path}")
        yield database
        database.close()


@pytest.fixture
def shared_postgres(migrated_postgres: str, django_db_blocker) -> Iterator[SharedDatabase]:
    with django_db_blocker.unblock():
        database = SharedDatabase(migrated_postgres)
        yield database
        database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def shared_database(request: pytest.FixtureRequest) -> SharedDatabase:
    """Both kinds of database, one after the other."""
    return request.getfixturevalue(f"shared_{request.param}")


# Models -----------------------------------------------------------------------------------------------


def make_model_files(place: Path) -> Path:
    """A directory that the site takes for a model, which it never opens."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.json").write_text("{}")
    (place / "adapter_config.json").write_text("{}")
    (place / "adapter_model.safetensors").touch()
    return place


def with_files(checkpoint: Checkpoint) -> Checkpoint:
    """Put files where `checkpoint` says its own are, and record their sha256."""
    checkpoint.sha256 = directory_digest(make_model_files(Path(settings.DATA_DIR) / checkpoint.path))
    checkpoint.save(update_fields=["sha256"])
    return checkpoint


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny_model import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def labelled_snapshot(project: Project, labels: int = 8) -> Snapshot:
    from tests.factories import make_snapshot

    return make_snapshot(project, labels=labels)


# Processes --------------------------------------------------------------------------------------------


class WorkerProcess:
    """`manage.py worker` on a shared database, with a short lease."""

    def __init__(self, database: SharedDatabase, log: Path, *arguments: str, lease_seconds: int = 3) -> None:
        self.log = log
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "worker", "--poll", "0.1", *arguments],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DATABASE_URL": database.url,
                    "CONCORD_DATA_DIR": str(DATA_DIR),
                    "RUN_LEASE_SECONDS": str(lease_seconds),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def check(self) -> bool:
        """Fail when the worker has died; for use while waiting for what it does."""
        if self.process.poll() is not None:
            pytest.fail(f"the worker ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
        return True


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    started: list[WorkerProcess] = []

    def start(database: SharedDatabase, *arguments: str, **options: Any) -> WorkerProcess:
        started.append(WorkerProcess(database, tmp_path / f"worker-{len(started)}.log", *arguments, **options))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.terminate()


def processes_with(mark: str) -> list[int]:
    """Return the processes (but zombies) that have `mark` in their command line or environment (Linux)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        try:
            shown = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if mark.encode() in shown and state != "Z":
            found.append(int(folder.name))
    return found


def tensors(**shapes: list[int]) -> bytes:
    """Return a safetensors file of zeros; dots in names are written as double underscores."""
    head, end = {}, 0
    for name, shape in (shapes or {"weight": [2]}).items():
        size = 4 * math.prod(shape)
        head[name.replace("__", ".")] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + bytes(end)
