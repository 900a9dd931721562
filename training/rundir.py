"""What lies in a run directory. Standard library only: the worker and the trainer meet here and nowhere else.

run.json           RunSpec, written by the worker before the child starts, never changed
prompts.jsonl      PromptRow per line (sample and PPO runs)
progress.json      what the child is doing now, replaced atomically
metrics.jsonl      one JSON object per optimizer step: {"step": 1, "time": ..., "loss": ...}
responses.jsonl    {"response_id", "messages", "text"} per line (score runs)
scores.jsonl       {"response_id", "value"} per line, as the reward model gives them; of an ensemble also "spread",
                   of one with attribute heads also "attributes" {key: 0 to 1}
samples.jsonl      SampleRow per line (sample runs)
answers.jsonl      what a policy and its reference wrote, with their readings, per line (evaluate runs that compare)
samples_preview.jsonl  a few rollouts of every update, for people to read (PPO runs)
checkpoints/       resumable state, one folder per saved step; the trainer's own business
model/             the finished adapter or reward model, with checkpoint.json (written by rename, so whole or absent)
outcome.json       Outcome, written last: its presence means that the child ended by itself
error.txt          a message for people, when the child gave up
log.txt            stdout and stderr of the child, every attempt
preflight.json     Preflight, what was found before the first step
reference.json     what the policy before training says of the rows, asked once (DPO and KTO runs)
environment.json   versions, git commit, device: what it takes to run it again
cancel             asks the child to stop after this step, keep a checkpoint and write its outcome
pause              asks the child to stop after this step, keep a checkpoint and say in its outcome that it is paused
child.json, lock   which process works here (training.child)
accelerate.json    how `accelerate launch` starts the run's processes, where there are several
job.json           which job of a cluster carries the run out
attended           whose job may work here; its time changes while somebody looks after it
datasets-cache/    scratch of the datasets library, gone when the run has ended
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

WHOLE = "concord-complete"
"""File in a checkpoint's folder that says that the checkpoint is whole."""
GUARD_FD = "CONCORD_GUARD_FD"
"""Environment variable with the read end of a pipe that whoever started this process holds open: end of file means
that the starter is gone."""
ATTENDED = "CONCORD_ATTENDED"
"""Environment variable of a job on another machine, where no pipe reaches: the word that must stand in `attended`."""
DIGEST_PIECE = 2**22
UNATTENDED_SECONDS = 120.0
"""After so long without a change of `attended` a job takes itself for forgotten; longer than file systems cache."""


@dataclass(frozen=True)
class ModelSource:
    """Where a model's weights come from: `base` (a directory or hub id), then LoRA adapters merged in this order.

    For a reward model the last adapter carries the score head.
    """

    base: str
    adapters: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunSpec:
    run_id: str
    kind: str
    config: dict[str, Any]
    policy: ModelSource | None = None
    """The model to train, sample or evaluate; the reference is this model before training."""
    reward: ModelSource | None = None
    """The reward model that scores what is written, or the one to evaluate."""
    reference: ModelSource | None = None
    """What a policy is evaluated against; None for what its adapters stand on."""
    others: tuple[ModelSource, ...] = ()
    """Further models that answer the same prompts (sample runs)."""
    snapshot: str = ""
    """Directory of the snapshot; empty when the kind needs none."""
    snapshot_sha256: str = ""
    launch: dict[str, Any] = field(default_factory=dict)
    """Values of training.configs.LaunchConfig: how the run's processes start; empty for one on this machine."""
    needs: dict[str, Any] = field(default_factory=dict)
    """Values of training.configs.NeedsConfig: what a cluster is asked for."""
    waits_after_preflight: bool = False
    """End as paused once the preflight is written, until the worker puts `preflight-seen` beside it."""


