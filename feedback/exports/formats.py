"""The formats of an export: which rows of a snapshot's tables, under which columns, in which splits.

Every format is read from the frozen tables a few thousand rows at a time and says nothing that they do not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as pc
import pyarrow.parquet

from feedback.contract import COMPARED, ROW_SPLITS, SPLITS, TRAIN, table_file
from feedback.models import Snapshot
from feedback.snapshot_files import CHAT, FLAG, NUMBER, PROVENANCE, TEXT, WHOLE, schema_of

ROWS_AT_ONCE = 2_000

LITTLE: Mapping[str, pyarrow.DataType] = {
    name: PROVENANCE[name]
    for name in ("judgment_id", "task_id", "prompt_id", "annotator", "posterior", "weight", "simulated", "language")
}
"""The columns of where a row comes from that a derived format keeps."""


def little(table: pyarrow.Table) -> dict[str, Any]:
    return {name: table[name] for name in LITTLE}


@dataclass
class Seen:
    """Which prompts were given already, across the tables of one split."""

    digests: set[bytes] = field(default_factory=set)


Convert = Callable[[pyarrow.Table, str, Seen], pyarrow.Table | None]


@dataclass(frozen=True)
class Format:
    words: str
    trainer: str
    """Which trainer of TRL takes the rows; empty for none."""
    tables: tuple[str, ...]
    schema: pyarrow.Schema
    convert: Convert
    splits: tuple[str, ...] = ROW_SPLITS


def unchanged(table: pyarrow.Table, _name: str, _seen: Seen) -> pyarrow.Table:
    return table


def as_unpaired(table: pyarrow.Table, name: str, _seen: Seen) -> pyarrow.Table:
    """Return thumbs as they are, and of every pair the better response as good and the worse as bad."""
    if name == "unpaired":
        origin = pyarrow.repeat("thumb", table.num_rows)
        return pyarrow.table(
            {**{one: table[one] for one in ("prompt", "completion", "label")}, "origin": origin, **little(table)},
            schema=UNPAIRED,
        )
    halves = [
        pyarrow.table(
            {
                "prompt": table["prompt"],
                "completion": table[side],
                "label": pyarrow.repeat(side == "chosen", table.num_rows),
                "origin": table["origin"],
                **little(table),
            },
            schema=UNPAIRED,
        )
        for side in ("chosen", "rejected")
    ]
    # A pair's halves stay together: a trainer that reads in order sees both labels in every batch.
    order = np.arange(2 * table.num_rows).reshape(2, -1).T.ravel()
    return pyarrow.concat_tables(halves).take(pyarrow.array(order))


def as_messages(table: pyarrow.Table, name: str, _seen: Seen) -> pyarrow.Table:
    """Return talks as they are, and a prompt with its written response as one chat."""
    messages = table["messages"] if name == "conversation" else joined(table["prompt"], table["completion"])
    return pyarrow.table({"messages": messages, **little(table)}, schema=MESSAGES)


def joined(prompt: pyarrow.ChunkedArray, completion: pyarrow.ChunkedArray) -> pyarrow.Array:
    """Return every chat with its completion's messages after it."""
    first, second = whole(prompt), whole(completion)
    counts = [pc.list_value_length(one).to_numpy(zero_copy_only=False).astype(np.int64) for one in (first, second)]
    offsets = np.append(0, np.cumsum(counts[0] + counts[1]))
    both = pyarrow.concat_arrays([first.flatten(), second.flatten()])
    place = np.empty(len(both), dtype=np.int64)
    begin = 0
    for count, start in ((counts[0], offsets[:-1]), (counts[1], offsets[:-1] + counts[0])):
        at = np.repeat(start - (np.cumsum(count) - count), count) + np.arange(count.sum())
        place[at] = begin + np.arange(count.sum())
        begin += int(count.sum())
    return pyarrow.ListArray.from_arrays(pyarrow.array(offsets.astype(np.int32)), both.take(pyarrow.array(place)))


def whole(column: pyarrow.ChunkedArray) -> pyarrow.Array:
    return column.combine_chunks() if isinstance(column, pyarrow.ChunkedArray) else column


