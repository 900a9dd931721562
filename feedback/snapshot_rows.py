"""What a judgment becomes in a snapshot.

comparison     one preference row; an edit of the better response adds edited > chosen and edited > rejected
ranking        one ranking row, and a preference row for every two responses on different ranks, as one group
rating         a rating row per response, and an unpaired row per thumb; never a pair
demonstration  one sft row
correction     one sft row, and a preference row corrected > original if anything was changed
conversation   one conversation row, and a preference row per turn that was no tie
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from feedback.contract import (
    ConversationRow,
    Message,
    PreferenceRow,
    Provenance,
    RankingRow,
    Rated,
    RatingRow,
    SftRow,
    UnpairedRow,
)
from feedback.models import Judgment, Project
from feedback.schemas import Attribute, TaskKind

Row = Mapping[str, Any]


def rows_of(judgment: Judgment, project: Project) -> Iterator[tuple[str, Row]]:
    """Yield (table, row) of a judgment that a snapshot holds. Two responses that were tied never become a pair."""
    yield from KINDS[judgment.queue.kind](judgment, project)


def assistant(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


def provenance(
    judgment: Judgment,
    project: Project,
    places: Sequence[int | None] = (),
    flags: Sequence[Mapping[str, Any]] | None = None,
) -> Provenance:
    """Return the columns that every row has. `places` are the places of the row's responses in the task, in the row's
    order (None for a text that the person wrote); flags on other responses are left out. `flags` are the judgment's
    unless given."""
    position = {place: number for number, place in enumerate(places) if place is not None}
    return {
        "judgment_id": str(judgment.pk),
        "task_id": str(judgment.task_id),
        "queue_id": str(judgment.queue_id),
        "task_kind": judgment.queue.kind,
        "annotator": project.pseudonym(judgment.annotator),
        "simulated": judgment.is_simulated,
        "propensity": judgment.propensity,
        "arm": judgment.arm,
        "arm_propensity": judgment.arm_propensity,
        "flags": [
            {
                "flag": raised["flag"],
                "kind": raised["kind"],
                "response": None if raised["response"] is None else position[raised["response"]],
            }
            for raised in (judgment.flags if flags is None else flags)
            if raised["response"] is None or raised["response"] in position
        ],
    }


def preference_row(
    judgment: Judgment,
    project: Project,
    *,
    origin: str,
    chosen: str,
    rejected: str,
    margin: float = 0.0,
    places: Sequence[int | None] = (),
) -> tuple[str, PreferenceRow]:
    return "preference", {
        "prompt": judgment.task.prompt.messages,
        "chosen": assistant(chosen),
        "rejected": assistant(rejected),
        "margin": margin,
        "origin": origin,
        "group": str(judgment.pk),
        **provenance(judgment, project, places),
    }


def comparison_rows(judgment: Judgment, project: Project) -> Iterator[tuple[str, Row]]:
    assert judgment.preference, "a tie becomes no row"
    better, worse = (1, 0) if judgment.preference > 0 else (0, 1)
    texts = [response.text for response in judgment.task.texts]
    strength = float(abs(judgment.preference))
    yield preference_row(
        judgment,
        project,
        origin="comparison",
        chosen=texts[better],
        rejected=texts[worse],
        margin=strength,
        places=(better, worse),
    )
    edited = judgment.content.get("edited", "")
    if not edited.strip() or edited.strip() in (texts[better].strip(), texts[worse].strip()):
        return
    # How much the edit improved nobody said; over the worse response it is at least as far ahead as the better one.
    for place, margin in ((better, 0.0), (worse, strength)):
        yield preference_row(
            judgment,
            project,
            origin="edit",
            chosen=edited,
            rejected=texts[place],
            margin=margin,
            places=(None, place),
        )


def ranking_rows(judgment: Judgment, project: Project) -> Iterator[tuple[str, Row]]:
    texts = [response.text for response in judgment.task.texts]
    ranks = judgment.content["ranks"]
    whole: RankingRow = {
        "prompt": judgment.task.prompt.messages,
        "responses": [assistant(text) for text in texts],
        "ranks": ranks,
        "not_rankable": judgment.content["not_rankable"],
        **provenance(judgment, project, range(len(texts))),
    }
    yield "ranking", whole
    ranked = sorted((place for place, rank in enumerate(ranks) if rank is not None), key=lambda place: ranks[place])
    for better, worse in itertools.combinations(ranked, 2):
        if ranks[better] < ranks[worse]:
            yield preference_row(
                judgment,
                project,
                origin="ranking",
                chosen=texts[better],
                rejected=texts[worse],
                places=(better, worse),
            )


def rating_rows(judgment: Judgment, project: Project) -> Iterator[tuple[str, Row]]:
    attributes = judgment.schema.asks.attributes
    for place, response in enumerate(judgment.task.texts):
        said = judgment.content["ratings"][place]
        row: RatingRow = {
            "prompt": judgment.task.prompt.messages,
            "response": assistant(response.text),
            "ratings": [rated(attribute, said[attribute.key]) for attribute in attributes if attribute.key in said],
            **provenance(judgment, project, (place,)),
        }
        yield "rating", row
        for attribute in attributes:
            if attribute.style == "thumbs" and attribute.key in said:
                thumb: UnpairedRow = {
                    "prompt": judgment.task.prompt.messages,
                    "completion": assistant(response.text),
                    "label": said[attribute.key] > 0,
                    "attribute": attribute.key,
                    **provenance(judgment, project, (place,)),
                }
                yield "unpaired", thumb


def rated(attribute: Attribute, value: int) -> Rated:
    return {"attribute": attribute.key, "value": value, "low": attribute.values[0], "high": attribute.values[-1]}


def written_row(judgment: Judgment, project: Project) -> tuple[str, SftRow]:
    return "sft", {
        "prompt": judgment.task.prompt.messages,
        "completion": assistant(judgment.content["text"]),
        **provenance(judgment, project),
    }


def demonstration_rows(judgment: Judgment, project: Project) -> Iterator[tuple[str, Row]]:
    yield written_row(judgment, project)


def correction_rows(judgment: Judgment, project: Project) -> Iterator[tuple[str, Row]]:
    yield written_row(judgment, project)
    (original,) = judgment.task.texts
    if judgment.content["text"].strip() != original.text.strip():
        yield preference_row(
            judgment,
            project,
            origin="correction",
            chosen=judgment.content["text"],
            rejected=original.text,
            places=(None, 0),
        )


def conversation_rows(judgment: Judgment, project: Project) -> Iterator[tuple[str, Row]]:
    by_id = {str(turn.pk): turn for turn in judgment.task.turns.all()}
    turns = [by_id[pk] for pk in judgment.content.get("turns", ())]
    if turns and turns[-1].went_on_with is not None:
        talk: ConversationRow = {
            "messages": [*turns[-1].prompt.messages, *assistant(turns[-1].went_on_with.text)],
            "turns": len(turns),
            **provenance(judgment, project),
        }
        yield "conversation", talk
    for turn in turns:
        if turn.preference and turn.first is not None and turn.second is not None:
            answers = (turn.first.text, turn.second.text)
            better, worse = (1, 0) if turn.preference > 0 else (0, 1)
            row: PreferenceRow = {
                "prompt": turn.prompt.messages,
                "chosen": assistant(answers[better]),
                "rejected": assistant(answers[worse]),
                "margin": float(abs(turn.preference)),
                "origin": "conversation",
                "group": str(turn.pk),
                **provenance(judgment, project, (better, worse), turn.flags),
            }
            yield "preference", row


KINDS: Mapping[str, Callable[[Judgment, Project], Iterator[tuple[str, Row]]]] = {
    TaskKind.COMPARISON: comparison_rows,
    TaskKind.RANKING: ranking_rows,
    TaskKind.RATING: rating_rows,
    TaskKind.DEMONSTRATION: demonstration_rows,
    TaskKind.CORRECTION: correction_rows,
    TaskKind.CONVERSATION: conversation_rows,
}
