"""Reading a snapshot's preferences, and turning them into token ids; a row that is too long is never truncated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from feedback.contract import COMPARED, EVALUATION, TRAIN, PreferenceRow
from training.ml.chat import prompt_ids, refuse_too_long, response_ids
from training.ml.readings import Reading, answered
from training.ml.snapshots import WEIGHT, NothingToLearnFrom, open_snapshot
from training.rundir import RunSpec, read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

COLUMNS = ("prompt", "chosen", "rejected", "margin", "origin", "group", "judgment_id")
CIRCUMSTANCES = ("language", "arm")


@dataclass(frozen=True)
class PreferenceTokens:
    """One preference as token ids; chosen and rejected each end with the end token."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    margin: float
    name: str
    """How a message to people calls this row."""
    origin: str
    group: str
    """Rows of one group are pairs over one prompt from one answer."""
    weight: float = 1.0
    """How often it is drawn, beside the others."""
    language: str = ""
    """Of the prompt; empty where the snapshot does not say."""
    arm: str = ""
    """Why the queue gave the person this task; "random" is the slice that says something of all tasks."""

    @property
    def length(self) -> int:
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    @property
    def shared_length(self) -> int:
        """Tokens of the one sequence that holds both responses."""
        return len(self.prompt) + len(self.chosen) + len(self.rejected)

    def readings(self) -> list[Reading]:
        return [answered(self.prompt, self.chosen, "chosen"), answered(self.prompt, self.rejected, "rejected")]


def read_split(spec: RunSpec, split: str) -> list[PreferenceRow]:
    """Return the preference rows of one split of the run's verified snapshot; a split without a file is empty.

    Raises NothingToLearnFrom for a snapshot of other tables alone.
    """
    tables = open_snapshot(spec)
    tables.require(["preference"], spec.kind)
    return cast(list[PreferenceRow], tables.rows("preference", split, COLUMNS, perhaps=CIRCUMSTANCES))


def ties_of(spec: RunSpec) -> int:
    """Return how many ties the train split of the run's snapshot keeps."""
    manifest = read_json(Path(spec.snapshot) / "manifest.json") or {}
    return int(((manifest.get("counts") or {}).get("ties") or {}).get(TRAIN, 0))


def read_compared(spec: RunSpec, tokenizer: PreTrainedTokenizerBase) -> list[PreferenceTokens]:
    """Return the evaluation rows whose two responses a person compared, for measuring agreement with people.

    A text that a person wrote over a model's is better than it by construction; nobody said so of the two.
    """
    rows = tokenize(read_split(spec, EVALUATION), tokenizer, EVALUATION)
    return [row for row in rows if row.origin in COMPARED]


def tokenize(
    rows: Iterable[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, split: str
) -> list[PreferenceTokens]:
    return [
        PreferenceTokens(
            prompt=prompt_ids(tokenizer, row["prompt"]),
            chosen=response_ids(tokenizer, row["chosen"][-1]["content"]),
            rejected=response_ids(tokenizer, row["rejected"][-1]["content"]),
            margin=float(row["margin"]),
            name=f"{split} row {number} ({row_name(row)})",
            origin=row["origin"],
            group=row["group"],
            weight=row.get(WEIGHT, 1.0),
            language=row.get("language") or "",
            arm=row.get("arm") or "",
        )
        for number, row in enumerate(rows, start=1)
    ]


def row_name(row: Mapping[str, Any]) -> str:
    return f"judgment {row['judgment_id']}" if row["judgment_id"] else f"task {row['group']}"


def read_preferences(
    spec: RunSpec, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[list[PreferenceTokens], list[PreferenceTokens]]:
    """Return (train, evaluation) as tokens. Raises SnapshotDamaged, or TooLong when a row of either does not fit.

    The evaluation rows are those of `read_compared`.
    """
    train = tokenize(read_split(spec, TRAIN), tokenizer, TRAIN)
    evaluation = read_compared(spec, tokenizer)
    refuse_rows_too_long([*train, *evaluation], max_length)
    return train, evaluation


def read_pairs(
    spec: RunSpec, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[PreferenceTokens], list[PreferenceTokens]]:
    """Return (train, evaluation) as tokens, whatever their length, for preflight to judge.

    The evaluation rows are those of `read_compared`.
    """
    return tokenize(read_split(spec, TRAIN), tokenizer, TRAIN), read_compared(spec, tokenizer)


class SizedRow(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def length(self) -> int: ...


def refuse_rows_too_long(rows: Sequence[SizedRow], max_length: int) -> None:
    refuse_too_long([row.length for row in rows], max_length, "max_length", [row.name for row in rows])


def require_train_rows(train: Sequence[PreferenceTokens]) -> None:
    if not train:
        raise NothingToLearnFrom(
            "the snapshot has no preference in its train split; label more tasks whose prompts are not held out"
        )
