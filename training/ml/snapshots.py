"""Reading the tables of a snapshot, which is checked before it is used: the manifest against the sha256 that the run
names, every file against the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from feedback.contract import ROW_SPLITS, table_file
from training.ml import CannotRun
from training.rundir import RunSpec, read_json

WEIGHT = "weight"
"""A column of snapshots of format 3; before, all rows weighed the same."""


class SnapshotDamaged(CannotRun):
    """A snapshot's files are not those that were frozen."""


class NothingToLearnFrom(CannotRun):
    """The snapshot has no row in the split that the run needs."""


@dataclass(frozen=True)
class Tables:
    """The files of a snapshot that were found as they were frozen."""

    directory: Path
    files: dict[str, str]
    """{relative path: sha256}."""

    def has(self, table: str) -> bool:
        return any(table_file(table, split) in self.files for split in ROW_SPLITS)

    def require(self, tables: Sequence[str], kind: str) -> None:
        """Raise NothingToLearnFrom unless one of `tables` is there, which a run of `kind` reads."""
        if any(self.has(table) for table in tables):
            return
        there = sorted({Path(name).parent.name for name in self.files if name.startswith("data/")})
        raise NothingToLearnFrom(
            f"the snapshot has no {' or '.join(tables)} rows, which a {kind} run reads; it holds "
            f"{', '.join(there) or 'no rows at all'}"
        )

    def rows(
        self, table: str, split: str, columns: Sequence[str], *, perhaps: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Return the rows of a table and split with these columns and their weight; none where there is no file.

        Columns of `perhaps` come too where the file has them; a snapshot of an older format may not.
        """
        name = table_file(table, split)
        if name not in self.files:
            return []
        path = self.directory / name
        try:
            there = pyarrow.parquet.read_schema(path).names
            wanted = [*columns, *(one for one in (WEIGHT, *perhaps) if one in there and one not in columns)]
            return pyarrow.parquet.read_table(path, columns=wanted).to_pylist()
        except (pyarrow.ArrowException, KeyError) as error:
            raise SnapshotDamaged(f"{path} is not a table of {table} rows: {error}") from error


def open_snapshot(spec: RunSpec) -> Tables:
    """Check every file of the run's snapshot and return its tables; raises SnapshotDamaged."""
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
    return Tables(directory, files)


def file_sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def row_name(row: dict[str, Any], split: str, number: int) -> str:
    """Return how a message to people calls the `number`-th row of a split, counted from 1."""
    origin = f"judgment {row['judgment_id']}" if row.get("judgment_id") else f"task {row['task_id']}"
    return f"{split} row {number} ({origin})"
