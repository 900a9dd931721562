"""Files in which the near-duplicates of a prompt are found among all prompts of its project.

    near/<project>/sketches   the sketch in the order in which prompts came, PLACES numbers of 16 bits each
                   prompts    the ids of those prompts, 16 bytes each
                   <a>-<b>.keys   bands of the prompts from place a up to b, sorted; the files cover all places in order

They hold nothing that the database does not: where they are lost or damaged they are made again from the prompts. They
are read through the page cache, so a million prompts take 400 MB of disk and hardly any memory. Whoever writes holds
the lock; a file of keys appears by rename, and what was appended without its keys is cut off again.

A key is a band's hash (36 bits) with the prompt's place (28 bits) behind it. Files of keys are merged as they become
many, so that a lookup reads few of them, and a prompt is written again about five times until there are a million.
"""

from __future__ import annotations

import fcntl
import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from feedback.hygiene.sketching import BANDS, PLACES, Sketches, bands
from feedback.models import Project

PLACE_BITS = np.uint64(28)
PLACE_MASK = np.uint64(2**28 - 1)
MOST_OF_A_BUCKET = 16
"""Prompts that are compared per band. Where more share one, as under a template, the oldest stand for them all."""
MERGED_AT_ONCE = 2**20
"""Keys that are in memory during a merge."""
GROWTH = 4
SKETCH_BYTES = PLACES * 2
ID_BYTES = 16


class NearIndex:
    """The open files of one project. Use it under `near_index`, which holds the lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.pieces = self.covering_pieces()
        self.count = self.pieces[-1][1] if self.pieces else 0
        self.cut_back()

    def covering_pieces(self) -> list[tuple[int, int]]:
        """Return the bounds of the files of keys that follow on one another from 0; drop the others."""
        there = sorted(
            (bounds_of(path) for path in self.folder.glob("*.keys")), key=lambda piece: (piece[0], -piece[1])
        )
        pieces: list[tuple[int, int]] = []
        for first, end in there:
            if first == (pieces[-1][1] if pieces else 0) and self.is_whole(first, end):
                pieces.append((first, end))
            else:  # merged into a larger one, or damaged
                self.keys_path(first, end).unlink(missing_ok=True)
        return pieces

    def is_whole(self, first: int, end: int) -> bool:
        return (
            size_of(self.keys_path(first, end)) == (end - first) * BANDS * 8
            and size_of(self.sketches_path) >= end * SKETCH_BYTES
            and size_of(self.prompts_path) >= end * ID_BYTES
        )

    def cut_back(self) -> None:
        for path, width in ((self.sketches_path, SKETCH_BYTES), (self.prompts_path, ID_BYTES)):
            with path.open("ab") as file:
                file.truncate(self.count * width)

    @property
    def sketches_path(self) -> Path:
        return self.folder / "sketches"

    @property
    def prompts_path(self) -> Path:
        return self.folder / "prompts"

    def keys_path(self, first: int, end: int) -> Path:
        return self.folder / f"{first}-{end}.keys"

    # Read ------------------------------------------------------------------------------------------------

    def newest(self) -> uuid.UUID | None:
        """Return an id that no prompt in the index is above, made at about the time of the newest; None when empty."""
        if not self.count:
            return None
        ids = np.memmap(self.prompts_path, dtype=">u8", mode="r", shape=(self.count, 2))
        return uuid.UUID(int=(int(ids[:, 0].max()) << 64) | (2**64 - 1))

    def prompts(self, places: NDArray[np.int64]) -> list[uuid.UUID]:
        if not len(places):
            return []
        ids = np.memmap(self.prompts_path, dtype=f"V{ID_BYTES}", mode="r", shape=(self.count,))
        return [uuid.UUID(bytes=bytes(each)) for each in ids[places]]

    def sketches(self, places: NDArray[np.int64]) -> Sketches:
        stored = np.memmap(self.sketches_path, dtype=np.uint16, mode="r", shape=(self.count, PLACES))
        return np.asarray(stored[places])

    def candidates(self, sketches: Sketches) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the pairs (row of `sketches`, place of a prompt) that share a band, each pair once, in order."""
        wanted = (bands(sketches) << PLACE_BITS).ravel()
        order = np.argsort(wanted)
        rows = (order // BANDS).astype(np.uint64)
        found = [self.in_piece(piece, wanted[order], rows) for piece in self.pieces]
        pairs = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.uint64)
        return (pairs >> np.uint64(32)).astype(np.int64), (pairs & PLACE_MASK).astype(np.int64)

    def in_piece(
        self, piece: tuple[int, int], wanted: NDArray[np.uint64], rows: NDArray[np.uint64]
    ) -> NDArray[np.uint64]:
        """Return (row << 32 | place) for the first keys of every band in `wanted`, which is sorted."""
        keys = np.memmap(self.keys_path(*piece), dtype=np.uint64, mode="r")
        low = np.searchsorted(keys, wanted)
        last = wanted | PLACE_MASK
        some = (low < len(keys)) & (keys[np.minimum(low, len(keys) - 1)] <= last)  # hardly any
        low, rows = low[some], rows[some]
        lengths = np.minimum(np.searchsorted(keys, last[some], side="right") - low, MOST_OF_A_BUCKET)
        nth = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return np.repeat(rows, lengths) << np.uint64(32) | keys[np.repeat(low, lengths) + nth] & PLACE_MASK

    # Write -----------------------------------------------------------------------------------------------

    def add(self, ids: Sequence[uuid.UUID], sketches: Sketches) -> int:
        """Append prompts; return the place of the first. Only under the lock."""
        first, end = self.count, self.count + len(ids)
        if not len(ids):
            return first
        with self.sketches_path.open("ab") as file:
            file.write(np.ascontiguousarray(sketches).tobytes())
        with self.prompts_path.open("ab") as file:
            file.write(b"".join(each.bytes for each in ids))
        places = np.arange(first, end, dtype=np.uint64)[:, None]
        keys = np.sort((bands(sketches) << PLACE_BITS | places).ravel())
        self.write_keys(first, end, [keys])
        self.pieces.append((first, end))
        self.count = end
        return first

    def write_keys(self, first: int, end: int, parts: Iterable[NDArray[np.uint64]]) -> None:
        made = self.folder / f"{uuid.uuid4().hex}.tmp"
        with made.open("wb") as file:
            for part in parts:
                file.write(part.tobytes())
        made.rename(self.keys_path(first, end))

    def merge(self) -> None:
        """Merge files of keys that have become many, outside of any transaction; the lock is not needed.

        The merged file covers the others, which whoever opens the index next takes away.
        """
        while together := mergeable(self.pieces):
            merged = self.pieces[-together:]
            first, end = merged[0][0], merged[-1][1]
            try:
                keys = [np.memmap(self.keys_path(*piece), dtype=np.uint64, mode="r") for piece in merged]
            except FileNotFoundError:
                return  # somebody else has merged them
            self.write_keys(first, end, merged_in_parts(keys))
            self.pieces[-together:] = [(first, end)]


