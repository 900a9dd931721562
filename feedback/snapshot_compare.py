"""Compare two snapshots: which judgments and rows one has and the other has not, and which say something else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet
from numpy.typing import NDArray

from feedback.contract import ROW_SPLITS, TABLES, table_file
from feedback.models import Snapshot
from feedback.refusals import Refusal
from feedback.snapshot_files import SnapshotDamaged
from feedback.snapshot_members import MembersGone, members
from feedback.snapshots import refuse_withdrawn

KEY = np.dtype([("task", "S36"), ("origin", "u1"), ("number", "u4")])
ROWS_AT_ONCE = 20_000


class CompareRefused(Refusal):
    """The two cannot be compared; `field` says which of them."""


@dataclass(frozen=True)
class Pairs:
    """Preference rows, by key. A row is known by its judgment, or where several judgments are one, by its task."""

    key: NDArray[Any]
    better: NDArray[np.uint64]
    """Of the better response's text."""
    margin: NDArray[np.float64]
    weight: NDArray[np.float64]
    split: NDArray[np.int8]


def compare(first: Snapshot, second: Snapshot) -> dict[str, Any]:
    """Return what is different in `second`: judgments, rows, preferences, counts, figures, choices and guidelines.

    Raises CompareRefused.
    """
    for name, snapshot in (("first", first), ("second", second)):
        if snapshot.project_id != first.project_id:
            raise CompareRefused(name, "the two snapshots are of different projects")
    return {
        "judgments": judgments_compared(first, second),
        "rows": rows_compared(first, second),
        "pairs": pairs_compared(first, second),
        "figures": figures_compared(first.manifest, second.manifest),
        "choices": choices_compared(first.manifest, second.manifest),
        "guidelines": guidelines_compared(first.manifest, second.manifest),
        "left_out": left_out_compared(first.manifest, second.manifest),
    }


def judgments_compared(first: Snapshot, second: Snapshot) -> dict[str, int] | None:
    """Count the judgments that only one of them holds, and both; None where one's list is gone."""
    try:
        one, other = (np.asarray(members(each)).view("S16") for each in (first, second))
    except MembersGone:
        return None
    both = len(np.intersect1d(one, other, assume_unique=True))
    return {"removed": len(one) - both, "added": len(other) - both, "both": both}


def rows_compared(first: Snapshot, second: Snapshot) -> list[dict[str, Any]]:
    return [
        {"table": table, "split": split, "first": first.rows(table, split), "second": second.rows(table, split)}
        for table in TABLES
        for split in ROW_SPLITS
        if first.rows(table, split) or second.rows(table, split)
    ]


def pairs_compared(first: Snapshot, second: Snapshot) -> dict[str, int] | None:
    """Count the preference rows that were added or removed, and those of both that say something else.

    None where the rows of one are gone.
    """
    try:
        one, other = pairs_of(first), pairs_of(second)
    except SnapshotDamaged:
        return None
    _, mine, theirs = np.intersect1d(one.key, other.key, assume_unique=True, return_indices=True)
    turned = one.better[mine] != other.better[theirs]
    return {
        "removed": len(one.key) - len(mine),
        "added": len(other.key) - len(mine),
        "both": len(mine),
        "turned": int(turned.sum()),
        "margin": int((~turned & (np.abs(one.margin[mine] - other.margin[theirs]) > 1e-9)).sum()),
        "weight": int((np.abs(one.weight[mine] - other.weight[theirs]) > 1e-9).sum()),
        "split": int((one.split[mine] != other.split[theirs]).sum()),
    }


