"""Which rows of a snapshot each kind of run reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feedback.contract import EVALUATION, TRAIN
from feedback.models import Project, Snapshot
from training.models import Run

READS: dict[str, tuple[str, ...]] = {
    Run.Kind.SFT: ("sft", "preference", "unpaired", "conversation"),
    Run.Kind.REWARD: ("preference", "ranking"),
    Run.Kind.DPO: ("preference",),
    Run.Kind.KTO: ("unpaired",),
    Run.Kind.EVALUATE: ("preference",),
}
"""By kind, the tables of which a run needs rows; what its config switches off, or reads besides, is not asked here."""

SFT_SOURCES = {"demonstrations": ("sft",), "accepted": ("preference", "unpaired"), "conversations": ("conversation",)}
"""The tables behind the settings of SFTConfig that say what to learn from."""

FREEZE: dict[str, str] = {
    Run.Kind.SFT: "demonstrations, corrections, comparisons, thumbs or conversations",
    Run.Kind.KTO: "ratings with thumbs up and down",
}
PREFERENCES = "comparisons, rankings, corrections or conversations"


def to_freeze(kind: str) -> str:
    """Say in words what a curator has to freeze for a run of `kind`."""
    return FREEZE.get(kind, PREFERENCES)


def tables_read(kind: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tables that a run of `kind` with this config reads."""
    if kind == Run.Kind.SFT:
        return tuple(table for setting, tables in SFT_SOURCES.items() if config.get(setting) for table in tables)
    if kind == Run.Kind.REWARD:
        rankings = ("ranking",) if config.get("use_rankings") or config.get("use_ties") else ()
        return ("preference", *rankings, *(("rating",) if config.get("attribute_heads") else ()))
    return READS.get(kind, ())


def rows_read(snapshot: Snapshot, tables: tuple[str, ...], split: str = TRAIN) -> int:
    return sum(snapshot.rows(table, split) for table in tables)


def rows_learned(snapshot: Snapshot, kind: str, config: Mapping[str, Any], split: str = TRAIN) -> dict[str, int]:
    """Return by table how many rows of `split` a run of `kind` with this config learns from.

    The pairs that follow from a ranking are counted though the ranking is learned from: no manifest says how many.
    """
    counts = {table: snapshot.rows(table, split) for table in tables_read(kind, config)}
    if kind == Run.Kind.SFT and "unpaired" in counts:
        counts["unpaired"] = snapshot.thumbs_up(split)
    if kind == Run.Kind.REWARD and "ranking" in counts:
        ties = snapshot.ties(split)
        rankings = counts["ranking"] - ties
        counts["ranking"] = rankings * bool(config.get("use_rankings")) + ties * bool(config.get("use_ties"))
    return counts


def can_read(kind: str, snapshot: Snapshot) -> bool:
    """Tell whether the snapshot has any row that a run of `kind` reads, and its files."""
    if snapshot.withdrawn_at is not None:
        return False
    splits = (EVALUATION,) if kind == Run.Kind.EVALUATE else (TRAIN, EVALUATION)
    return any(rows_read(snapshot, READS.get(kind, ()), split) for split in splits)


def readable(project: Project, kind: str) -> list[Snapshot]:
    """Return the project's snapshots that a run of `kind` can read, the latest first."""
    return [one for one in project.snapshots.all() if can_read(kind, one)]