@dataclass(frozen=True)
class Outcome:
    status: str
    """"succeeded", "cancelled", "paused" (no model yet) or "failed" with what the last good checkpoint had learned."""
    step: int = 0
    model_sha256: str = ""
    """Digest over the files of `model/`; empty when the kind leaves no model."""
    template_digest: str = ""
    evaluation: dict[str, Any] = field(default_factory=dict)
    """Figures about the result, each with its n, such as {"accuracy": 0.7, "n": 120, "low": 0.61, "high": 0.78}."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at before training."""

    name: str
    """Short key, such as "length"."""
    verdict: str
    """"ok", "warning" or "blocking"."""
    message: str
    """What was found and, unless all is well, what would be right; for people."""
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Preflight:
    checks: list[Check]
    examples: list[dict[str, Any]] = field(default_factory=list)
    """Rows as the model reads them: {"name", "pieces": [{"text", "learned": bool, "special": bool}]}."""
    estimate: dict[str, Any] = field(default_factory=dict)
    """{"memory_mb", "seconds", "step_seconds", "device"}: what the run should take here; at its end also
    {"happened_memory_mb", "happened_step_seconds"}, what it then took."""

    @property
    def blocking(self) -> list[Check]:
        return [check for check in self.checks if check.verdict == "blocking"]


class BadRunDirectory(ValueError):
    """A run directory lacks something or holds something unreadable; the message says what and where."""


class RunDirectory:
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.spec_path = self.path / "run.json"
        self.prompts_path = self.path / "prompts.jsonl"
        self.progress_path = self.path / "progress.json"
        self.metrics_path = self.path / "metrics.jsonl"
        self.responses_path = self.path / "responses.jsonl"
        self.scores_path = self.path / "scores.jsonl"
        self.samples_path = self.path / "samples.jsonl"
        self.answers_path = self.path / "answers.jsonl"
        self.previews_path = self.path / "samples_preview.jsonl"
        self.checkpoints_path = self.path / "checkpoints"
        self.model_path = self.path / "model"
        self.outcome_path = self.path / "outcome.json"
        self.error_path = self.path / "error.txt"
        self.log_path = self.path / "log.txt"
        self.preflight_path = self.path / "preflight.json"
        self.reference_path = self.path / "reference.json"
        self.preflight_seen_path = self.path / "preflight-seen"
        self.environment_path = self.path / "environment.json"
        self.cancel_path = self.path / "cancel"
        self.pause_path = self.path / "pause"
        self.accelerate_path = self.path / "accelerate.json"
        self.job_path = self.path / "job.json"
        self.attended_path = self.path / "attended"
        self.datasets_cache = self.path / "datasets-cache"

    # Spec ---------------------------------------------------------------------------------------

    def write_spec(self, spec: RunSpec) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.spec_path, dataclasses.asdict(spec))

    def spec(self) -> RunSpec:
        values = read_json(self.spec_path)
        if values is None:
            raise BadRunDirectory(f"{self.spec_path} is missing; a run directory starts with run.json")
        try:
            for name in ("policy", "reward", "reference"):
                if values.get(name) is not None:
                    values[name] = ModelSource(values[name]["base"], tuple(values[name]["adapters"]))
            values["others"] = tuple(
                ModelSource(one["base"], tuple(one["adapters"])) for one in values.get("others", ())
            )
            return RunSpec(**values)
        except (TypeError, KeyError) as error:
            raise BadRunDirectory(f"{self.spec_path} does not describe a run: {error}") from error

    # Progress and metrics -------------------------------------------------------------------------

    def write_progress(self, phase: str, done: int = 0, total: int = 0) -> None:
        write_json(self.progress_path, {"phase": phase, "done": done, "total": total})

    def progress(self) -> dict[str, Any]:
        return read_json(self.progress_path) or {"phase": "", "done": 0, "total": 0}

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Append one step's metrics as one line; NaN and infinities become null."""
        append_line(self.metrics_path, {name: finite(value) for name, value in row.items()})

    def metrics(self) -> list[dict[str, Any]]:
        return list(read_lines(self.metrics_path))

    def forget_metrics_after(self, step: int) -> None:
        """Drop the metrics of steps after `step`, which a resumed run will write again."""
        keep_lines(self.metrics_path, [row for row in self.metrics() if row["step"] <= step])

    def kept_step(self) -> int | None:
        """Return the step of the latest whole checkpoint, from which the run can go on; None where there is none."""
        marks = self.checkpoints_path.glob(f"checkpoint-*/{WHOLE}")
        return max((int(mark.parent.name.rpartition("-")[2]) for mark in marks), default=None)

    # Ending ---------------------------------------------------------------------------------------

    def cancel_requested(self) -> bool:
        return self.cancel_path.exists()

    def request_cancel(self) -> None:
        self.cancel_path.touch()

    def pause_requested(self) -> bool:
        return self.pause_path.exists()

    def request_pause(self) -> None:
        self.pause_path.touch()

    def stop_requested(self) -> bool:
        """Tell whether the child should stop after this step, for good or for a while."""
        return self.cancel_requested() or self.pause_requested()

    def forget_ending(self) -> None:
        """Take away what says that the run has ended or should: it goes on."""
        for path in (self.outcome_path, self.error_path, self.cancel_path, self.pause_path):
            path.unlink(missing_ok=True)

    def write_preflight(self, preflight: Preflight) -> None:
        write_json(self.preflight_path, dataclasses.asdict(preflight))

    def forget_examples(self) -> None:
        """Take the example rows out of preflight.json."""
        values = read_json(self.preflight_path)
        if isinstance(values, dict) and values.get("examples"):
            write_json(self.preflight_path, {**values, "examples": []})

    def preflight(self) -> Preflight | None:
        values = read_json(self.preflight_path)
        if values is None:
            return None
        return Preflight(**{**values, "checks": [Check(**one) for one in values["checks"]]})

    def write_outcome(self, outcome: Outcome) -> None:
        write_json(self.outcome_path, dataclasses.asdict(outcome))

    def outcome(self) -> Outcome | None:
        values = read_json(self.outcome_path)
        return None if values is None else Outcome(**values)

    def write_error(self, message: str) -> None:
        write_bytes(self.error_path, message.encode())

    def error(self) -> str:
        return self.error_path.read_text(errors="replace") if self.error_path.exists() else ""


