"""The talker: claims turns and lets a server answer them, over real HTTP; what fails is told and loses nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from feedback.answering import ATTEMPTS
from feedback.models import Response, Turn, Worker
from feedback.policies import policies
from tests.conftest import DATA_DIR
from tests.factories import make_base_checkpoint, make_policy_checkpoint, make_project, make_reward_checkpoint
from tests.feedback.talks import hold, make_talk_queue, say_it
from tests.training.chat_server import ChatServer, completion
from tests.training.conftest import ROOT, SharedDatabase, wait_until
from training.models import Checkpoint
from training.talking import NOBODY_CHOSEN, Talker
from training.voices import ChildVoice, ServerVoice, find_voice

Serve = Callable[[Callable[[dict[str, Any]], Any]], ChatServer]


@pytest.fixture
def serve(settings) -> Iterator[Serve]:
    """Start a server that answers, and let talkers use it."""
    started: list[ChatServer] = []

    def start(reply: Callable[[dict[str, Any]], Any]) -> ChatServer:
        started.append(ChatServer(reply))
        settings.CONVERSATION_URL = started[-1].url
        return started[-1]

    yield start
    for server in started:
        server.close()


def talk_once(attempts: int = 1) -> Turn:
    for _ in range(attempts):
        Talker(pause=0).work(once=True)
    return Turn.objects.select_related("first", "second").get()


# A server answers -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_turn_is_answered_by_both_checkpoints_under_their_names(project, annotator, serve, settings):
    settings.CONVERSATION_KEY = "a-token"
    server = serve(lambda body: f"I am {body['model']}")
    base, policy = make_base_checkpoint(project, name="base"), make_policy_checkpoint(project, name="dpo-1")
    queue = make_talk_queue(project, policies=[str(base.pk), str(policy.pk)], temperature=0.6, max_new_tokens=40)
    say_it(hold(queue, annotator), "Who are you?")
    turn = talk_once()
    names = {str(base.pk): "base", str(policy.pk): "dpo-1"}
    assert turn.state == Turn.State.READY
    for answer, checkpoint_id, seed in zip(
        (turn.first, turn.second), turn.policies, turn.sampling["seeds"], strict=True
    ):
        assert answer.text == f"I am {names[checkpoint_id]}"
        assert (str(answer.checkpoint_id), answer.model_name) == (checkpoint_id, names[checkpoint_id])
        assert answer.sampling == {
            "temperature": 0.6, "top_p": 1.0, "max_new_tokens": 40, "seed": seed, "finished": True
        }  # fmt: skip
    for body, headers in server.asked:
        assert body["messages"] == [{"role": "user", "content": "Who are you?"}]
        assert (body["temperature"], body["max_tokens"]) == (0.6, 40)
        assert headers["Authorization"] == "Bearer a-token"
    assert {body["seed"] for body, _ in server.asked} == set(turn.sampling["seeds"])
    assert not Worker.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "reply",
    [
        (503, b"busy"),
        (429, b"slow down"),
        (200, b"not json"),
        (200, b'{"choices": []}'),
        (200, b'{"choices": [{"message": {"content": null}}]}'),
        (302, b""),
    ],
)
def test_what_may_pass_is_tried_again_and_told_in_the_end(project, annotator, serve, reply):
    server = serve(lambda body: reply)
    say_it(hold(make_talk_queue(project), annotator), "Precious words")
    turn = talk_once()
    assert turn.state == Turn.State.FAILED
    assert turn.failures == ATTEMPTS
    assert ATTEMPTS <= len(server.asked) <= 2 * ATTEMPTS, "once the first answer has failed the other is not needed"
    assert "server" in turn.error
    assert turn.said == "Precious words"
    assert not Response.objects.filter(prompt=turn.prompt).exists()


@pytest.mark.django_db
def test_what_the_server_refuses_for_good_is_told_at_once(project, annotator, serve):
    serve(lambda body: (404, b"The model `base` does not exist."))
    say_it(hold(make_talk_queue(project), annotator))
    turn = talk_once()
    assert (turn.state, turn.failures) == (Turn.State.FAILED, 1)
    assert "does not exist" in turn.error


@pytest.mark.django_db
def test_a_server_that_is_away_is_told(project, annotator, settings):
    settings.CONVERSATION_URL = "http://127.0.0.1:9/v1"
    say_it(hold(make_talk_queue(project), annotator))
    assert "cannot be reached" in talk_once().error


@pytest.mark.django_db
def test_an_answer_that_was_cut_off_says_so(project, annotator, serve):
    serve(lambda body: (200, completion("Half a sen", "length")))
    say_it(hold(make_talk_queue(project), annotator))
    assert talk_once().first.sampling["finished"] is False


@pytest.mark.django_db
def test_a_server_that_takes_too_long_is_left(project, annotator, serve, settings):
    settings.TALK_ANSWER_SECONDS = 0.3
    release = threading.Event()
    serve(lambda body: release.wait(20) and "Late")
    say_it(hold(make_talk_queue(project), annotator))
    try:
        turn = talk_once()
    finally:
        release.set()
    assert turn.state == Turn.State.FAILED
    assert "within" in turn.error or "reached" in turn.error


@pytest.mark.django_db
def test_a_talker_that_is_told_to_stop_gives_the_turn_back(project, annotator, serve):
    talker = Talker()
    release = threading.Event()
    server = serve(lambda body: talker.stop() or (release.wait(20) and "Too late"))
    talker.voice = find_voice()
    say_it(hold(make_talk_queue(project), annotator))
    try:
        talker.work()
    finally:
        release.set()
    turn = Turn.objects.get()
    assert (turn.state, turn.failures) == (Turn.State.WAITING, 0)
    assert server.asked


# Who can answer -------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_queue_without_a_checkpoint_and_one_whose_checkpoint_is_gone_say_so(project, annotator):
    slot = hold(make_talk_queue(project, policies=[]), annotator)
    turn = say_it(slot)
    assert talk_once().error == NOBODY_CHOSEN
    Turn.objects.filter(pk=turn.pk).update(state="waiting", policies=[str(make_base_checkpoint().pk)] * 2)
    assert "not a base model or policy of this project" in talk_once().error


@pytest.mark.django_db
def test_a_checkpoint_whose_files_are_gone_says_so_at_once(project, annotator):
    gone = make_base_checkpoint(project, path="models/gone")  # other tests put files at the usual path
    say_it(hold(make_talk_queue(project, policies=[str(gone.pk)]), annotator))
    turn = talk_once()
    assert (turn.state, turn.failures) == (Turn.State.FAILED, 1)
    assert "is gone" in turn.error


@pytest.mark.django_db
def test_what_the_schema_form_offers_is_what_can_speak(project):
    base, policy = make_base_checkpoint(project), make_policy_checkpoint(project)
    make_reward_checkpoint(project, parent=base)
    make_base_checkpoint(make_project())
    choices = policies().policy_choices(project)
    assert dict(choices).keys() >= {str(base.pk), str(policy.pk)}
    assert {name for _, name in choices} <= set(
        Checkpoint.objects.filter(project=project, kind__in=["base", "policy"]).values_list("name", flat=True)
    )
    assert policies().unknown_policy(project, [str(base.pk)]) == ""


@pytest.mark.django_db
def test_pages_know_whether_a_talker_is_alive(project):
    now = timezone.now()
    assert not policies().somebody_answers(now)
    talker = Talker()
    talker.alive.give()
    assert policies().somebody_answers(now)
    talker.alive.end()
    assert not policies().somebody_answers(now)


def test_without_a_server_a_process_speaks(settings):
    settings.CONVERSATION_URL = ""
    assert isinstance(find_voice(), ChildVoice)
    settings.CONVERSATION_URL = "http://localhost:1/v1"
    assert isinstance(find_voice(), ServerVoice)


def test_a_wrong_poll_is_refused():
    with pytest.raises(CommandError, match="more than 0"):
        call_command("talker", poll=0)


@pytest.mark.parametrize("url", ["ftp://host/v1", "localhost:8000", "file:///etc/passwd"])
def test_an_address_that_is_none_stops_the_start(url):
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT, env={**os.environ, "CONVERSATION_URL": url}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "CONVERSATION_URL" in done.stderr


# Several talkers ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_three_talkers_answer_every_turn_once_and_a_killed_one_loses_nothing(
    shared_database: SharedDatabase, tmp_path: Path
):
    server = ChatServer(lambda body: f"Seed {body['seed']}")
    queue = make_talk_queue(make_project(), tasks=30)
    for number in range(30):
        say_it(hold(queue), f"Words {number}")
    environment = {
        **os.environ,
        "DATABASE_URL": shared_database.url,
        "CONCORD_DATA_DIR": str(DATA_DIR),
        "CONVERSATION_URL": server.url,
        "TURN_LEASE_SECONDS": "2",
    }
    argv = [sys.executable, "manage.py", "talker", "--poll", "0.05"]
    with open(tmp_path / "talkers.log", "wb") as log:
        talkers = [
            subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            for _ in range(3)
        ]
    try:
        wait_until(lambda: Turn.objects.filter(state="ready").count() >= 3, "the first answers")
        talkers[0].kill()
        wait_until(lambda: Turn.objects.filter(state="ready").count() == 30, "every answer")
    finally:
        for talker in talkers:
            talker.terminate()
        codes = [talker.wait(30) for talker in talkers]
        server.close()
    assert codes[1:] == [0, 0]
    for turn in Turn.objects.select_related("first", "second"):
        assert [turn.first.text, turn.second.text] == [f"Seed {seed}" for seed in turn.sampling["seeds"]]
        assert turn.prompt.responses.count() == 2
    assert Worker.objects.filter(work=Worker.Work.TALKS).count() <= 1, "those that ended themselves have signed off"