def mergeable(pieces: Sequence[tuple[int, int]]) -> int:
    """Return how many of the last files to merge into one: GROWTH once so many of about one size stand there."""
    sizes = [end - first for first, end in pieces[-GROWTH:]]
    return GROWTH if len(sizes) == GROWTH and sizes[0] < GROWTH * sizes[-1] else 0


def merged_in_parts(keys: Sequence[NDArray[np.uint64]]) -> Iterator[NDArray[np.uint64]]:
    """Yield the keys of several sorted arrays in one order, about MERGED_AT_ONCE at a time."""
    parts = sum(map(len, keys)) // MERGED_AT_ONCE + 1
    bounds = np.linspace(0, 2**64 - 1, parts + 1)[1:-1].astype(np.uint64)
    cuts = [[0, *np.searchsorted(each, bounds).tolist(), len(each)] for each in keys]
    for part in range(parts):
        yield np.sort(np.concatenate([each[cut[part] : cut[part + 1]] for each, cut in zip(keys, cuts, strict=True)]))


def bounds_of(path: Path) -> tuple[int, int]:
    first, end = path.stem.split("-")
    return int(first), int(end)


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def folder_of(project: Project) -> Path:
    mark = hashlib.sha256(project.salt.encode()).hexdigest()[:12]
    return Path(settings.DATA_DIR) / "near" / f"{project.pk}-{mark}"  # another database's project has another mark


@contextmanager
def near_index(project: Project) -> Iterator[NearIndex]:
    """Open the project's index and hold its lock.

    Inside of a transaction that changes prompts, never around one: whoever has the database's lock may wait for this
    one, not the other way round.
    """
    folder = folder_of(project)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield NearIndex(folder)


def forget(project: Project) -> None:
    """Take the files away; they are made again from the prompts."""
    folder = folder_of(project)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in [*folder.glob("*.keys"), folder / "sketches", folder / "prompts"]:
            path.unlink(missing_ok=True)
