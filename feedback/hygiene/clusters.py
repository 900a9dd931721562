"""Put prompts that say nearly the same into one cluster, so that one split holds them all.

Three things are promised, whatever comes in and in whatever order:

1. A cluster lies in one split. A prompt's split never moves.
2. Two near-duplicates whose splits are the same share a cluster: where a new prompt stands between two clusters of one
   split, they become one.
3. Where a prompt is near to clusters of different splits, nothing is moved: it stays with the one that it is nearest
   to, and a finding (LEAK) says what it is near to elsewhere. A curator settles it; until then snapshots may leave it
   out (`feedback.hygiene.unsettled`).

Near means: at least NEAR_DUPLICATE_PERCENT of the runs of characters in common (`feedback.hygiene.sketching`: the
sketches say so, or where they are unsure the texts), or the same text but for case, punctuation and system message.
"""

from __future__ import annotations

import itertools
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from django.conf import settings

from feedback.contract import Message
from feedback.hygiene.near_index import near_index
from feedback.hygiene.sketching import Sketches, likeness, similarity, text_of
from feedback.models import Project, Prompt
from feedback.splits import split_of

ASKED_AT_ONCE = 500
NEIGHBOURS_TOLD = 5
UNSURE = 0.15
"""How far an estimate may be off: three standard errors of it."""


Wanted = TypeVar("Wanted")


class Placeable(Protocol):
    """A prompt, or what will be one."""

    pk: uuid.UUID
    messages: list[Message]
    cluster: str
    split: str


@dataclass(frozen=True)
class Neighbour:
    """A stored prompt that says nearly the same."""

    prompt: uuid.UUID
    cluster: str
    split: str
    similarity: float


@dataclass
class Placed:
    """What came of placing a batch: for each prompt what it is near to, and clusters that have become one."""

    near: dict[uuid.UUID, list[Neighbour]] = field(default_factory=dict)
    """Nearest first; those of the prompt's own split."""
    leaks: dict[uuid.UUID, list[Neighbour]] = field(default_factory=dict)
    """Those of other splits."""
    merged: dict[str, str] = field(default_factory=dict)
    """Cluster that is no more -> the one that holds its prompts now."""


def place_prompts(
    *,
    project: Project,
    prompts: Sequence[Placeable],
    sketches: Sketches,
    names: Sequence[str],
    stored: bool = False,
) -> Placed:
    """Give every prompt its cluster and split, and make clusters one that belong together.

    Inside of the transaction that stores the prompts, with the project's row locked. `prompts` are new to the project
    and not yet stored; with `stored` they are there already and keep their split. The rows of `sketches` are theirs,
    and `names` are the clusters that they start when nothing like them is there (`feedback.splits.cluster_of`).
    """
    neighbours = surely_near(project, prompts, neighbours_of(project, prompts, sketches))
    clusters = Clusters()
    placed = Placed()
    known = {} if stored else splits_of(project, set(names))
    batch: dict[uuid.UUID, Placeable] = {prompt.pk: prompt for prompt in prompts}
    there = stored_places(project, {pk for found in neighbours for pk, _ in found} - batch.keys())
    for prompt, own, found in zip(prompts, names, neighbours, strict=True):
        near = [
            Neighbour(pk, clusters.root(cluster), split, share)
            for pk, share in found
            if pk != prompt.pk and (at := there.get(pk) or place_in(batch, pk)) is not None
            for cluster, split in [at]
        ]
        if not stored:
            if near:
                prompt.cluster, prompt.split = near[0].cluster, near[0].split
            elif own in known:
                prompt.cluster, prompt.split = clusters.root(own), known[own]
            else:
                prompt.cluster, prompt.split = own, split_of(project, own)
            known.setdefault(prompt.cluster, prompt.split)
        if not near:
            continue
        for other in near:
            if other.split == prompt.split:
                clusters.join(prompt.cluster, other.cluster)
        if same := [each for each in near if each.split == prompt.split]:
            placed.near[prompt.pk] = same
        if leaks := [each for each in near if each.split != prompt.split]:
            placed.leaks[prompt.pk] = leaks
    for prompt in prompts:
        prompt.cluster = clusters.root(prompt.cluster)
    placed.merged = clusters.merged()
    for gone, into in placed.merged.items():
        Prompt.objects.filter(project=project, cluster=gone).update(cluster=into)
    return placed


