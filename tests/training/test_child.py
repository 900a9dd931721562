"""The trainer's process: it cannot outlive its worker, and two never meet in one run directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.training.conftest import ROOT, processes_with, wait_until
from training.child import DirectoryBusy, kill_earlier_child, pid_path, start_child
from training.rundir import RunDirectory, read_json, write_json

GUARDED = """
import pathlib, subprocess, sys, time
from training.ml.__main__ import start_guard
start_guard()
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", *sys.argv[1:]])
pathlib.Path(sys.argv[1], "ready").write_text(str(grandchild.pid))
time.sleep(600)
"""
WORKER = """
import os, sys, time
from pathlib import Path
from training.child import start_child
from training.rundir import RunDirectory
start_child(RunDirectory(sys.argv[1]), [sys.executable, "-c", sys.argv[2], sys.argv[1]], os.environ, Path.cwd())
time.sleep(600)
"""


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    (tmp_path / "run").mkdir()
    return RunDirectory(tmp_path / "run")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def start(directory: RunDirectory, argv: list[str]):
    return start_child(directory, argv, os.environ, ROOT)


def worker_with_child(directory: RunDirectory) -> subprocess.Popen[bytes]:
    """A process that started a guarded child, which started one more."""
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(directory.path), GUARDED], cwd=ROOT)
    wait_until(lambda: (directory.path / "ready").exists(), "the child's start")
    return worker


def test_a_child_ends_and_says_how(directory: RunDirectory):
    child = start(directory, python("import sys; print('hello'); sys.exit(3)"))
    wait_until(child.ended, "the child's end")
    assert child.ending() == "ended with exit code 3"
    assert directory.log_path.read_text() == "hello\n"


def test_a_killed_child_is_told_apart_from_one_that_ended(directory: RunDirectory):
    child = start(directory, python("import time; time.sleep(600)"))
    assert not child.ended()
    os.kill(child.process.pid, signal.SIGKILL)
    wait_until(child.ended, "the child's end")
    assert child.ending() == "was killed by SIGKILL, often a sign of too little memory"


def test_what_a_child_leaves_running_ends_with_it(directory: RunDirectory):
    code = f"""
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", {str(directory.path)!r}])
    """
    child = start(directory, python(code))
    wait_until(child.ended, "the child's end")
    wait_until(lambda: not processes_with(str(directory.path)), "the grandchild's end", seconds=10)


def test_killing_a_child_ends_its_whole_group(directory: RunDirectory):
    child = start(directory, [sys.executable, "-c", GUARDED, str(directory.path)])
    wait_until(lambda: (directory.path / "ready").exists(), "the child's start")
    child.kill()
    wait_until(lambda: not processes_with(str(directory.path)), "the end of the group", seconds=10)


def test_kill_9_of_the_worker_ends_the_child_and_what_it_started(directory: RunDirectory):
    worker = worker_with_child(directory)
    assert len(processes_with(str(directory.path))) == 3
    worker.kill()
    worker.wait()
    wait_until(lambda: not processes_with(str(directory.path)), "the orphans' end", seconds=10)


def test_a_second_child_starts_only_when_the_first_is_gone(directory: RunDirectory):
    """The first worker hangs: it has lost its lease, but its child is still there."""
    worker = worker_with_child(directory)
    first = read_json(pid_path(directory))["pid"]
    grandchild = int((directory.path / "ready").read_text())
    worker.send_signal(signal.SIGSTOP)
    try:
        child = start(directory, python("print('second')"))
        wait_until(child.ended, "the second child's end")
        assert not {first, grandchild} & set(processes_with(str(directory.path)))
    finally:
        worker.kill()
        worker.wait()
    assert directory.log_path.read_text() == "second\n"


def test_a_process_that_only_got_the_same_number_is_left_alone(directory: RunDirectory):
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        write_json(pid_path(directory), {"pid": bystander.pid, "host": "here", "boot": "b", "started": "1"})
        assert not kill_earlier_child(directory)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_directory_that_stays_busy_is_refused(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("training.child.GUARD_SECONDS", 0.1)
    monkeypatch.setattr("training.child.KILL_SECONDS", 0.2)
    child = start(directory, python("import time; time.sleep(600)"))
    pid_path(directory).unlink()
    try:
        with pytest.raises(DirectoryBusy, match="earlier attempt"):
            start(directory, python("print('second')"))
    finally:
        child.kill()
