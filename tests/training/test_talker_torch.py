"""The talker with a real, tiny model in a process of its own: what is killed is answered all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import transaction

from feedback.models import Assignment, Project, Turn
from tests.conftest import DATA_DIR
from tests.factories import make_project
from tests.feedback.talks import choose_it, hold, make_talk_queue, say_it
from tests.training.conftest import ROOT, SharedDatabase, processes_with, wait_until
from training.base_models import register_base_model

pytestmark = [pytest.mark.torch, pytest.mark.slow]

Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start(shared_sqlite: SharedDatabase, tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen] = []

    def talker(*arguments: str, **settings: str) -> subprocess.Popen:
        environment = {
            **os.environ,
            "DATABASE_URL": shared_sqlite.url,
            "CONCORD_DATA_DIR": str(DATA_DIR),
            "TURN_LEASE_SECONDS": "3",
            "TALKER_OF": str(tmp_path),
            **settings,
        }
        with open(tmp_path / "talker.log", "ab") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "manage.py", "talker", "--poll", "0.05", *arguments],
                    cwd=ROOT, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                )
            )  # fmt: skip
        return started[-1]

    yield talker
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
    wait_until(lambda: not processes_with(f"TALKER_OF={tmp_path}"), "the end of every process", seconds=30)


@pytest.fixture
def project(shared_sqlite: SharedDatabase) -> Project:
    return make_project()


@pytest.fixture
def queue(project, tiny_model):
    checkpoint = register_base_model(project=project, path=tiny_model)
    return make_talk_queue(project, policies=[str(checkpoint.pk)], max_new_tokens=8)


def speakers(tmp_path: Path) -> list[int]:
    """Return the processes that hold models."""
    return [
        pid
        for pid in processes_with(f"TALKER_OF={tmp_path}")
        if b"training.ml.talk" in (Path("/proc") / str(pid) / "cmdline").read_bytes()
    ]


def turn(number: int = 1) -> Turn:
    return Turn.objects.select_related("first", "second", "prompt").get(number=number)


def ready(number: int = 1) -> bool:
    state = turn(number).state
    assert state != Turn.State.FAILED, turn(number).error
    return state == Turn.State.READY


def test_a_talk_of_two_turns_with_one_process_for_both(queue, start, tmp_path):
    slot = hold(queue)
    start()
    say_it(slot, "What is water?")
    wait_until(ready, "the first answers")
    (pid,) = speakers(tmp_path)
    assert turn().first.text
    assert turn().second.text
    assert turn().first.checkpoint_id == turn().second.checkpoint_id
    chosen = choose_it(slot, -1)
    say_it(slot, "And tea?", 2)
    wait_until(lambda: ready(2), "the second answers")
    assert speakers(tmp_path) == [pid], "the model stays loaded between turns"
    assert turn(2).prompt.messages[1] == {"role": "assistant", "content": chosen.first.text}


def test_the_same_seed_gives_the_same_answer(queue, start, tmp_path):
    say_it(hold(queue), "What is water?")
    start("--once").wait(120)
    first = (turn().first.text, turn().second.text)
    Turn.objects.update(state="waiting", first=None, second=None)
    start("--once").wait(120)
    assert (turn().first.text, turn().second.text) == first


def test_a_killed_model_process_is_started_again_and_answers(queue, start, tmp_path):
    slot = hold(queue)
    start()
    say_it(slot, "Words in peril")
    (pid,) = wait_until(lambda: speakers(tmp_path), "the process that holds the model")
    assert turn().state == Turn.State.RUNNING
    os.kill(pid, signal.SIGKILL)
    wait_until(ready, "the answers")
    assert turn().said == "Words in peril"
    assert turn().failures == 1
    assert turn().prompt.responses.count() == 2
    assert speakers(tmp_path) != [pid]


def test_a_model_that_is_killed_in_the_middle_of_a_sentence_answers_all_the_same(queue, start, tmp_path):
    slot = hold(queue)
    start()
    say_it(slot, "What is water?")
    wait_until(ready, "the first answers")
    (pid,) = speakers(tmp_path)
    number, short = stop_in_the_middle(slot, pid)
    Turn.objects.filter(number=number).update(sampling=short)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: ready(number), "the answers")
    assert (turn(number).said, turn(number).failures) == (f"Tell me all of it, {number}", 1)
    assert turn(number - 1).state == Turn.State.CHOSEN


def stop_in_the_middle(slot: Assignment, pid: int) -> tuple[int, dict]:
    """Say something that takes long to answer, stop the model on the way, and return the turn and its sampling.

    A model may come to an end by itself at any word, so it is asked again where it was faster.
    """
    for number in range(2, 8):
        choose_it(slot, number - 1)
        with transaction.atomic():
            short = say_it(slot, f"Tell me all of it, {number}", number).sampling
            Turn.objects.filter(number=number).update(sampling={**short, "max_new_tokens": 1900})
        wait_until(lambda number=number: turn(number).state != Turn.State.WAITING, "somebody who answers")
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.5)  # what was written before the stop lands
        if turn(number).state == Turn.State.RUNNING:
            return number, short
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda number=number: ready(number), "the answers")
    raise AssertionError("the model was always faster than its stop")


def test_a_killed_talker_leaves_no_process_and_another_one_answers(queue, start, tmp_path):
    slot = hold(queue)
    first = start()
    say_it(slot, "Words in peril")
    wait_until(lambda: speakers(tmp_path), "the process that holds the model")
    first.kill()
    first.wait()
    wait_until(lambda: not speakers(tmp_path), "the guard", seconds=30)
    assert turn().said == "Words in peril"
    start()
    wait_until(ready, "the answers")
    assert turn().prompt.responses.count() == 2


def test_a_talk_that_is_longer_than_the_model_can_hold_says_so(queue, start, tmp_path):
    say_it(hold(queue), "water " * 1600)
    start("--once").wait(120)
    assert turn().state == Turn.State.FAILED
    assert "the model's window = 2048 tokens" in turn().error
    assert turn().failures == 1


def test_models_are_let_go_when_nobody_talks(queue, start, tmp_path):
    say_it(hold(queue), "What is water?")
    start(TALK_IDLE_SECONDS="1")
    wait_until(ready, "the answers")
    wait_until(lambda: not speakers(tmp_path), "the end of the idle process", seconds=30)
