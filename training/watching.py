"""What a person who watches a run is shown: how far it is, whether anybody works on it, and what it has written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from feedback.models import Prompt, Response, Task, Worker
from training.models import Run
from training.plans import number, responses_each
from training.rundir import RunDirectory


def worker_is_alive(now: datetime) -> bool:
    return Worker.objects.alive(now).filter(work=Worker.Work.RUNS).exists()


def talker_is_alive(now: datetime) -> bool:
    """Tell whether somebody answers in conversations."""
    return Worker.objects.alive(now).filter(work=Worker.Work.TALKS).exists()


@dataclass(frozen=True)
class Watched:
    """How far a run is."""

    phase: str
    done: int
    total: int
    """0 when the trainer has not said."""
    seconds: float | None
    """Since a worker took it until it ended or now; None before."""
    seconds_left: float | None
    """At the pace of the last steps; None when nothing can be said."""
    silent: bool
    """The lease has run out: its worker is gone, and the next free one resumes it."""

    @property
    def percent(self) -> int:
        return 100 * self.done // self.total if self.total else 0


def watch(run: Run, now: datetime, pace: float | None = None) -> Watched:
    """Say how far `run` is; `pace` is what `seconds_per_step` says of it, for the time that is left."""
    progress = run.progress or {}
    done, total = int(number(progress, "done")), int(number(progress, "total"))
    end = run.finished_at or now
    return Watched(
        phase=str(progress.get("phase") or ""),
        done=min(done, total),
        total=total,
        seconds=(end - run.started_at).total_seconds() if run.started_at else None,
        seconds_left=(
            pace * (total - done) if pace is not None and total > done and run.state == Run.State.RUNNING else None
        ),
        silent=run.state == Run.State.RUNNING and run.lease_expires_at is not None and run.lease_expires_at < now,
    )


ADVICE: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("out of memory", "sigkill", "too little memory", "memoryerror"),
        "The machine ran out of memory, or somebody ended the trainer. Halve the batch size and double the gradient "
        "accumulation: the result is the same and needs less room.",
    ),
    (("no space left", "mb are free"), "The disk is full. Make room in the data directory, then start again."),
    (("not finite", "nan in", "is nan"), "The numbers went out of range. Lower the learning rate."),
    (("sha256", "is gone", "are gone"), "Files are not what they were. Restore them from a backup."),
)


def advice(error: str) -> str:
    """Say what a person can do about a run's error; a general word for one that is not known."""
    lowered = error.lower()
    for signs, text in ADVICE:
        if any(sign in lowered for sign in signs):
            return text
    return "The log below says what happened before it."


# Texts -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Landed:
    """What a sample run has brought so far."""

    responses: int
    wanted: int
    tasks: int
    latest: list[Response]


def landed_samples(run: Run, latest: int = 6) -> Landed:
    """Count the run's responses and the tasks that they made, and return the newest responses."""
    responses = Response.objects.filter(prompt__project=run.project, run_id=run.pk)
    planned = int(number(run.progress or {}, "total"))  # the trainer's word: prompts of today are not those of then
    prompts = len(run.prompt_ids) or Prompt.objects.pool().filter(project=run.project).count()
    made = (
        Task.objects.filter(queue=run.queue_id, links__place=0, links__response__run_id=run.pk)
        if run.queue_id
        else None
    )
    return Landed(
        responses=responses.count(),
        wanted=planned or prompts * responses_each(run.config),
        tasks=made.count() if made is not None else 0,
        latest=list(responses.select_related("prompt").order_by("-pk")[:latest]),
    )


@dataclass(frozen=True)
class Preview:
    """Rollouts of one update that the trainer has put aside for people to read."""

    step: int
    rollouts: list[dict[str, Any]]


def rollout_previews(run: Run, updates: int = 2) -> list[Preview]:
    """Return the rollouts of the first update and the last ones, the newest first; unreadable lines are passed over."""
    by_step: dict[int, list[dict[str, Any]]] = {}
    for row in whole_lines(RunDirectory(run.directory).previews_path):
        if isinstance(row.get("step"), int):
            by_step.setdefault(row["step"], []).append(row)
    steps = sorted(by_step, reverse=True)
    shown = steps if len(steps) <= updates + 1 else [*steps[:updates], steps[-1]]
    return [Preview(step, by_step[step]) for step in shown]


@dataclass(frozen=True)
class Written:
    step: int
    """0 is the model before training."""
    text: str


@dataclass(frozen=True)
class ComparedPreview:
    """What a policy in training writes to one prompt, the newest beside the one before it and that of the start."""

    prompt: str
    texts: list[Written]
    """The newest first; one after the other differ in their step."""

    @property
    def changed(self) -> bool:
        """The newest text is another than the one before it."""
        return len(self.texts) > 1 and self.texts[0].text != self.texts[1].text


def compared_previews(run: Run) -> list[ComparedPreview]:
    """Return, for each prompt of the previews, its last two texts and the one from before training."""
    prompts: dict[str, str] = {}
    written: dict[str, dict[int, str]] = {}
    for row in whole_lines(RunDirectory(run.directory).previews_path):
        if isinstance(row.get("step"), int):
            place = str(row.get("place", row.get("prompt")))
            prompts.setdefault(place, str(row.get("prompt", "")))
            written.setdefault(place, {})[row["step"]] = str(row.get("response", ""))
    found = []
    for place, texts in written.items():
        steps = sorted(texts, reverse=True)
        shown = steps if len(steps) <= 3 else [*steps[:2], steps[-1]]
        found.append(ComparedPreview(prompts[place], [Written(step, texts[step]) for step in shown]))
    return found


def whole_lines(path: Path) -> Iterable[dict[str, Any]]:
    try:
        content = path.read_bytes()
    except OSError:
        return
    for line in content.splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            yield row


# Log -------------------------------------------------------------------------------------------------

LOG_BYTES = 24_000


@dataclass(frozen=True)
class LogTail:
    text: str
    is_cut: bool
    """There is more before it."""


def log_tail(run: Run, size: int = LOG_BYTES) -> LogTail:
    """Return the last `size` bytes of the run's log as whole lines; empty while there is none."""
    try:
        with open(RunDirectory(run.directory).log_path, "rb") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - size))
            content = file.read(size)
    except OSError:
        return LogTail("", False)
    is_cut = length > size
    if is_cut:
        content = content.partition(b"\n")[2]
    return LogTail(as_seen(content.decode(errors="replace")), is_cut)


def as_seen(text: str) -> str:
    """Return what a terminal would show: a progress bar's last state, not each of them."""
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
