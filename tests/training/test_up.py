"""`manage.py up`: one address, one message for each thing in the way, and no process left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from feedback.models import Worker
from tests.training.conftest import ROOT, SharedDatabase, processes_with, wait_until
from training import serving

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Up:
    def __init__(self, database_url: str, data_dir: Path, *arguments: str) -> None:
        self.port = free_port()
        self.data_dir = data_dir
        self.log = data_dir / "up.log"
        data_dir.mkdir()
        self.started = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(self.port), *arguments],
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": database_url, "CONCORD_DATA_DIR": str(data_dir)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_for_address(self) -> str:
        address = f"http://127.0.0.1:{self.port}/"
        wait_until(lambda: address in self.said or self.process.poll() is not None, "the address")
        assert address in self.said, self.said
        return address

    def left(self) -> list[int]:
        return processes_with(f"CONCORD_DATA_DIR={self.data_dir}")

    def workers(self) -> list[int]:
        return [
            pid for pid in self.left() if b"manage.py\0worker" in (Path("/proc") / str(pid) / "cmdline").read_bytes()
        ]


@pytest.fixture
def start_up(shared_sqlite: SharedDatabase, tmp_path: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(*arguments: str, url: str = "") -> Up:
        started.append(Up(url or shared_sqlite.url, tmp_path / f"data-{len(started)}", *arguments))
        return started[-1]

    yield start
    for up in started:
        up.process.kill()
        up.process.wait()
        for pid in up.left():
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_answers_says_where_once_and_leaves_no_process(start_up: Callable[..., Up], ending: signal.Signals):
    up = start_up()
    address = up.wait_for_address()
    with urllib.request.urlopen(f"{address}healthz") as answer:
        assert answer.status == 200
    wait_until(Worker.objects.exists, "the worker's sign of life")
    assert up.said.count("http://") == 1
    assert len(up.left()) == 5 + serving.workers, (
        "supervisor, gunicorn, its processes, one worker, one talker, and one clerk"
    )
    up.process.send_signal(ending)
    code = up.process.wait(60)
    wait_until(lambda: not up.left(), "the end of every process", seconds=30)
    if ending != signal.SIGKILL:
        assert code == 0, up.said


def test_a_worker_that_dies_is_started_again(start_up: Callable[..., Up]):
    up = start_up("--workers", "2")
    up.wait_for_address()
    first, second = wait_until(lambda: len(up.workers()) == 2 and sorted(up.workers()), "two workers")
    os.kill(first, signal.SIGKILL)
    now = wait_until(
        lambda: first not in up.workers() and len(up.workers()) == 2 and up.workers(), "a worker in its place"
    )
    assert second in now
    assert "starts again" in up.said


def test_a_taken_port_is_said_with_the_way_out(start_up: Callable[..., Up], shared_sqlite, tmp_path: Path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        up = start_up("--port", str(other.getsockname()[1]))
        assert up.process.wait(60) == 1
    assert "is taken by another program" in up.said
    assert "--port" in up.said
    assert "Traceback" not in up.said


def test_a_database_without_tables_is_said_with_the_way_out(start_up: Callable[..., Up], tmp_path: Path):
    up = start_up(url=f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    assert up.process.wait(60) == 1
    assert "manage.py migrate" in up.said
    assert "Traceback" not in up.said


def test_a_database_that_cannot_be_reached_is_said(start_up: Callable[..., Up], tmp_path: Path):
    up = start_up(url=f"sqlite:///{tmp_path / 'no' / 'such' / 'place.sqlite3'}")
    assert up.process.wait(60) == 1
    assert "cannot be reached" in up.said
    assert "Traceback" not in up.said


@pytest.mark.parametrize("arguments", [("--port", "0"), ("--workers", "-1"), ("--host", "no.such.host.invalid")])
def test_arguments_that_cannot_be_are_refused(start_up: Callable[..., Up], arguments: tuple[str, ...]):
    up = start_up(*arguments)
    assert up.process.wait(60) == 1
    assert "CommandError" in up.said
    assert "Traceback" not in up.said
