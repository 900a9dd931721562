"""What people said of responses, as token ids for a reward model: pairs, rankings with their ties, ratings.

A tied comparison is a ranking of two on one place. The pairs that a snapshot makes of a ranking are left aside where
the ranking itself is learned from, or each would count twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from feedback.contract import EVALUATION, TRAIN
from training.configs import RewardConfig
from training.ml.chat import prompt_ids, response_ids
from training.ml.preferences import COLUMNS, PreferenceTokens, tokenize
from training.ml.readings import Reading, answered
from training.ml.snapshots import WEIGHT, NothingToLearnFrom, Tables, open_snapshot, row_name
from training.rundir import RunSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PREFERENCE = "preference"
RANKING = "ranking"
RATING = "rating"
ROW_KINDS = ("preferences", "ties", "rankings", "ratings")


@dataclass(frozen=True)
class RewardRow:
    """What one person said of the responses to one prompt, the best first; each ends with the end token."""

    name: str
    """How a message to people calls this row."""
    prompt: list[int]
    responses: list[list[int]]
    ranks: list[int]
    """1 = best, equal = tied; a rated response is alone and has rank 1."""
    margin: float = 0.0
    ratings: dict[str, float] = field(default_factory=dict)
    """By attribute, where on its scale the response lies: 0 = the lower end, 1 = the upper."""
    weight: float = 1.0

    @property
    def sequences(self) -> list[list[int]]:
        return [[*self.prompt, *response] for response in self.responses]

    @property
    def is_tie(self) -> bool:
        return len(self.ranks) == 2 and self.ranks[0] == self.ranks[1]

    @property
    def kind(self) -> str:
        """One of ROW_KINDS."""
        if self.ratings:
            return "ratings"
        return "ties" if self.is_tie else "preferences" if len(self.ranks) == 2 else "rankings"

    @property
    def decides(self) -> bool:
        """Tell whether it says that one response is better than another."""
        return len(set(self.ranks)) > 1

    @property
    def length(self) -> int:
        return len(self.prompt) + max(map(len, self.responses))

    @property
    def shared_length(self) -> int:
        """Tokens of the one sequence that holds all its responses."""
        return len(self.prompt) + sum(map(len, self.responses))

    def readings(self) -> list[Reading]:
        if len(self.responses) == 2 and not self.is_tie:
            parts = ["chosen", "rejected"]
        else:
            parts = [f"rank {rank}" if not self.ratings else "rated" for rank in self.ranks]
        return [answered(self.prompt, one, part) for one, part in zip(self.responses, parts, strict=True)]


def of_pair(pair: PreferenceTokens) -> RewardRow:
    """Return a pair with the gap it asks for: none at the least strength, which is also that of who was not asked.

    One strength more asks for 1 more, as in arXiv:2307.09288 (table 27, the larger margins).
    """
    margin = max(pair.margin - 1.0, 0.0)
    return RewardRow(pair.name, pair.prompt, [pair.chosen, pair.rejected], [1, 2], margin, {}, pair.weight)


def read_train_rows(spec: RunSpec, tokenizer: PreTrainedTokenizerBase, config: RewardConfig) -> list[RewardRow]:
    """Return what the config learns from, of the train split. Raises SnapshotDamaged, NothingToLearnFrom."""
    tables = open_snapshot(spec)
    tables.require((PREFERENCE,), spec.kind)
    pairs = tables.rows(PREFERENCE, TRAIN, COLUMNS)
    ranked = tables.rows(RANKING, TRAIN, ("prompt", "responses", "ranks", "judgment_id", "task_id"))
    rankings = [one for one in map(placed, ranked) if wanted(one, config)]
    if config.use_rankings and rankings:
        pairs = [row for row in pairs if row["origin"] != RANKING]
    rows = [of_pair(one) for one in tokenize(pairs, tokenizer, TRAIN)]
    rows += [ranking_row(row, number, tokenizer) for number, row in enumerate(rankings, start=1)]
    if not any(row.decides for row in rows):
        raise NothingToLearnFrom(
            "the snapshot has no preference in its train split; label more tasks whose prompts are not held out"
        )
    if config.attribute_heads:
        rated = rating_rows(tables, tokenizer, TRAIN)
        if not rated:
            raise NothingToLearnFrom(
                "attribute_heads: the snapshot has no rating in its train split; switch it off, or rate responses to "
                "prompts that are not held out"
            )
        rows += rated
    return rows


def read_held_out_ratings(spec: RunSpec, tokenizer: PreTrainedTokenizerBase) -> list[RewardRow]:
    """Return the rated responses of the evaluation split. Raises SnapshotDamaged."""
    return rating_rows(open_snapshot(spec), tokenizer, EVALUATION)


# Rankings ---------------------------------------------------------------------------------------------


def placed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ranking row with its rankable responses alone, the best first."""
    found = sorted(
        ((rank, place) for place, rank in enumerate(row["ranks"]) if rank is not None), key=lambda one: one[0]
    )
    return {
        **row,
        "ranks": [rank for rank, _ in found],
        "responses": [row["responses"][place] for _, place in found],
    }


def wanted(row: Mapping[str, Any], config: RewardConfig) -> bool:
    """Tell whether a placed ranking says something that the config learns from."""
    ranks = row["ranks"]
    if len(ranks) == 2 and ranks[0] == ranks[1]:
        return config.use_ties
    return config.use_rankings and len(ranks) > 1 and (config.use_ties or len(set(ranks)) > 1)


def ranking_row(row: Mapping[str, Any], number: int, tokenizer: PreTrainedTokenizerBase) -> RewardRow:
    return RewardRow(
        name=row_name(dict(row), f"{TRAIN} ranking", number),
        prompt=prompt_ids(tokenizer, row["prompt"]),
        responses=[response_ids(tokenizer, one[-1]["content"]) for one in row["responses"]],
        ranks=list(row["ranks"]),
        weight=row.get(WEIGHT, 1.0),
    )


# Ratings ----------------------------------------------------------------------------------------------


def rating_rows(tables: Tables, tokenizer: PreTrainedTokenizerBase, split: str) -> list[RewardRow]:
    """Return the rated responses of a split; one without a rating says nothing."""
    rows = tables.rows(RATING, split, ("prompt", "response", "ratings", "judgment_id", "task_id"))
    return [
        RewardRow(
            name=row_name(row, f"{split} rating", number),
            prompt=prompt_ids(tokenizer, row["prompt"]),
            responses=[response_ids(tokenizer, row["response"][-1]["content"])],
            ranks=[1],
            ratings={
                one["attribute"]: (one["value"] - one["low"]) / (one["high"] - one["low"])
                for one in row["ratings"]
                if one["high"] > one["low"]
            },
            weight=row.get(WEIGHT, 1.0),
        )
        for number, row in enumerate(rows, start=1)
        if row["ratings"]
    ]


def attributes_of(rows: Sequence[RewardRow]) -> tuple[str, ...]:
    """Return the attributes that any row rates, in the order of the alphabet."""
    return tuple(sorted({attribute for row in rows for attribute in row.ratings}))
