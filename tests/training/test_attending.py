"""A job that no pipe reaches watches over a file, and ends when nobody attends to it any more."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training.launchers import attending
from training.launchers.attending import NoCluster, attend, sign_of_life
from training.rundir import ATTENDED, Outcome, RunDirectory, read_json

ROOT = Path(__file__).resolve().parents[2]
WATCHING = """
import os, sys, time
from training.rundir import RunDirectory, when_unattended
when_unattended(RunDirectory(sys.argv[1]), lambda: os._exit(7), patience=float(sys.argv[2]), every=0.05)
print("here", flush=True)
time.sleep(60)
"""


def start_watching(place: Path, word: str, patience: float) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHING, str(place), str(patience)],
        cwd=ROOT,
        env={**os.environ, ATTENDED: word},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_job_ends_when_another_one_has_taken_its_place(tmp_path):
    place = tmp_path / "attended"
    sign_of_life(place, "mine")
    process = start_watching(tmp_path, "mine", patience=60)
    time.sleep(0.3)
    assert process.poll() is None
    sign_of_life(place, "another's")
    assert process.wait(30) == 7


def test_a_job_ends_when_its_attendant_has_been_silent_for_long(tmp_path):
    place = tmp_path / "attended"
    sign_of_life(place, "mine")
    process = start_watching(tmp_path, "mine", patience=2.0)
    for _ in range(10):
        time.sleep(0.25)
        sign_of_life(place, "mine")
    assert process.poll() is None, "it was attended to all the time"
    assert process.wait(30) == 7


class LoggedJob:
    """A job of no cluster: it writes down what is asked of it."""

    def __init__(self, name: str, log: list[str], ends: bool = True) -> None:
        self.name, self.log, self.ends = name, log, ends
        self.is_over = False

    def start(self) -> None:
        self.log.append(f"start {self.name}")
        self.is_over = self.ends

    def reference(self) -> dict[str, str]:
        return {"id": self.name}

    def ended(self) -> str:
        return "over" if self.is_over else ""

    def stop(self) -> None:
        self.log.append(f"stop {self.name}")
        self.is_over = self.ends


def test_the_job_of_an_earlier_attempt_is_stopped_first(tmp_path):
    run, log = RunDirectory(tmp_path), []
    earlier = LoggedJob("earlier", log)
    run.write_outcome(Outcome("succeeded"))
    assert attend(run, lambda word: LoggedJob("new", log), lambda reference: earlier, poll=0.01) == 0
    assert log == ["stop earlier", "start new"]
    assert read_json(run.job_path) == {"id": "new"}


def test_a_job_that_ends_without_an_outcome_is_a_failure(tmp_path):
    assert attend(RunDirectory(tmp_path), lambda word: LoggedJob("new", []), lambda reference: None, poll=0.01) == 1


def test_an_earlier_job_that_does_not_end_keeps_a_second_one_from_starting(tmp_path, monkeypatch):
    monkeypatch.setattr(attending, "STOP_SECONDS", 0.0)
    log: list[str] = []
    stubborn = LoggedJob("stubborn", log, ends=False)
    with pytest.raises(NoCluster, match="does not end"):
        attend(RunDirectory(tmp_path), lambda word: LoggedJob("new", log), lambda reference: stubborn)
    assert "start new" not in log
