"""Which judgments a snapshot holds: a file of their sorted ids, searched by bisection.

A million rows that join snapshots to judgments would cost each freeze its time and the database its size. The file is
16 bytes for each judgment, lies beside the rows, is under their content hash, and stays when a snapshot is withdrawn:
what a checkpoint has learned from can be told for ever.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import connection
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from numpy.typing import NDArray

from feedback.models import Judgment, Project, Snapshot
from feedback.models.judgments import JudgmentQuerySet

if TYPE_CHECKING:
    Raw = NDArray[np.void]
    Sorted = NDArray[np.bytes_]

MEMBERS = "judgments.ids"
ID = np.dtype("V16")
SORTED = np.dtype("S16")
"""The same bytes as numpy can compare them; zeros at the end count as any others, for all have 16."""


class MembersGone(Exception):
    """Nobody can tell which judgments the snapshot holds: the file is gone."""


def write_members(directory: Path, ids: Raw) -> None:
    """Write the ids, 16 bytes each, in order."""
    np.sort(np.ascontiguousarray(ids).view(SORTED)).tofile(directory / MEMBERS)


def members(snapshot: Snapshot) -> Raw:
    """Return the ids of its judgments, sorted, as 16 bytes each; nothing is read before it is looked at.

    Raises MembersGone.
    """
    path = snapshot.directory / MEMBERS
    if not path.is_file() or path.stat().st_size % 16:
        raise MembersGone(f"{MEMBERS} of the snapshot {snapshot.name!r} is missing or cut off")
    return np.memmap(path, dtype=ID, mode="r") if path.stat().st_size else np.empty(0, ID)


def member_ids(snapshot: Snapshot) -> list[uuid.UUID]:
    """Return all of them; for small snapshots."""
    return [uuid.UUID(bytes=one.tobytes()) for one in members(snapshot)]


def held_among(snapshot: Snapshot, ids: Iterable[uuid.UUID]) -> list[uuid.UUID]:
    """Return those of `ids` that the snapshot holds. Raises MembersGone."""
    wanted = list(ids)
    return [one for one, found in zip(wanted, are_held(members(snapshot), as_bytes(wanted)), strict=True) if found]


def as_bytes(ids: Sequence[uuid.UUID]) -> Sorted:
    """Return ids as a snapshot's file holds them, in the order of `ids`."""
    return np.frombuffer(b"".join([one.bytes for one in ids]), SORTED)


def are_held(kept: Raw, wanted: Sorted) -> NDArray[np.bool_]:
    """Tell of each of `wanted` whether it is among sorted ids; only what the bisection meets of those is read."""
    among = kept.view(SORTED)
    if not len(among):
        return np.zeros(len(wanted), bool)
    places = np.searchsorted(among, wanted)
    return np.asarray(among[np.minimum(places, len(among) - 1)] == wanted)


def snapshots_holding(judgment: Judgment) -> list[Snapshot]:
    """Return the project's snapshots that hold this revision of the judgment, the latest first.

    One whose file is gone is passed over.
    """
    return [one for one, _ in snapshots_holding_any(project=judgment.queue.project, ids=[judgment.pk])]


def snapshots_holding_any(*, project: Project, ids: Sequence[uuid.UUID]) -> list[tuple[Snapshot, int]]:
    """Return the project's snapshots that hold any of these judgments, withdrawn ones too, and how many of them."""
    found = []
    wanted = np.sort(as_bytes(ids))  # in order, so that each is looked for from where the last one was found
    for snapshot in project.snapshots.all():
        try:
            count = int(np.count_nonzero(are_held(members(snapshot), wanted)))
        except MembersGone:
            continue
        if count:
            found.append((snapshot, count))
    return found


def in_snapshot(judgments: JudgmentQuerySet, snapshot: Snapshot) -> JudgmentQuerySet:
    """Narrow the judgments to those that the snapshot holds; none where its file is gone."""
    try:
        kept = members(snapshot)
    except MembersGone:
        return judgments.none()
    ids = [one.tobytes().hex() for one in kept]
    value: Any = ids
    if connection.vendor == "postgresql":
        among = "feedback_judgment.id = ANY(%s::uuid[])"
    else:
        among, value = "feedback_judgment.id IN (SELECT value FROM json_each(%s))", json.dumps(ids)
    # The ids are one parameter: a list in SQL ends at some thousand of them.
    return judgments.filter(RawSQL(among, (value,), output_field=BooleanField()))  # noqa: S611


def judgments_of(snapshot: Snapshot) -> JudgmentQuerySet:
    """Return the snapshot's judgments."""
    return in_snapshot(Judgment.objects.all(), snapshot)