def as_prompts(table: pyarrow.Table, name: str, seen: Seen) -> pyarrow.Table | None:
    """Return the prompts that were not given yet, each once."""
    ids = table["prompt_id"].to_numpy(zero_copy_only=False)
    new = np.append(True, ids[1:] != ids[:-1])  # rows lie by prompt; a talk's prompts differ under one id
    if "origin" in table.column_names:
        new |= whole(pc.equal(table["origin"], "conversation")).to_numpy(zero_copy_only=False)
    candidates = np.flatnonzero(new)
    rows = []
    for row, prompt in zip(
        candidates.tolist(), table["prompt"].take(pyarrow.array(candidates)).to_pylist(), strict=True
    ):
        digest = hashlib.blake2b(json.dumps(prompt).encode(), digest_size=16).digest()
        if digest not in seen.digests:
            seen.digests.add(digest)
            rows.append(row)
    if not rows:
        return None
    taken = table.take(pyarrow.array(rows))
    return pyarrow.table({one: taken[one] for one in PROMPTS.names}, schema=PROMPTS)


def as_evaluation(table: pyarrow.Table, _name: str, _seen: Seen) -> pyarrow.Table | None:
    """Return the pairs that people compared, under the columns that benchmarks of reward models use."""
    table = table.filter(pc.is_in(table["origin"], pyarrow.array(COMPARED)))
    if not table.num_rows:
        return None
    subset = pc.if_else(pc.equal(table["language"], ""), "unknown", table["language"])
    columns = {
        "id": table["group"],
        "subset": subset,
        **{name: table[name] for name in ("prompt", "chosen", "rejected", "margin")},
        "votes": pc.list_value_length(table["judgments"]).cast(WHOLE),
        **little(table),
    }
    return pyarrow.table(columns, schema=COMPARISONS)


UNPAIRED = pyarrow.schema([("prompt", CHAT), ("completion", CHAT), ("label", FLAG), ("origin", TEXT), *LITTLE.items()])
MESSAGES = pyarrow.schema([("messages", CHAT), *LITTLE.items()])
PROMPTS = pyarrow.schema(
    [("prompt", CHAT), ("prompt_id", TEXT), ("language", TEXT), ("source", TEXT), ("licence", TEXT)]
)
COMPARISONS = pyarrow.schema(
    [
        ("id", TEXT), ("subset", TEXT), ("prompt", CHAT), ("chosen", CHAT), ("rejected", CHAT), ("margin", NUMBER),
        ("votes", WHOLE), *LITTLE.items(),
    ]
)  # fmt: skip

FORMATS: Mapping[str, Format] = {
    "preference": Format(
        "Pairs with margin, posterior and weight", "Reward, DPO", ("preference",), schema_of("preference"), unchanged
    ),
    "ranking": Format("Several responses in order", "", ("ranking",), schema_of("ranking"), unchanged),
    "rating": Format("What was said of one response", "", ("rating",), schema_of("rating"), unchanged),
    "unpaired": Format(
        "Good and bad responses: thumbs, and both sides of pairs", "KTO", ("unpaired", "preference"), UNPAIRED,
        as_unpaired,
    ),
    "prompt_completion": Format("A prompt and what people wrote", "SFT", ("sft",), schema_of("sft"), unchanged),
    "messages": Format(
        "Whole chats, written or chosen by people", "SFT", ("conversation", "sft"), MESSAGES, as_messages
    ),
    "prompt_only": Format(
        "Every prompt once", "GRPO, RLOO", ("preference", "ranking", "rating", "unpaired", "sft"), PROMPTS, as_prompts,
        SPLITS,
    ),
    "evaluation": Format(
        "Compared pairs that nothing is trained on", "Reward (evaluation)", ("preference",), COMPARISONS, as_evaluation,
        tuple(split for split in ROW_SPLITS if split != TRAIN),
    ),
}  # fmt: skip


def tables_of(snapshot: Snapshot, name: str, split: str) -> Iterator[pyarrow.Table]:
    """Yield the rows of a format and split, some thousand at a time; nothing where there are none."""
    wanted = FORMATS[name]
    seen = Seen()
    for table in wanted.tables if split in wanted.splits else ():
        path = snapshot.directory / table_file(table, split)
        if not path.is_file():
            continue
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, use_threads=False):  # threads would hold more rows at once
                converted = wanted.convert(pyarrow.Table.from_batches([batch]), table, seen)
                if converted is not None:
                    yield converted


def splits_of(snapshot: Snapshot, name: str) -> dict[str, int]:
    """Return the splits in which the format may have rows, with an upper bound of how many."""
    wanted = FORMATS[name]
    counts = {}
    for split in wanted.splits:
        rows = sum(
            snapshot.rows(table, split) * (2 if (name, table) == ("unpaired", "preference") else 1)
            for table in wanted.tables
        )
        if rows:
            counts[split] = rows
    return counts
