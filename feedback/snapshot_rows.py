"""What an answer becomes in a snapshot.

comparison     one preference row; an edit of the better response adds edited > chosen and edited > rejected. A tie is
               no row, or where ties are kept a ranking row of two responses on one rank
ranking        one ranking row, and a preference row for every two responses on different ranks, as one group
rating         a rating row per response, and an unpaired row per thumb; never a pair
demonstration  one sft row
correction     one sft row, and a preference row corrected > original if anything was changed
conversation   one conversation row, and a preference row per turn; a turn's tie as that of a comparison

Plain comparisons, which are many, are written as columns by `feedback.snapshot_reading`, to the same effect.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from feedback.contract import Message
from feedback.schemas import Attribute, TaskKind

Flags = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class TurnSaid:
    """One turn of a talk."""

    id: str
    messages: list[Message]
    first: str | None
    second: str | None
    went_on_with: str | None
    preference: int | None
    flags: Flags


@dataclass(frozen=True)
class Said:
    """An answer that goes into a snapshot, with the texts that it is about."""

    kind: str
    group: str
    """Names the answer: its judgment's id, or the task's where several judgments are one answer."""
    preference: int | None
    content: Mapping[str, Any]
    flags: Flags
    prompt: list[Message]
    texts: Sequence[str]
    """The responses by place."""
    attributes: Sequence[Attribute] = ()
    turns: Sequence[TurnSaid] = ()
    keeps_ties: bool = False


@dataclass(frozen=True)
class Row:
    table: str
    columns: dict[str, Any]
    """What the table has of its own (feedback.contract)."""
    places: Sequence[int | None] = ()
    """The places of the row's responses in the task, in the row's order; None for a text that the person wrote."""
    flags: list[dict[str, Any]] = field(default_factory=list)


def rows_of(said: Said) -> Iterator[Row]:
    """Yield the rows of an answer. Two responses that were tied never become a pair."""
    yield from KINDS[said.kind](said)


def assistant(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


def raised(flags: Flags, places: Sequence[int | None]) -> list[dict[str, Any]]:
    """Return the flags on the row's responses, and on the whole; `response` counts among the row's own."""
    position = {place: number for number, place in enumerate(places) if place is not None}
    return [
        {
            "flag": one["flag"],
            "kind": one["kind"],
            "response": None if one["response"] is None else position[one["response"]],
        }
        for one in flags
        if one["response"] is None or one["response"] in position
    ]


def row(said: Said, table: str, places: Sequence[int | None] = (), **columns: Any) -> Row:
    return Row(table, columns, places, raised(said.flags, places))


def pair(said: Said, origin: str, chosen: str, rejected: str, places: Sequence[int | None], margin: float = 0.0) -> Row:
    return row(
        said, "preference", places, prompt=said.prompt, chosen=assistant(chosen), rejected=assistant(rejected),
        margin=margin, origin=origin, group=said.group,
    )  # fmt: skip


def comparison_rows(said: Said) -> Iterator[Row]:
    assert said.preference, "a tie has no better response"
    better, worse = better_and_worse(said.preference)
    yield pair(said, "comparison", said.texts[better], said.texts[worse], (better, worse), float(abs(said.preference)))
    yield from edit_rows(said)


def edit_rows(said: Said) -> Iterator[Row]:
    """Yield what an edit of the better response of a comparison adds."""
    assert said.preference, "a tie has no better response"
    better, worse = better_and_worse(said.preference)
    edited = said.content.get("edited", "")
    if not edited.strip() or edited.strip() in (said.texts[better].strip(), said.texts[worse].strip()):
        return
    # How much the edit improved nobody said; over the worse response it is at least as far ahead as the better one.
    for place, margin in ((better, 0.0), (worse, float(abs(said.preference)))):
        yield pair(said, "edit", edited, said.texts[place], (None, place), margin)


def tie_row(said: Said) -> Row:
    """Return a tie of two responses as a ranking of both on one rank."""
    return row(
        said, "ranking", (0, 1), prompt=said.prompt, responses=[assistant(text) for text in said.texts],
        ranks=[1, 1], not_rankable=[False, False],
    )  # fmt: skip


def better_and_worse(preference: int) -> tuple[int, int]:
    return (1, 0) if preference > 0 else (0, 1)


def ranking_rows(said: Said) -> Iterator[Row]:
    ranks = said.content["ranks"]
    yield row(
        said, "ranking", range(len(said.texts)), prompt=said.prompt,
        responses=[assistant(text) for text in said.texts], ranks=ranks, not_rankable=said.content["not_rankable"],
    )  # fmt: skip
    ranked = sorted((place for place, rank in enumerate(ranks) if rank is not None), key=lambda place: ranks[place])
    for better, worse in itertools.combinations(ranked, 2):
        if ranks[better] < ranks[worse]:
            yield pair(said, "ranking", said.texts[better], said.texts[worse], (better, worse))


def rating_rows(said: Said) -> Iterator[Row]:
    for place, text in enumerate(said.texts):
        given = said.content["ratings"][place]
        ratings = [rated(attribute, given[attribute.key]) for attribute in said.attributes if attribute.key in given]
        yield row(said, "rating", (place,), prompt=said.prompt, response=assistant(text), ratings=ratings)
        for attribute in said.attributes:
            if attribute.style == "thumbs" and attribute.key in given:
                yield row(
                    said, "unpaired", (place,), prompt=said.prompt, completion=assistant(text),
                    label=given[attribute.key] > 0, attribute=attribute.key,
                )  # fmt: skip


def rated(attribute: Attribute, value: int) -> dict[str, Any]:
    return {"attribute": attribute.key, "value": value, "low": attribute.values[0], "high": attribute.values[-1]}


def demonstration_rows(said: Said) -> Iterator[Row]:
    yield row(said, "sft", prompt=said.prompt, completion=assistant(said.content["text"]))


def correction_rows(said: Said) -> Iterator[Row]:
    yield from demonstration_rows(said)
    (original,) = said.texts
    if said.content["text"].strip() != original.strip():
        yield pair(said, "correction", said.content["text"], original, (None, 0))


def conversation_rows(said: Said) -> Iterator[Row]:
    by_id = {turn.id: turn for turn in said.turns}
    turns = [by_id[pk] for pk in said.content.get("turns", ())]
    if turns and turns[-1].went_on_with is not None:
        messages = [*turns[-1].messages, *assistant(turns[-1].went_on_with)]
        yield row(said, "conversation", messages=messages, turns=len(turns))
    for turn in turns:
        if turn.preference is None or turn.first is None or turn.second is None:
            continue
        answers = (turn.first, turn.second)
        own = Said("comparison", turn.id, turn.preference, {}, turn.flags, turn.messages, answers)
        if turn.preference:
            better, worse = better_and_worse(turn.preference)
            yield pair(
                own, "conversation", answers[better], answers[worse], (better, worse), float(abs(turn.preference))
            )
        elif said.keeps_ties:
            yield tie_row(own)


KINDS: Mapping[str, Callable[[Said], Iterator[Row]]] = {
    TaskKind.COMPARISON: comparison_rows,
    TaskKind.RANKING: ranking_rows,
    TaskKind.RATING: rating_rows,
    TaskKind.DEMONSTRATION: demonstration_rows,
    TaskKind.CORRECTION: correction_rows,
    TaskKind.CONVERSATION: conversation_rows,
}
