"""What a person said of a task, as staff read it: in response order, with who wrote which response.

Responses have letters by their place. Where a person saw them is told beside them, never by the letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feedback.changes import Piece, text_changes
from feedback.models import Judgment, Response, Task, Turn
from feedback.schemas import Schema, TaskKind

LETTERS = "ABCDEFGHI"


@dataclass(frozen=True)
class Side:
    """One response of a task, and what was said of it."""

    letter: str
    response: Response
    shown_at: int | None = None
    """From 1; None where nobody has been shown it, or nobody knows the order (imported)."""
    chosen: bool = False
    rank: int | None = None
    not_rankable: bool = False
    ratings: Sequence[tuple[str, str, str]] = ()
    """Label, value, and the value's words."""
    flags: Sequence[str] = ()


def said(judgment: Judgment) -> str:
    """Say in one line what a judgment says."""
    return in_words(judgment.schema.asks, judgment.preference, judgment.content)


def in_words(schema: Schema, preference: int | None, content: Mapping[str, Any]) -> str:
    """Say an answer of response order in one line."""
    if schema.kind == TaskKind.COMPARISON:
        return preference_in_words(schema, preference)
    if schema.kind == TaskKind.RANKING:
        return ranking_in_words(content)
    if schema.kind == TaskKind.RATING:
        return ratings_in_words(schema, content.get("ratings", []))
    if schema.kind == TaskKind.CONVERSATION:
        turns = len(content.get("turns", []))
        return f"Conversation of {turns} turn{'' if turns == 1 else 's'}"
    length = len(content.get("text", ""))
    return f"{length:,} character{'' if length == 1 else 's'} written"


def preference_in_words(schema: Schema, preference: int | None) -> str:
    if not preference:
        return "Tie"
    strength = min(abs(preference), schema.strongest)
    return f"{'A' if preference < 0 else 'B'} {schema.strengths[strength - 1]}"


def ranking_in_words(content: Mapping[str, Any]) -> str:
    """Name the responses by their letters, the best first: "C > A = B; not rankable: D"."""
    ranks = content.get("ranks", [])
    groups = [
        " = ".join(LETTERS[place] for place, rank in enumerate(ranks) if rank == wanted)
        for wanted in sorted({rank for rank in ranks if rank is not None})
    ]
    aside = [LETTERS[place] for place, out in enumerate(content.get("not_rankable", [])) if out]
    return " > ".join(groups) + (f"; not rankable: {', '.join(aside)}" if aside else "")


def ratings_in_words(schema: Schema, ratings: Sequence[Mapping[str, Any]]) -> str:
    each = [
        ", ".join(f"{label} {value}" for label, value, _ in ratings_of(schema, rated)) or "not rated"
        for rated in ratings
    ]
    return each[0] if len(each) == 1 else "; ".join(f"{LETTERS[place]}: {one}" for place, one in enumerate(each))


def ratings_of(schema: Schema, rated: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    found = []
    for attribute in schema.attributes:
        value = rated.get(attribute.key)
        if value is not None:
            thumbs = attribute.style == "thumbs"
            words = ("up" if value == 1 else "down") if thumbs else str(value)
            found.append((attribute.label, words, attribute.anchor(value)))
    return found


def flag_in_words(schema: Schema, raised: Mapping[str, Any]) -> str:
    flag = schema.flag(str(raised.get("flag")))
    label = flag.label if flag is not None else str(raised.get("flag"))
    return f"{label} ({raised['kind']})" if raised.get("kind") else label


def sides_of(task: Task) -> list[Side]:
    """Return a task's responses with nothing said of them."""
    return [Side(LETTERS[place], response) for place, response in enumerate(task.texts)]


def sides_judged(judgment: Judgment) -> list[Side]:
    schema, content = judgment.schema.asks, judgment.content
    sides = []
    for place, response in enumerate(judgment.task.texts):
        sides.append(
            Side(
                LETTERS[place],
                response,
                shown_at=judgment.display_order.index(place) + 1 if judgment.display_order else None,
                chosen=judgment.preference is not None
                and (judgment.preference < 0 if place == 0 else judgment.preference > 0),
                rank=content["ranks"][place] if "ranks" in content else None,
                not_rankable=content["not_rankable"][place] if "not_rankable" in content else False,
                ratings=ratings_of(schema, content["ratings"][place]) if "ratings" in content else (),
                flags=[flag_in_words(schema, one) for one in judgment.flags if one.get("response") == place],
            )
        )
    return sides


def changes_of(judgment: Judgment) -> list[Piece]:
    """Return how a written text differs from what it started from: the response corrected, or the winner edited."""
    texts = judgment.task.texts
    if "edited" in judgment.content and judgment.preference:
        return text_changes(texts[1 if judgment.preference > 0 else 0].text, judgment.content["edited"])
    if judgment.schema.asks.kind == TaskKind.CORRECTION and texts:
        return text_changes(texts[0].text, judgment.content.get("text", ""))
    return []


def turns_of(judgment: Judgment) -> list[dict[str, Any]]:
    """Return the turns of a conversation: what was said, both answers with who wrote them, and the choice."""
    found = Turn.objects.of_talk(judgment.task, judgment.annotator).select_related("prompt", "first", "second")
    schema = judgment.schema.asks
    return [
        {
            "turn": turn,
            "said": turn.said,
            "answers": [
                (letter, response, response.pk == turn.went_on_with_id)
                for letter, response in (("A", turn.first), ("B", turn.second))
                if response is not None
            ],
            "choice": preference_in_words(schema, turn.preference) if turn.preference is not None else "no choice",
            "flags": [flag_in_words(schema, one) for one in turn.flags],
        }
        for turn in found
    ]


def answer_parts(judgment: Judgment) -> dict[str, Any]:
    """Return what the page of a judgment shows of what was said."""
    schema = judgment.schema.asks
    return {
        "kind": schema.kind,
        "asks": schema,
        "words": said(judgment),
        "sides": sides_judged(judgment),
        "text": judgment.content.get("text", judgment.content.get("edited")),
        "changes": changes_of(judgment),
        "turns": turns_of(judgment) if schema.kind == TaskKind.CONVERSATION else [],
        "flags": [flag_in_words(schema, one) for one in judgment.flags if one.get("response") is None],
    }
