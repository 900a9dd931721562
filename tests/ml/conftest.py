"""Tiny models, snapshots and run directories for the tests of training.ml."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from feedback.contract import PreferenceRow, PromptRow, table_file
from tests.tiny_model import save_tiny_model
from training.rundir import ModelSource, RunDirectory, RunSpec

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Bit-exact comparisons need one order of additions, and the machine is shared."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def tiny(tiny_path: Path) -> ModelSource:
    return ModelSource(str(tiny_path))


@pytest.fixture(scope="session")
def tokenizer(tiny: ModelSource):
    from training.ml.models import load_tokenizer

    return load_tokenizer(tiny)


def easy_preferences(count: int, seed: int = 0) -> list[PreferenceRow]:
    """Preferences with a plain rule: the response that says thanks is the better one."""
    draw = random.Random(seed)
    words = ["water", "tea", "cup", "day", "night", "red", "blue", "green", "two", "three"]
    rows: list[PreferenceRow] = []
    for number in range(count):
        topic, other = draw.sample(words, 2)
        rows.append(
            {
                "prompt": [{"role": "user", "content": f"tell {topic} {other} {number}"}],
                "chosen": [{"role": "assistant", "content": f"thank you {topic}" + " please" * draw.randint(0, 2)}],
                "rejected": [{"role": "assistant", "content": f"no {other}" + " bad" * draw.randint(0, 2)}],
                "margin": float(draw.randint(1, 3)),
                "judgment_id": f"judgment-{number}",
                "origin": "comparison",
                "group": f"judgment-{number}",
                "task_id": f"task-{number}",
                "queue_id": "queue-1",
                "task_kind": "comparison",
                "annotator": "annotator-1",
                "simulated": False,
                "propensity": 1.0,
                "arm": "priority",
                "arm_propensity": 1.0,
                "flags": [],
            }
        )
    return rows


def write_snapshot(
    directory: Path, train: list[PreferenceRow], evaluation: list[PreferenceRow] | None = None
) -> tuple[str, str]:
    """Write a snapshot as feedback does; returns (directory, sha256)."""
    return write_tables(directory, {"preference": {"train": train, "evaluation": evaluation or []}})


def write_tables(directory: Path, tables: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> tuple[str, str]:
    """Write a snapshot of {table: {split: rows}}; returns (directory, sha256). A split without rows gets no file."""
    import pyarrow
    import pyarrow.parquet

    files: dict[str, str] = {}
    for table, splits in tables.items():
        (directory / "data" / table).mkdir(parents=True)
        for split, rows in splits.items():
            if rows:
                path = directory / table_file(table, split)
                pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), path)
                files[table_file(table, split)] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = json.dumps({"files": files}).encode()
    (directory / "manifest.json").write_bytes(manifest)
    return str(directory), hashlib.sha256(manifest).hexdigest()


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return write_snapshot(
        tmp_path_factory.mktemp("snapshots") / "easy", easy_preferences(24), easy_preferences(12, seed=1)
    )


def prompt_rows(count: int, split: str = "train") -> list[PromptRow]:
    return [
        {
            "prompt_id": f"prompt-{number}",
            "messages": [{"role": "user", "content": "what is tea " + "good " * (number % 3) + str(number)}],
            "split": split,
        }
        for number in range(count)
    ]


def write_prompts(run: RunDirectory, rows: list[PromptRow]) -> None:
    run.prompts_path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_run_directory(path: Path, kind: str, config: dict[str, Any], **fields: Any) -> RunDirectory:
    run = RunDirectory(path)
    run.write_spec(RunSpec(run_id=path.name, kind=kind, config=config, **fields))
    return run


def in_this_process(run: RunDirectory) -> int:
    from training.ml.__main__ import main

    return main([str(run.path)])


def start_child(run: RunDirectory, **options: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
    with open(run.log_path, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "training.ml", str(run.path)],
            cwd=ROOT,
            env={**environment, **options.pop("env", {})},
            stdout=log,
            stderr=log,
            **options,
        )


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start `python -m training.ml` on a run directory; whatever is left is killed at the end of the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(run: RunDirectory, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start_child(run, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows without what the machine decides."""
    machine = ("time", "seconds", "tokens_per_second", "memory_mb")
    return [{name: value for name, value in row.items() if name not in machine} for row in rows]


def finished_run(path: Path, kind: str, config: dict[str, Any], **fields: Any) -> RunDirectory:
    run = make_run_directory(path, kind, config, **fields)
    assert in_this_process(run) == 0, run.error()
    return run


@pytest.fixture(scope="session")
def reward_run(tmp_path_factory: pytest.TempPathFactory, tiny: ModelSource, snapshot: tuple[str, str]) -> RunDirectory:
    return finished_run(
        tmp_path_factory.mktemp("runs") / "reward",
        "reward",
        {"steps": 20, "learning_rate": 5e-3},
        policy=tiny,
        snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
    )


@pytest.fixture(scope="session")
def reward_model(tiny: ModelSource, reward_run: RunDirectory) -> ModelSource:
    return ModelSource(tiny.base, (str(reward_run.model_path),))


@pytest.fixture(scope="session")
def dpo_run(tmp_path_factory: pytest.TempPathFactory, tiny: ModelSource, snapshot: tuple[str, str]) -> RunDirectory:
    return finished_run(
        tmp_path_factory.mktemp("runs") / "dpo",
        "dpo",
        {"steps": 6, "learning_rate": 5e-3, "checkpoint_every": 4},
        policy=tiny,
        snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
    )


@pytest.fixture(scope="session")
def dpo_model(tiny: ModelSource, dpo_run: RunDirectory) -> ModelSource:
    return ModelSource(tiny.base, (str(dpo_run.model_path),))
