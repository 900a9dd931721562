"""A checkpoint's relations as a drawing: what it was made from above it, what was made from it below."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q
from django.urls import reverse

from training.lineage import ancestors
from training.models import Checkpoint

WIDTH, HEIGHT = 176, 46
"""Of a node, in the drawing's units, which are pixels on the page."""
GAP_X, GAP_Y = 20, 40
MARGIN = 4
DESCENDANTS_SHOWN = 24
NAME_LENGTH = 22


@dataclass(frozen=True)
class Node:
    name: str
    role: str
    """What it is, in a word or two."""
    url: str
    x: int
    y: int
    is_here: bool = False
    is_gone: bool = False
    """Its files were deleted."""

    @property
    def shown_name(self) -> str:
        return self.name if len(self.name) <= NAME_LENGTH else f"{self.name[: NAME_LENGTH - 1]}…"


@dataclass(frozen=True)
class Edge:
    path: str
    """As an SVG path's `d`."""
    says: str


@dataclass(frozen=True)
class Graph:
    nodes: list[Node]
    edges: list[Edge]
    width: int
    height: int
    hidden: int
    """Descendants that are not drawn."""


def lineage_graph(checkpoint: Checkpoint) -> Graph:
    below, hidden = descendants(checkpoint)
    shown = [*reversed(ancestors(checkpoint)), checkpoint, *below]
    # Reward models that a policy learned from come in with what they were made from themselves.
    rewards = [one.run.reward for one in shown if one.run is not None and one.run.reward is not None]
    for reward in rewards:
        shown = [*reversed(ancestors(reward)), reward, *shown]
    by_key = {one.pk: one for one in shown}
    links: list[tuple[UUID, UUID, str]] = []
    snapshots = {}
    for one in by_key.values():
        how = one.run.get_kind_display() if one.run else ""
        if one.parent_id in by_key:
            links.append((one.parent_id, one.pk, f"{how}: starts from"))
        if one.run is not None and one.run.reward_id in by_key:
            links.append((one.run.reward_id, one.pk, f"{how}: is scored by"))
        elif one.snapshot is not None:
            snapshots[one.snapshot.pk] = one.snapshot
            links.append((one.snapshot.pk, one.pk, f"{how}: learns from"))
    places = lay_out([*snapshots, *by_key], [(above, below) for above, below, _ in links])
    slug = checkpoint.project.slug
    nodes = [
        Node(
            one.name,
            "snapshot",
            reverse("snapshot", args=[slug, one.pk]),
            *places[one.pk],
            is_gone=bool(one.withdrawn_at),
        )
        for one in snapshots.values()
    ]
    nodes += [
        Node(
            one.name,
            one.get_kind_display().lower(),
            reverse("checkpoint", args=[slug, one.pk]),
            *places[one.pk],
            is_here=one.pk == checkpoint.pk,
            is_gone=one.files_deleted_at is not None,
        )
        for one in by_key.values()
    ]
    edges = [Edge(curve(places[above], places[below]), says) for above, below, says in links]
    return Graph(
        nodes,
        edges,
        width=max(x for x, _ in places.values()) + WIDTH + MARGIN,
        height=max(y for _, y in places.values()) + HEIGHT + MARGIN,
        hidden=hidden,
    )


def descendants(checkpoint: Checkpoint) -> tuple[list[Checkpoint], int]:
    """Return what was trained from it, or against it, and so on, the nearest first; and how many are left out."""
    found: dict[UUID, Checkpoint] = {}
    edge = [checkpoint.pk]
    while edge:
        made = Checkpoint.objects.filter(Q(parent__in=edge) | Q(run__reward__in=edge)).exclude(pk__in=found)
        fresh = [
            one for one in made.select_related("run__reward", "snapshot").order_by("pk") if one.pk != checkpoint.pk
        ]
        found |= {one.pk: one for one in fresh}
        edge = [one.pk for one in fresh]
    all_found = list(found.values())
    return all_found[:DESCENDANTS_SHOWN], max(0, len(all_found) - DESCENDANTS_SHOWN)


def lay_out(keys: Sequence[Hashable], links: Iterable[tuple[Hashable, Hashable]]) -> Mapping[Hashable, tuple[int, int]]:
    """Return the place of each node's upper left corner: a row below all that it was made from, near their middle."""
    above: dict[Hashable, list[Hashable]] = {key: [] for key in keys}
    for source, made in links:
        above[made].append(source)
    rows: dict[Hashable, int] = {}

    def row(key: Hashable) -> int:
        if key not in rows:
            rows[key] = 1 + max((row(one) for one in above[key]), default=-1)
        return rows[key]

    for key in keys:
        row(key)
    # What nothing was made from stands right above the first thing that was made from it.
    made_of: dict[Hashable, list[Hashable]] = {key: [] for key in keys}
    for made, sources in above.items():
        for source in sources:
            made_of[source].append(made)
    for key in keys:
        if not above[key] and made_of[key]:
            rows[key] = min(rows[made] for made in made_of[key]) - 1
    columns: dict[Hashable, float] = {}
    for level in range(max(rows.values()) + 1):
        here = [key for key in keys if rows[key] == level]
        wished = {key: middle([columns[one] for one in above[key] if one in columns]) for key in here}
        here.sort(key=lambda key: wished[key])
        taken = -1.0
        for key in here:
            taken = max(taken + 1, wished[key])
            columns[key] = taken
    return {
        key: (round(MARGIN + columns[key] * (WIDTH + GAP_X)), MARGIN + rows[key] * (HEIGHT + GAP_Y)) for key in keys
    }


def middle(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def curve(above: tuple[int, int], below: tuple[int, int]) -> str:
    """Return the line from the lower edge of one node to the upper edge of another."""
    x1, y1, x2, y2 = above[0] + WIDTH // 2, above[1] + HEIGHT, below[0] + WIDTH // 2, below[1]
    half = (y1 + y2) // 2
    return f"M{x1} {y1}C{x1} {half} {x2} {half} {x2} {y2}"