class Clusters:
    """Union-find over the names of clusters; the one named first stays."""

    def __init__(self) -> None:
        self.parents: dict[str, str] = {}

    def root(self, cluster: str) -> str:
        while (parent := self.parents.get(cluster, cluster)) != cluster:
            self.parents[cluster] = cluster = self.parents.get(parent, parent)
        return cluster

    def join(self, one: str, other: str) -> None:
        one, other = self.root(one), self.root(other)
        if one != other:
            self.parents[other] = one

    def merged(self) -> dict[str, str]:
        return {cluster: self.root(cluster) for cluster in list(self.parents)}


def neighbours_of(
    project: Project, prompts: Sequence[Placeable], sketches: Sketches
) -> list[list[tuple[uuid.UUID, float]]]:
    """Add the prompts to the project's index; return for each the prompts before it that may be near, nearest first."""
    with near_index(project) as index:
        first = index.add([prompt.pk for prompt in prompts], sketches)
        rows, places = index.candidates(sketches)
        before = places < first + rows
        rows, places = rows[before], places[before]
        shares = similarity(sketches[rows], index.sketches(places))
        near = shares >= settings.NEAR_DUPLICATE_PERCENT / 100 - UNSURE
        rows, places, shares = rows[near], places[near], shares[near]
        ids = index.prompts(places)
    found: dict[int, list[tuple[uuid.UUID, float]]] = defaultdict(list)
    for row, pk, share in zip(rows.tolist(), ids, shares.tolist(), strict=True):
        found[row].append((pk, share))
    return [sorted(found.get(row, ()), key=lambda each: -each[1]) for row in range(len(prompts))]


def surely_near(
    project: Project, prompts: Sequence[Placeable], neighbours: Sequence[list[tuple[uuid.UUID, float]]]
) -> list[list[tuple[uuid.UUID, float]]]:
    """Return those of the neighbours that are near; where the sketches leave it open, the texts themselves decide."""
    least = settings.NEAR_DUPLICATE_PERCENT / 100
    unsure = {pk for found in neighbours for pk, share in found if share < least + UNSURE}
    texts = {prompt.pk: text_of(prompt.messages) for prompt in prompts if prompt.pk in unsure}
    for part in in_parts(unsure - texts.keys()):
        stored = project.prompts.filter(pk__in=part).values_list("pk", "messages")
        texts.update({pk: text_of(messages) for pk, messages in stored})
    sure: list[list[tuple[uuid.UUID, float]]] = []
    for prompt, found in zip(prompts, neighbours, strict=True):
        if not found:
            sure.append([])
            continue
        own = text_of(prompt.messages) if any(share < least + UNSURE for _, share in found) else ""
        exact = [
            (pk, share if share >= least + UNSURE else likeness(own, texts[pk]))
            for pk, share in found
            if share >= least + UNSURE or pk in texts
        ]
        sure.append(sorted((each for each in exact if each[1] >= least), key=lambda each: -each[1]))
    return sure


def place_in(batch: dict[uuid.UUID, Placeable], pk: uuid.UUID) -> tuple[str, str] | None:
    return (batch[pk].cluster, batch[pk].split) if pk in batch else None


def stored_places(project: Project, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, tuple[str, str]]:
    """Return cluster and split of those prompts that are there; the index may know some that never were stored."""
    found: dict[uuid.UUID, tuple[str, str]] = {}
    for part in in_parts(ids):
        stored = project.prompts.filter(pk__in=part).values_list("pk", "cluster", "split")
        found.update({pk: (cluster, split) for pk, cluster, split in stored})
    return found


def splits_of(project: Project, clusters: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in in_parts(clusters):
        found.update(project.prompts.filter(cluster__in=part).values_list("cluster", "split"))
    return found


def in_parts(wanted: Iterable[Wanted]) -> Iterator[list[Wanted]]:
    """Yield as many at a time as one query asks for."""
    asked = iter(wanted)
    while part := list(itertools.islice(asked, ASKED_AT_ONCE)):
        yield part
