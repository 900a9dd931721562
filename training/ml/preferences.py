"""Reading a snapshot's preferences, and turning them into token ids.

A snapshot is checked before it is used: the manifest against the sha256 that the run names, every file against the
manifest. A row that does not fit the run's length is refused, never truncated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow
import pyarrow.parquet

from feedback.contract import COMPARED, EVALUATION, ROW_SPLITS, TRAIN, PreferenceRow, table_file
from training.ml import CannotRun
from training.ml.chat import prompt_ids, refuse_too_long, response_ids
from training.ml.readings import Reading, answered
from training.rundir import RunSpec, read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

COLUMNS = ("prompt", "chosen", "rejected", "margin", "origin", "group", "judgment_id")
WEIGHT = "weight"
"""A column of snapshots of format 3; before, all rows weighed the same."""


class SnapshotDamaged(CannotRun):
    """A snapshot's files are not those that were frozen."""


class NothingToLearnFrom(CannotRun):
    """The snapshot has no row in the split that the run needs."""


@dataclass(frozen=True)
class PreferenceTokens:
    """One preference as token ids; chosen and rejected each end with the end token."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    margin: float
    name: str
    """How a message to people calls this row."""
    origin: str
    group: str
    """Rows of one group are pairs over one prompt from one answer."""
    weight: float = 1.0
    """How often it is drawn, beside the others."""

    @property
    def length(self) -> int:
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    def readings(self) -> list[Reading]:
        return [answered(self.prompt, self.chosen, "chosen"), answered(self.prompt, self.rejected, "rejected")]


def verify_snapshot(spec: RunSpec) -> dict[str, str]:
    """Return the snapshot's files as {relative path: sha256} after checking all of them; raises SnapshotDamaged."""
    if not spec.snapshot:
        raise SnapshotDamaged(f"a {spec.kind} run needs a snapshot; run.json names none")
    directory = Path(spec.snapshot)
    manifest_path = directory / "manifest.json"
    if not manifest_path.is_file():
        raise SnapshotDamaged(f"the snapshot {directory} has no manifest.json")
    found = file_sha256(manifest_path)
    if found != spec.snapshot_sha256:
        raise SnapshotDamaged(f"{manifest_path} has sha256 {found}, not {spec.snapshot_sha256} as when it was frozen")
    files = read_json(manifest_path).get("files")
    if not isinstance(files, dict):
        raise SnapshotDamaged(f"{manifest_path} does not list its files")
    for name, expected in files.items():
        path = directory / name
        if not path.is_file():
            raise SnapshotDamaged(f"the snapshot's file {path} is gone")
        found = file_sha256(path)
        if found != expected:
            raise SnapshotDamaged(f"{path} has sha256 {found}, not {expected} as when it was frozen")
    return files


def file_sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_split(spec: RunSpec, split: str) -> list[PreferenceRow]:
    """Return the preference rows of one split of the run's verified snapshot; a split without a file is empty.

    Raises NothingToLearnFrom for a snapshot of other tables alone.
    """
    files = verify_snapshot(spec)
    if not any(table_file("preference", each) in files for each in ROW_SPLITS):
        there = sorted({Path(name).parent.name for name in files if name.startswith("data/")})
        raise NothingToLearnFrom(
            f"the snapshot has no preference rows, which a {spec.kind} run reads; it holds "
            f"{', '.join(there) or 'no rows at all'}"
        )
    name = table_file("preference", split)
    if name not in files:
        return []
    path = Path(spec.snapshot) / name
    try:
        there = pyarrow.parquet.read_schema(path).names
        wanted = [*COLUMNS, *([WEIGHT] if WEIGHT in there else [])]
        return pyarrow.parquet.read_table(path, columns=wanted).to_pylist()
    except (pyarrow.ArrowException, KeyError) as error:
        raise SnapshotDamaged(f"{path} is not a table of preferences: {error}") from error


def read_compared(spec: RunSpec, tokenizer: PreTrainedTokenizerBase) -> list[PreferenceTokens]:
    """Return the evaluation rows whose two responses a person compared, for measuring agreement with people.

    A text that a person wrote over a model's is better than it by construction; nobody said so of the two.
    """
    rows = tokenize(read_split(spec, EVALUATION), tokenizer, EVALUATION)
    return [row for row in rows if row.origin in COMPARED]


def tokenize(
    rows: Iterable[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, split: str
) -> list[PreferenceTokens]:
    return [
        PreferenceTokens(
            prompt=prompt_ids(tokenizer, row["prompt"]),
            chosen=response_ids(tokenizer, row["chosen"][-1]["content"]),
            rejected=response_ids(tokenizer, row["rejected"][-1]["content"]),
            margin=float(row["margin"]),
            name=f"{split} row {number} ({row_name(row)})",
            origin=row["origin"],
            group=row["group"],
            weight=row.get(WEIGHT, 1.0),
        )
        for number, row in enumerate(rows, start=1)
    ]


def row_name(row: Mapping[str, Any]) -> str:
    return f"judgment {row['judgment_id']}" if row["judgment_id"] else f"task {row['group']}"


def read_preferences(
    spec: RunSpec, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[list[PreferenceTokens], list[PreferenceTokens]]:
    """Return (train, evaluation) as tokens. Raises SnapshotDamaged, or TooLong when a row of either does not fit.

    The evaluation rows are those of `read_compared`.
    """
    train = tokenize(read_split(spec, TRAIN), tokenizer, TRAIN)
    evaluation = read_compared(spec, tokenizer)
    refuse_rows_too_long([*train, *evaluation], max_length)
    return train, evaluation


def refuse_rows_too_long(rows: Sequence[PreferenceTokens], max_length: int) -> None:
    refuse_too_long([row.length for row in rows], max_length, "max_length", [row.name for row in rows])


def require_train_rows(train: Sequence[PreferenceTokens]) -> None:
    if not train:
        raise NothingToLearnFrom(
            "the snapshot has no preference in its train split; label more tasks whose prompts are not held out"
        )