def pairs_of(snapshot: Snapshot) -> Pairs:
    refuse_withdrawn(snapshot)
    found: dict[str, list[NDArray[Any]]] = {name: [] for name in ("key", "better", "margin", "weight", "split")}
    for split, batch in batches(snapshot):
        groups = batch["group"].to_numpy(zero_copy_only=False).astype("S36")
        key = np.zeros(batch.num_rows, dtype=KEY)
        key["task"] = groups
        key["origin"] = pc.index_in(batch["origin"], ORIGINS).to_numpy(zero_copy_only=False)
        found["key"].append(key)
        found["better"].append(texts_hashed(batch["chosen"]))
        found["margin"].append(batch["margin"].to_numpy(zero_copy_only=False))
        weights = batch["weight"] if "weight" in batch.schema.names else None
        found["weight"].append(np.ones(len(key)) if weights is None else weights.to_numpy(zero_copy_only=False))
        found["split"].append(np.full(len(key), ROW_SPLITS.index(split), dtype=np.int8))
    if not found["key"]:
        nothing = np.empty(0)
        return Pairs(np.empty(0, KEY), nothing.astype(np.uint64), nothing, nothing, nothing.astype(np.int8))
    whole = {name: np.concatenate(parts) for name, parts in found.items()}
    return Pairs(**{**whole, "key": numbered_within(whole["key"])})


ORIGINS = pyarrow.array(["comparison", "ranking", "conversation", "edit", "correction"])
WANTED = ("group", "origin", "chosen", "margin", "weight")


def batches(snapshot: Snapshot) -> Iterator[tuple[str, pyarrow.RecordBatch]]:
    for split in ROW_SPLITS:
        path = snapshot.directory / table_file("preference", split)
        if not path.is_file():
            if snapshot.rows("preference", split):
                raise SnapshotDamaged(f"{path.name} is missing")
            continue
        with pyarrow.parquet.ParquetFile(path) as file:
            names = [name for name in WANTED if name in file.schema_arrow.names]
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=names):
                yield split, batch


def texts_hashed(chats: pyarrow.Array) -> NDArray[np.uint64]:
    """Return a number for the text of every chat of one message; each text is hashed once a batch."""
    coded = chats.flatten().field("content").dictionary_encode()
    hashes = [
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) for text in coded.dictionary.to_pylist()
    ]
    return np.array(hashes, dtype=np.uint64)[coded.indices.to_numpy(zero_copy_only=False)]


def numbered_within(key: NDArray[Any]) -> NDArray[Any]:
    """Tell the rows of one group and origin apart by their order, which is the same in every snapshot."""
    order = np.argsort(key, order=("task", "origin"), kind="stable")
    ordered = key[order]
    new = np.ones(len(key), dtype=bool)
    new[1:] = (ordered["task"][1:] != ordered["task"][:-1]) | (ordered["origin"][1:] != ordered["origin"][:-1])
    start = np.maximum.accumulate(np.where(new, np.arange(len(key)), 0))
    numbered = key.copy()
    numbered["number"][order] = np.arange(len(key)) - start
    return numbered


def figures_compared(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    names = ["agreement", "gold", "first_shown", "longer", "ties", "actively_chosen", "random"]
    found = []
    for name in names:
        one, other = ((manifest.get("figures") or {}).get(name) for manifest in (first, second))
        if name == "agreement":
            one, other = (each and {"n": each["tasks"], **each["percent"]} for each in (one, other))
        if one or other:
            found.append({"figure": name, "first": one, "second": other})
    return found


def choices_compared(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    one, other = first.get("selection", {}), second.get("selection", {})
    return [
        {"choice": name, "first": one.get(name), "second": other.get(name)}
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    ]


def guidelines_compared(first: dict[str, Any], second: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the versions of guidelines under which only one's judgments were made."""
    one, other = ({(each["queue"], each["number"]) for each in manifest["guidelines"]} for manifest in (first, second))
    return {
        "removed": [{"queue": queue, "number": number} for queue, number in sorted(one - other)],
        "added": [{"queue": queue, "number": number} for queue, number in sorted(other - one)],
    }


def left_out_compared(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    one, other = (manifest["counts"]["left_out"] for manifest in (first, second))
    return [
        {"reason": reason, "first": one.get(reason, 0), "second": other.get(reason, 0)}
        for reason in dict.fromkeys([*one, *other])
        if one.get(reason, 0) != other.get(reason, 0)
    ]
