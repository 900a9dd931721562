"""What lies in a snapshot's directory, and how it gets there whole or not at all.

    data/<table>/<split>.parquet   the rows of one table (feedback.contract.TABLES); where there are none, no file
    judgments.ids                  the sorted ids of its judgments (feedback.snapshot_members)
    README.md                      card that `datasets.load_dataset(directory, table)` understands
    manifest.json                  what is inside, from whom, and the sha256 of every other file

The sha256 of manifest.json is the snapshot's content hash. Name, time and people's names stay out of the files, so the
same judgments under the same filters give the same hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from feedback.contract import ROW_SPLITS, TABLES, table_file

MANIFEST = "manifest.json"
DICTIONARY_LIMIT = 2**24
"""A text that many rows of a group are about is kept once in it, up to so many bytes of texts."""

TEXT, NUMBER, WHOLE, FLAG = pyarrow.string(), pyarrow.float64(), pyarrow.int64(), pyarrow.bool_()
CHAT = pyarrow.list_(pyarrow.struct([("role", TEXT), ("content", TEXT)]))
RAISED = pyarrow.list_(pyarrow.struct([("flag", TEXT), ("kind", TEXT), ("response", WHOLE)]))
RATED = pyarrow.list_(pyarrow.struct([("attribute", TEXT), ("value", WHOLE), ("low", WHOLE), ("high", WHOLE)]))

COLUMNS: Mapping[str, Mapping[str, pyarrow.DataType]] = {
    "preference": {
        "prompt": CHAT, "chosen": CHAT, "rejected": CHAT, "margin": NUMBER, "origin": TEXT, "group": TEXT
    },
    "ranking": {
        "prompt": CHAT, "responses": pyarrow.list_(CHAT), "ranks": pyarrow.list_(WHOLE),
        "not_rankable": pyarrow.list_(FLAG),
    },
    "rating": {"prompt": CHAT, "response": CHAT, "ratings": RATED},
    "unpaired": {"prompt": CHAT, "completion": CHAT, "label": FLAG, "attribute": TEXT},
    "sft": {"prompt": CHAT, "completion": CHAT},
    "conversation": {"messages": CHAT, "turns": WHOLE},
}  # fmt: skip
"""The columns of each table, as its row in feedback.contract names them."""

PROVENANCE: Mapping[str, pyarrow.DataType] = {
    "judgment_id": TEXT, "task_id": TEXT, "prompt_id": TEXT, "queue_id": TEXT, "task_kind": TEXT, "annotator": TEXT,
    "judgments": pyarrow.list_(TEXT), "annotators": pyarrow.list_(TEXT), "verdict": TEXT, "posterior": NUMBER,
    "weight": NUMBER, "fixed": FLAG, "simulated": FLAG, "propensity": NUMBER, "arm": TEXT, "arm_propensity": NUMBER,
    "language": TEXT, "source": TEXT, "licence": TEXT, "flags": RAISED,
}  # fmt: skip
"""The columns that every table has besides."""


class SnapshotDamaged(Exception):
    """A snapshot's files are not what was frozen; the message says which and how."""


def schema_of(table: str) -> pyarrow.Schema:
    return pyarrow.schema([*COLUMNS[table].items(), *PROVENANCE.items()])


def write_tables(
    directory: Path, pieces: Iterable[Mapping[tuple[str, str], pyarrow.Table]]
) -> dict[str, dict[str, int]]:
    """Append every piece's tables, keyed by (table, split), to their Parquet file, one row group each.

    Return the rows per split of every table that has any.
    """
    counts: dict[tuple[str, str], int] = Counter()
    writers: dict[tuple[str, str], pyarrow.parquet.ParquetWriter] = {}
    try:
        for piece in pieces:
            for (table, split), rows in piece.items():
                if (table, split) not in writers:
                    path = directory / table_file(table, split)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    writers[table, split] = pyarrow.parquet.ParquetWriter(
                        path, schema_of(table), dictionary_pagesize_limit=DICTIONARY_LIMIT
                    )
                writers[table, split].write_table(rows, row_group_size=max(1, rows.num_rows))
                counts[table, split] += rows.num_rows
    finally:
        for writer in writers.values():
            writer.close()
    there = [table for table in TABLES if any(counts[table, split] for split in ROW_SPLITS)]
    return {table: {split: counts[table, split] for split in ROW_SPLITS} for table in there}


def write_manifest(directory: Path, content: Mapping[str, Any]) -> str:
    """Write manifest.json with `content` and the digest of every file that is there; return its own sha256."""
    files = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    manifest = {
        **content,
        "files": {name: file_sha256(directory / name) for name in files},
        "bytes": {name: (directory / name).stat().st_size for name in files},
    }
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (directory / MANIFEST).write_text(text, encoding="utf-8")
    return file_sha256(directory / MANIFEST)


def publish(source: Path, target: Path) -> None:
    """Move the finished directory to its place, on disk before it is visible.

    What a crash left at `target` counts if it is whole; otherwise it is put aside.
    """
    for path in [*source.rglob("*"), source]:
        sync(path)
    if target.exists():
        try:
            verify_directory(target, target.name)
        except SnapshotDamaged:
            target.rename(target.with_name(f".damaged-{uuid.uuid4().hex}"))
        else:
            shutil.rmtree(source)
            return
    try:
        source.rename(target)
    except OSError:
        verify_directory(target, target.name)  # another process put the same content there first
        shutil.rmtree(source)
    sync(target.parent)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_directory(directory: Path, sha256: str) -> dict[str, Any]:
    """Return the parsed manifest if every file is what was frozen. Raises SnapshotDamaged."""
    path = directory / MANIFEST
    if not path.is_file():
        raise SnapshotDamaged(f"{MANIFEST} is missing")
    if (found := file_sha256(path)) != sha256:
        raise SnapshotDamaged(f"{MANIFEST} has sha256 {found[:12]}..., frozen was {sha256[:12]}...")
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name, frozen in manifest["files"].items():
        if not (directory / name).is_file():
            raise SnapshotDamaged(f"{name} is missing")
        if (found := file_sha256(directory / name)) != frozen:
            raise SnapshotDamaged(f"{name} has sha256 {found[:12]}..., frozen was {frozen[:12]}...")
    return manifest
