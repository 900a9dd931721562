"""What lies in a snapshot's directory, and how it gets there whole or not at all.

    data/train.parquet, data/evaluation.parquet   PreferenceRow per row; a split without rows has no file
    README.md                                     card that `datasets.load_dataset(directory)` understands
    manifest.json                                 what is inside, from whom, and the sha256 of every other file

The sha256 of manifest.json is the snapshot's content hash. Name, time and people's names stay out of the files, so the
same judgments under the same filters give the same hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from feedback.contract import SPLITS, PreferenceRow

MANIFEST = "manifest.json"
ROWS_PER_GROUP = 1_000

CHAT = pyarrow.list_(pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())]))
SCHEMA = pyarrow.schema(
    [
        ("prompt", CHAT),
        ("chosen", CHAT),
        ("rejected", CHAT),
        ("margin", pyarrow.float64()),
        ("judgment_id", pyarrow.string()),
        ("task_id", pyarrow.string()),
        ("annotator", pyarrow.string()),
        ("simulated", pyarrow.bool_()),
        ("propensity", pyarrow.float64()),
    ]
)


class SnapshotDamaged(Exception):
    """A snapshot's files are not what was frozen; the message says which and how."""


def data_file(split: str) -> str:
    return f"data/{split}.parquet"


def write_rows(directory: Path, batches: Iterable[Mapping[str, Sequence[PreferenceRow]]]) -> dict[str, int]:
    """Append every batch's rows to their split's Parquet file, one row group each; return rows per split."""
    (directory / "data").mkdir()
    counts = dict.fromkeys(SPLITS, 0)
    writers: dict[str, pyarrow.parquet.ParquetWriter] = {}
    try:
        for batch in batches:
            for split, rows in batch.items():
                if not rows:
                    continue
                if split not in writers:
                    writers[split] = pyarrow.parquet.ParquetWriter(directory / data_file(split), SCHEMA)
                writers[split].write_table(pyarrow.Table.from_pylist([dict(row) for row in rows], schema=SCHEMA))
                counts[split] += len(rows)
    finally:
        for writer in writers.values():
            writer.close()
    return counts


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


def write_card(directory: Path, *, project: str, rows: Mapping[str, int], annotators: int, simulated: int) -> None:
    """Write README.md, whose header tells `datasets` where the splits are."""
    splits = [split for split in SPLITS if rows[split]]
    header = ["---", "pretty_name: Preferences of " + project, "task_categories:", "- text-generation", "tags:"]
    header += ["- preference", "- rlhf", "- concord", "configs:", "- config_name: default", "  data_files:"]
    for split in splits:
        header += [f"  - split: {split}", f"    path: {data_file(split)}"]
    table = "\n".join(f"| {split} | {rows[split]:,} |" for split in splits)
    people = f"{annotators - simulated} people" if annotators - simulated != 1 else "one person"
    body = f"""---

# Preferences of {project}

One row is one judgment: of two responses to a prompt, somebody preferred `chosen` to `rejected`, and `margin` says how
strongly (1 slightly, 2 clearly, 3 by far). Ties and rejected judgments are left out; `manifest.json` counts them.

| split | rows |
|---|---|
{table}

Judged by {people}{f" and {simulated} simulated annotator{'s' if simulated != 1 else ''}" if simulated else ""}.
Prompts of the evaluation split were set aside when they were imported and share no near-duplicate with the train split.

```python
from datasets import load_dataset

rows = load_dataset("path/to/this/directory")
```

TRL's `RewardTrainer` and `DPOTrainer` take the rows unchanged.

| column | meaning |
|---|---|
| prompt | the chat up to the user's last turn, as messages of role and content |
| chosen, rejected | the two responses, each as one assistant message |
| margin | strength of the preference, 1.0 to 3.0 |
| judgment_id, task_id | where it comes from |
| annotator | a pseudonym, stable within the project |
| simulated | true when a rule judged, not a person |
| propensity | the probability with which the pair was drawn among all pairs on offer |
"""
    (directory / "README.md").write_text("\n".join(header) + "\n" + body, encoding="utf-8")