# Guard ------------------------------------------------------------------------------------------------


def when_guard_closes(action: Callable[[], None]) -> None:
    """Call `action`, in a thread, once the process that left a pipe in GUARD_FD is gone; without a pipe do nothing."""
    descriptor = os.environ.pop(GUARD_FD, "")
    if not descriptor:
        return

    def watch() -> None:
        with contextlib.suppress(OSError):  # a broken pipe says the same as a closed one
            while os.read(int(descriptor), 1024):
                pass
        action()

    threading.Thread(target=watch, name="guard", daemon=True).start()


def when_unattended(
    run: RunDirectory, action: Callable[[], None], *, patience: float = UNATTENDED_SECONDS, every: float = 2.0
) -> None:
    """Call `action`, in a thread, once nobody attends to this job or another job has taken its place.

    Only a job of a cluster has ATTENDED in its environment; elsewhere nothing is done. Clocks are not compared.
    """
    word = os.environ.get(ATTENDED, "")
    if not word:
        return

    def watch() -> None:
        seen, changed = -1, time.monotonic()
        while time.monotonic() - changed < patience:
            with contextlib.suppress(OSError):  # away for a moment is as good as unchanged
                if run.attended_path.read_text() != word:
                    break
                now = run.attended_path.stat().st_mtime_ns
                if now != seen:
                    seen, changed = now, time.monotonic()
            time.sleep(every)
        action()

    threading.Thread(target=watch, name="attended", daemon=True).start()


# Files ------------------------------------------------------------------------------------------------


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` with `content` so that a crash leaves the old file or the new one, never a part."""
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` once it is whole and on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, json.dumps(value, ensure_ascii=False).encode())


def read_json(path: Path) -> Any:
    """Return the parsed file, or None when there is none."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    append_lines(path, [row])


def append_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append the rows, and see to it that they are on the disk."""
    with open(path, "ab") as file:
        file.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a JSONL file; a torn last line, left by a crash, is passed over."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n") and line.strip():
                yield json.loads(line)


def keep_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace the file by these rows, which are written as they come."""
    with replacing(path) as file:
        file.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def publish_directory(temporary: Path, final: Path) -> None:
    """Move a finished directory into place in one step, replacing an earlier one."""
    if final.exists():
        shutil.rmtree(final)
    os.replace(temporary, final)


def directory_digest(path: Path, read: Callable[[int], None] = lambda size: None) -> str:
    """Return one sha256 over the names and contents of every file below `path`; `read` hears how much has been read."""
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        found = hashlib.sha256()
        with open(file, "rb") as content:
            while piece := content.read(DIGEST_PIECE):
                found.update(piece)
                read(len(piece))
        total.update(f"{file.relative_to(path).as_posix()} {found.hexdigest()}\n".encode())
    return total.hexdigest()


def finite(value: Any) -> Any:
    return None if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))) else value
