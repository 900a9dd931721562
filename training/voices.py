"""Let checkpoints speak: in a process of their own that keeps them in memory, or on a server of somebody's choice.

A voice is asked for the two answers of a turn. Which one a talker has, settings.CONVERSATION_URL decides.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from django.conf import settings

from feedback.answering import WrittenAnswer
from feedback.models import Turn
from training.child import Child
from training.launchers import plain_environment, talk_argv
from training.lineage import CheckpointGone, model_source
from training.models import Checkpoint
from training.rundir import GUARD_FD

Job = Mapping[str, Any]
Said = TypeVar("Said")
ANSWER_BYTES_LIMIT = 4 * 2**20
NO_TORCH = "The talker's machine has no torch; install Concord there with its extra `train`, or set CONVERSATION_URL."


class NoAnswer(Exception):
    """A turn cannot be answered; the message is for curators and ML staff. `for_good`: trying again cannot help."""

    def __init__(self, message: str, *, for_good: bool = False) -> None:
        super().__init__(message)
        self.for_good = for_good


class Speech(Generic[Said]):
    """Something said in a thread, which nobody has to wait for: it does not keep the process from ending."""

    def __init__(self, say: Callable[[], Said]) -> None:
        self.say = say
        self.said: Said | None = None
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self.run, name="speech", daemon=True)
        self.thread.start()

    def run(self) -> None:
        try:
            self.said = self.say()
        except Exception as error:  # it is raised where somebody waits for it
            self.error = error

    def done(self, seconds: float) -> bool:
        """Wait so long at most, and tell whether it is over."""
        self.thread.join(seconds)
        return not self.thread.is_alive()

    def result(self) -> Said:
        """Wait for what is said and return it; raises what went wrong."""
        self.thread.join()
        if self.error is not None:
            raise self.error
        return cast(Said, self.said)


class Voice(Protocol):
    def job(self, turn: Turn, checkpoints: Sequence[Checkpoint]) -> Job:
        """Return all that `answer` needs, out of the database. Raises NoAnswer."""

    def answer(self, job: Job) -> list[WrittenAnswer]:
        """Return the two answers; called in a thread, without the database. Raises NoAnswer."""

    def cancel(self) -> None:
        """Let an `answer` that is under way end soon, with NoAnswer or without anybody who waits for it."""

    def rest(self) -> None:
        """Called now and then while nobody asks."""

    def close(self) -> None: ...


def find_voice() -> Voice:
    return ServerVoice() if settings.CONVERSATION_URL else ChildVoice()


class ChildVoice:
    """Speaks through `python -m training.ml.talk`, which is started when a turn waits and ended when none has for long.

    The child leads a session of its own and watches a guard pipe, as a trainer does (training.child).
    """

    def __init__(self) -> None:
        self.child: Child | None = None
        self.offline = True
        self.used = 0.0

    @property
    def pid(self) -> int | None:
        return self.child.process.pid if self.child is not None else None

    def job(self, turn: Turn, checkpoints: Sequence[Checkpoint]) -> Job:
        if importlib.util.find_spec("torch") is None:
            raise NoAnswer(NO_TORCH)
        try:
            sources = [model_source(checkpoint) for checkpoint in checkpoints]
        except CheckpointGone as error:
            raise NoAnswer(str(error), for_good=True) from error
        return {
            "id": str(turn.pk),
            "messages": turn.prompt.messages,
            **{name: turn.sampling[name] for name in ("temperature", "top_p", "max_new_tokens")},
            "answers": [
                {"base": source.base, "adapters": list(source.adapters), "seed": seed}
                for source, seed in zip(sources, turn.sampling["seeds"], strict=True)
            ],
            "wrote": wrote(checkpoints),
        }

    def answer(self, job: Job) -> list[WrittenAnswer]:
        asked = {name: value for name, value in job.items() if name != "wrote"}
        child = self.running(offline=all(Path(one["base"]).exists() for one in asked["answers"]))
        assert child.process.stdin is not None, "the child is started with pipes"
        assert child.process.stdout is not None, "the child is started with pipes"
        try:
            child.process.stdin.write(json.dumps(asked).encode() + b"\n")
            child.process.stdin.flush()
            line = child.process.stdout.readline()
            said = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            said = None
        if said is None:
            child.kill()
            self.child = None
            raise NoAnswer(f"The process that lets models speak {child.ending()}.")
        self.used = time.monotonic()
        if "error" in said:
            raise NoAnswer(said["error"], for_good=said["for_good"])
        return [
            WrittenAnswer(text=one["text"], finished=one["finished"], **who)
            for one, who in zip(said["answers"], job["wrote"], strict=True)
        ]

    def running(self, *, offline: bool) -> Child:
        """Return the child, started if it is not there; one that may not ask the hub makes room for one that may."""
        if self.child is not None and (self.child.ended() or (self.offline and not offline)):
            self.close()
        if self.child is None:
            self.offline = offline
            self.child = start_talk_child(offline=offline)
        return self.child

    def cancel(self) -> None:
        child = self.child
        if child is not None and child.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.process.pid, signal.SIGKILL)  # whoever reads its answer finds it gone

    def rest(self) -> None:
        if self.child is not None and time.monotonic() - self.used > settings.TALK_IDLE_SECONDS:
            self.close()

    def close(self) -> None:
        if self.child is not None:
            self.child.kill()
            for pipe in (self.child.process.stdin, self.child.process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]  # the child is started with pipes
            self.child = None


def start_talk_child(*, offline: bool) -> Child:
    environment = plain_environment()
    if offline:
        environment.setdefault("HF_HUB_OFFLINE", "1")
    watched, guard = os.pipe()
    try:
        process = subprocess.Popen(
            talk_argv(),
            cwd=settings.BASE_DIR,
            env={**environment, GUARD_FD: str(watched)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            pass_fds=(watched,),
        )
    except BaseException:
        os.close(guard)
        raise
    finally:
        os.close(watched)
    return Child(process, guard)


class ServerVoice:
    """Speaks through a server with the OpenAI protocol at settings.CONVERSATION_URL, such as vLLM.

    The server has every checkpoint under the checkpoint's name: a base model by `--served-model-name`, an adapter by
    `--lora-modules NAME=PATH`.
    """

    def __init__(self) -> None:
        # Straight to the server: a proxy that is set for the internet would not know it.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirects())

    def job(self, turn: Turn, checkpoints: Sequence[Checkpoint]) -> Job:
        shared = {
            "messages": turn.prompt.messages,
            "temperature": turn.sampling["temperature"],
            "top_p": turn.sampling["top_p"],
            "max_tokens": turn.sampling["max_new_tokens"],
        }
        seeds = turn.sampling["seeds"]
        bodies = [
            {**shared, "model": checkpoint.name, "seed": seed}
            for checkpoint, seed in zip(checkpoints, seeds, strict=True)
        ]
        return {"bodies": bodies, "wrote": wrote(checkpoints)}

    def answer(self, job: Job) -> list[WrittenAnswer]:
        speeches = [Speech(partial(self.complete, body)) for body in job["bodies"]]
        said = [speech.result() for speech in speeches]
        return [
            WrittenAnswer(text=text, finished=done, **who) for (text, done), who in zip(said, job["wrote"], strict=True)
        ]

    def complete(self, body: Mapping[str, Any]) -> tuple[str, bool]:
        """Return the text that the server completes, and whether it came to its end."""
        headers = {"Content-Type": "application/json"}
        if settings.CONVERSATION_KEY:
            headers["Authorization"] = f"Bearer {settings.CONVERSATION_KEY}"
        request = urllib.request.Request(  # noqa: S310  (the settings take http and https only)
            f"{settings.CONVERSATION_URL}/chat/completions", data=json.dumps(body).encode(), headers=headers
        )
        try:
            with self.opener.open(request, timeout=settings.TALK_ANSWER_SECONDS) as reply:
                return read_completion(reply.read(ANSWER_BYTES_LIMIT))
        except urllib.error.HTTPError as error:
            said = error.read(500).decode(errors="replace").strip()
            # A refusal of what was asked stays one; "not now" and "I broke" may pass.
            is_final = 400 <= error.code < 500 and error.code not in (408, 409, 425, 429)
            raise NoAnswer(f"The server refused {body['model']}: {error.code} {said}", for_good=is_final) from error
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"The server at CONVERSATION_URL cannot be reached: {error}") from error

    def cancel(self) -> None:
        pass  # the request ends by its timeout; nobody reads its answer

    def rest(self) -> None:
        pass

    def close(self) -> None:
        pass


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A completion is where it was asked for; a token must not follow anybody elsewhere."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def read_completion(content: bytes) -> tuple[str, bool]:
    try:
        choice = json.loads(content)["choices"][0]
        text, reason = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, LookupError, TypeError) as error:
        raise NoAnswer(f"The server's answer is no chat completion: {content[:200]!r}") from error
    if not isinstance(text, str):
        raise NoAnswer(f"The server's answer has no text: {content[:200]!r}")
    return text, reason == "stop"


def wrote(checkpoints: Sequence[Checkpoint]) -> list[dict[str, Any]]:
    return [{"model_name": checkpoint.name, "checkpoint_id": checkpoint.pk} for checkpoint in checkpoints]
