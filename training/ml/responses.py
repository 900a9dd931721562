"""Reading the responses that a policy should learn to write, and turning them into token ids.

They come from three places of a snapshot: what people wrote or corrected, what they accepted of what models wrote, and
the answers that they chose in talks. The same response to the same prompt is one row, wherever it was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from feedback.contract import COMPARED, EVALUATION, TRAIN, Message, canonical_json
from training.configs import SFTConfig
from training.ml.chat import prompt_ids, response_ids
from training.ml.readings import Reading
from training.ml.snapshots import WEIGHT, Tables, open_snapshot, row_name
from training.rundir import RunSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TALK = "conversation"


@dataclass(frozen=True)
class ResponseTokens:
    """A prompt with its response, or a talk with several, as token ids; each response ends with the end token."""

    ids: tuple[int, ...]
    learned: tuple[tuple[int, int], ...]
    """Half-open spans of the responses."""
    name: str
    """How a message to people calls this row."""
    weight: float = 1.0
    """How much each of its tokens counts in the loss, beside those of other rows."""

    def readings(self) -> list[Reading]:
        return [Reading(self.ids, self.learned)]


@dataclass(frozen=True)
class Said:
    """A prompt with one response to it, as text."""

    prompt: Sequence[Message]
    text: str
    name: str
    weight: float

    @property
    def key(self) -> tuple[bytes, str]:
        return canonical_json(self.prompt), self.text


def read_responses(
    spec: RunSpec, tokenizer: PreTrainedTokenizerBase, config: SFTConfig
) -> tuple[list[ResponseTokens], list[ResponseTokens]]:
    """Return (train, evaluation) from the sources that the config names. Raises SnapshotDamaged, NothingToLearnFrom."""
    tables = open_snapshot(spec)
    wanted = {
        "sft": config.demonstrations,
        "preference": config.accepted,
        "unpaired": config.accepted,
        TALK: config.conversations,
    }
    tables.require([table for table, is_wanted in wanted.items() if is_wanted], spec.kind)
    train, evaluation = (read_one_split(tables, split, tokenizer, config) for split in (TRAIN, EVALUATION))
    return train, evaluation


def read_one_split(
    tables: Tables, split: str, tokenizer: PreTrainedTokenizerBase, config: SFTConfig
) -> list[ResponseTokens]:
    said: list[Said] = []
    if config.demonstrations:
        said += written(tables, split)
    if config.accepted:
        said += accepted(tables, split, with_talks=not config.conversations)
    rows = [single(tokenizer, one) for one in without_repeats(said)]
    if config.conversations:
        for number, row in enumerate(tables.rows(TALK, split, ("messages", "judgment_id", "task_id")), start=1):
            name = f"conversation {row_name(row, split, number)}"
            rows += talk(tokenizer, row["messages"], name, float(row.get(WEIGHT, 1.0)))
    return [row for row in rows if row.weight > 0]


def written(tables: Tables, split: str) -> Iterator[Said]:
    """Yield what people wrote themselves: demonstrations and corrections."""
    columns = ("prompt", "completion", "judgment_id", "task_id")
    for number, row in enumerate(tables.rows("sft", split, columns), start=1):
        yield Said(row["prompt"], row["completion"][-1]["content"], row_name(row, split, number), weight_of(row))


def accepted(tables: Tables, split: str, *, with_talks: bool) -> Iterator[Said]:
    """Yield the responses that were chosen, or got a thumb up, by more weight than they were rejected with.

    So the better half of a ranking is accepted, and a text on which people are evenly divided is not. Corrections are
    left to `written`, and the pairs of talks to `talk` unless `with_talks`.
    """
    found: dict[tuple[bytes, str], Said] = {}
    votes: dict[tuple[bytes, str], float] = {}
    for one, vote in ballots(tables, split, with_talks):
        votes[one.key] = votes.get(one.key, 0.0) + vote
        if vote > 0:
            known = found.get(one.key)
            found[one.key] = replace(known, weight=max(known.weight, one.weight)) if known else one
    yield from (one for key, one in found.items() if votes[key] > 0)


def ballots(tables: Tables, split: str, with_talks: bool) -> Iterator[tuple[Said, float]]:
    """Yield each response that somebody judged, with the weight of the word for it (above 0) or against it."""
    columns = ("prompt", "chosen", "rejected", "origin", "judgment_id", "task_id")
    for number, row in enumerate(tables.rows("preference", split, columns), start=1):
        if row["origin"] not in COMPARED or (row["origin"] == TALK and not with_talks):
            continue
        weight = weight_of(row)
        for side, vote in (("chosen", weight), ("rejected", -weight)):
            text = row[side][-1]["content"]
            yield Said(row["prompt"], text, f"preference {row_name(row, split, number)}", weight), vote
    thumbs = ("prompt", "completion", "label", "judgment_id", "task_id")
    for number, row in enumerate(tables.rows("unpaired", split, thumbs), start=1):
        weight = weight_of(row)
        text = row["completion"][-1]["content"]
        said = Said(row["prompt"], text, f"thumb {row_name(row, split, number)}", weight)
        yield said, weight if row["label"] else -weight


def weight_of(row: dict[str, Any]) -> float:
    return float(row.get(WEIGHT, 1.0))


def without_repeats(said: Iterable[Said]) -> list[Said]:
    """Return each response to a prompt once, with the greatest of its weights."""
    found: dict[tuple[bytes, str], Said] = {}
    for one in said:
        known = found.get(one.key)
        found[one.key] = replace(known, weight=max(known.weight, one.weight)) if known else one
    return list(found.values())


def single(tokenizer: PreTrainedTokenizerBase, said: Said) -> ResponseTokens:
    prompt, response = prompt_ids(tokenizer, said.prompt), response_ids(tokenizer, said.text)
    return ResponseTokens((*prompt, *response), ((len(prompt), len(prompt) + len(response)),), said.name, said.weight)


def talk(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], name: str, weight: float
) -> list[ResponseTokens]:
    """Return a talk's answers as rows: one row for all of them where the model reads them so, else one for each.

    A talk is one row as long as what the model is given before an answer begins with the row so far, token for token.
    Templates that drop or change earlier turns break that, and so do rare joins of tokens; the model then learns each
    answer behind exactly what it is given when it writes.
    """
    rows: list[ResponseTokens] = []
    ids: tuple[int, ...] = ()
    learned: list[tuple[int, int]] = []
    for place, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = tuple(prompt_ids(tokenizer, messages[:place]))
        response = response_ids(tokenizer, message["content"])
        if ids and before[: len(ids)] != ids:
            rows.append(ResponseTokens(ids, tuple(learned), f"{name}, answer {len(learned)}", weight))
            learned = []
        ids = (*before, *response)
        learned.append((len(before), len(ids)))
    if learned:
        rows.append(ResponseTokens(ids, tuple(learned), name, weight))
    return rows
