"""The process: its exit codes and files, its guard, and what it never imports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.ml.conftest import ROOT, in_this_process, make_run_directory
from training.rundir import GUARD_FD, RunDirectory

pytestmark = pytest.mark.torch

GUARDED = """
import subprocess, sys, time
from training.ml.__main__ import start_guard
start_guard()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("leads_its_group", [True, False])
def test_when_the_worker_dies_the_guard_ends_the_process(leads_its_group):
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", GUARDED],
        cwd=ROOT,
        env={**os.environ, GUARD_FD: str(read_end)},
        pass_fds=[read_end],
        stdout=subprocess.PIPE,
        start_new_session=leads_its_group,
    )
    os.close(read_end)
    grandchild = int(process.stdout.readline())
    try:
        assert process.poll() is None
        assert is_running(grandchild)
        os.close(write_end)  # as when the worker is killed
        assert process.wait(timeout=10) == (-signal.SIGKILL if leads_its_group else 1)
        deadline = time.monotonic() + 5
        while leads_its_group and is_running(grandchild):
            assert time.monotonic() < deadline, "the guard left a process of its group behind"
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
        if is_running(grandchild):
            os.kill(grandchild, signal.SIGKILL)
        process.stdout.close()


def test_without_a_guard_pipe_the_process_lives_on(monkeypatch):
    import threading

    from training.ml.__main__ import start_guard

    monkeypatch.delenv(GUARD_FD, raising=False)
    before = threading.active_count()
    start_guard()
    assert threading.active_count() == before


def test_a_bad_config_is_named_for_people(tmp_path, tiny):
    run = make_run_directory(tmp_path / "bad", "dpo", {"learning_rat": 1e-3}, policy=tiny)
    assert in_this_process(run) == 1
    assert run.error().startswith("learning_rat: unknown setting of a dpo run")
    assert "Traceback" not in run.error()


def test_a_directory_without_a_run_is_refused(tmp_path):
    run = RunDirectory(tmp_path)
    assert in_this_process(run) == 1
    assert "starts with run.json" in run.error()


def test_the_error_of_an_earlier_attempt_is_gone_once_the_run_succeeds(tmp_path, tiny, snapshot, dpo_model):
    run = make_run_directory(
        tmp_path / "again", "evaluate", {}, policy=dpo_model, snapshot=snapshot[0], snapshot_sha256=snapshot[1]
    )
    run.write_error("the attempt before")
    assert in_this_process(run) == 0
    assert run.error() == ""


def test_the_command_line_ends_with_1_and_a_message(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "training.ml", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "run.json is missing" in result.stderr
    assert (tmp_path / "error.txt").exists()
