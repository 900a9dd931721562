"""What the attendants of a cluster's jobs share: stop an earlier job, start one, look after it until it has ended.

A job may run where no pipe reaches, so the run directory, on a disk that both see, holds the two together: `attended`
holds the job's word, and its time changes while the attendant lives. A job that finds another word there, or no change
for UNATTENDED_SECONDS, ends itself.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from training.configs import BadConfig
from training.rundir import (
    ATTENDED,
    BadRunDirectory,
    RunDirectory,
    read_json,
    when_guard_closes,
    write_bytes,
    write_json,
)

PASSED_ON = ("HF_", "OMP_", "TOKENIZERS_", "CONCORD_REWARD_FUNCTIONS", "PYTHONPATH", "PYTHONUNBUFFERED")
"""Beginnings of the variables that a job gets from the worker's environment: no secret of the site is among them."""
STOP_SECONDS = 60.0
"""How long an earlier job may take to end."""


class NoCluster(Exception):
    """The cluster cannot be reached or does not take the job; the message is for people."""


class Job(Protocol):
    """One job of a cluster."""

    def start(self) -> None:
        """Hand it in; raises NoCluster."""

    def reference(self) -> dict[str, str]:
        """Return what a later attendant needs to find it."""

    def ended(self) -> str:
        """Say how it ended, in words; empty while it waits or runs."""

    def stop(self) -> None:
        """Ask the cluster to end it."""


def job_environment(word: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that a job gets; `word` makes it watch over `attended`."""
    passed = {name: value for name, value in (environ or os.environ).items() if name.startswith(PASSED_ON)}
    return {**passed, ATTENDED: word}


def run_logged(argv: Sequence[str], cwd: str, environment: Mapping[str, str], log: str) -> int:
    """Run `argv` on the machine of the job, its output appended to the run's log; returns its exit code."""
    with open(log, "ab") as output:
        return subprocess.run(
            list(argv),
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode


def attend(
    directory: RunDirectory,
    new_job: Callable[[str], Job],
    find_job: Callable[[dict[str, str]], Job | None],
    *,
    poll: float = 2.0,
) -> int:
    """Carry the run out as a job and return the exit code that a child would have.

    `new_job` makes the job with this word, `find_job` the one of an earlier attempt from its reference.
    """
    earlier = find_job(read_json(directory.job_path) or {})
    if earlier is not None:
        end_earlier(earlier)
    word = secrets.token_hex(8)
    sign_of_life(directory.attended_path, word)
    job = new_job(word)
    # Written before and after: a job that is known by its name beforehand cannot be lost in between.
    write_json(directory.job_path, job.reference())
    job.start()
    write_json(directory.job_path, job.reference())
    when_guard_closes(lambda: stop_and_leave(job))
    while not (ending := job.ended()):
        sign_of_life(directory.attended_path, word)
        time.sleep(poll)
    sys.stderr.write(f"{ending}\n")
    return 0 if directory.outcome_path.exists() else 1


def sign_of_life(path: Path, word: str) -> None:
    write_bytes(path, word.encode())


def end_earlier(job: Job) -> None:
    """See to it that the job of an earlier attempt is gone, so that two never write in one directory."""
    started = time.monotonic()
    while not job.ended():
        if time.monotonic() - started > STOP_SECONDS:
            raise NoCluster(f"the job of an earlier attempt does not end: {job.reference()}")
        job.stop()
        time.sleep(1.0)


def stop_and_leave(job: Job) -> None:
    try:
        job.stop()
    finally:
        os._exit(1)


def main(arguments: list[str], called: str, carry_out: Callable[[RunDirectory], int]) -> int:
    """Run an attendant's command line; what is refused becomes the run's error."""
    if len(arguments) != 1:
        sys.stderr.write(f"usage: python -m {called} RUN_DIR\n")
        return 2
    directory = RunDirectory(arguments[0])
    try:
        return carry_out(directory)
    except (BadConfig, BadRunDirectory, NoCluster) as error:
        directory.write_error(str(error))
        sys.stderr.write(f"{error}\n")
        return 1
