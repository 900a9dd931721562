"""What a task looks like to the person who judges it: texts, scale, attributes and flags as templates read them.

Texts and numbers only, never a Response, a Task or an Assignment: what is not here cannot unblind anybody.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from feedback.answers import RATIONALE_LENGTH_LIMIT, Answer
from feedback.markdown import render as render_markdown
from feedback.models import Response, Task, User
from feedback.schemas import TEXT_LIMIT, Schema, TaskKind

TURN_LABELS = {
    "system": gettext_lazy("Instruction to the assistant"),
    "user": gettext_lazy("User"),
    "assistant": gettext_lazy("Assistant"),
}


@dataclass(frozen=True)
class Turn:
    role: str
    label: str
    html: SafeString


@dataclass(frozen=True)
class Step:
    """One step of the scale, in display order: negative = left."""

    value: int
    key: int
    side: str
    words: str
    checked: bool

    @property
    def strength(self) -> range:
        return range(abs(self.value))


@dataclass(frozen=True)
class Choice:
    value: int
    key: str
    words: str
    checked: bool


@dataclass(frozen=True)
class AskedAttribute:
    name: str
    label: str
    definition: str
    style: str
    required: bool
    low: str
    high: str
    choices: list[Choice]


@dataclass(frozen=True)
class ShownResponse:
    position: int
    html: SafeString | None
    """None for an empty response."""
    raw: str
    rank: int | None = None
    not_rankable: bool = False
    attributes: list[AskedAttribute] = field(default_factory=list)

    @property
    def number(self) -> int:
        return self.position + 1


@dataclass(frozen=True)
class AskedFlag:
    key: str
    label: str
    definition: str
    on: bool
    kinds: list[tuple[str, str, bool]]
    """Each as it is stored, in words, and whether it is chosen."""
    responses: list[tuple[int, bool]]
    """Positions that the person may say it of, and whether they do."""


def in_language(words: str) -> str:
    """Return the software's own words, such as a default question or a refusal, in the reader's language."""
    return _(words) if words else ""


def turns_of(task: Task) -> list[Turn]:
    return [
        Turn(message["role"], str(TURN_LABELS[message["role"]]), render_markdown(message["content"]))
        for message in task.prompt.messages
    ]


def strength_words(levels: int) -> tuple[str, ...]:
    """Return the words of `feedback.schemas.STRENGTHS` in the reader's language."""
    words = {
        2: (_("better"),),
        4: (_("slightly better"), _("much better")),
        7: (_("slightly better"), _("better"), _("much better")),
    }
    return words[levels]


def steps(schema: Schema, chosen: object) -> list[Step]:
    """Return the scale from left to right; a step keeps its key whether or not there is a tie."""
    limit = schema.strongest
    words = strength_words(schema.levels)
    scale = []
    for value in range(-limit, limit + 1):
        if value or schema.allow_tie:
            side = "left" if value < 0 else "right" if value > 0 else ""
            said = words[abs(value) - 1] if value else _("About the same")
            scale.append(Step(value, value + limit + 1, side, said, value == chosen))
    return scale


def attributes_of(schema: Schema, position: int, rated: Mapping[str, Any]) -> list[AskedAttribute]:
    asked = []
    for attribute in schema.attributes:
        values = tuple(reversed(attribute.values)) if attribute.style == "thumbs" else attribute.values
        choices = [
            Choice(
                value,
                str(place) if attribute.style == "thumbs" else str(value) if 0 <= value <= 9 else "",
                in_language(attribute.anchor(value)),
                rated.get(attribute.key) == value,
            )
            for place, value in enumerate(values, start=1)
        ]
        asked.append(
            AskedAttribute(
                name=f"rating-{position}-{attribute.key}",
                label=in_language(attribute.label),
                definition=in_language(attribute.definition),
                style=attribute.style,
                required=attribute.required,
                low=in_language(attribute.anchor(attribute.values[0])),
                high=in_language(attribute.anchor(attribute.values[-1])),
                choices=choices,
            )
        )
    return asked


def shown_responses(responses: Sequence[Response], schema: Schema, answer: Mapping[str, Any]) -> list[ShownResponse]:
    ranks = answer.get("ranks") or [None] * len(responses)
    aside = answer.get("not_rankable") or [False] * len(responses)
    ratings = answer.get("ratings") or [{}] * len(responses)
    return [
        ShownResponse(
            position=position,
            html=render_markdown(response.text) if response.text.strip() else None,
            raw=response.text,
            rank=ranks[position],
            not_rankable=aside[position],
            attributes=attributes_of(schema, position, ratings[position]) if schema.attributes else [],
        )
        for position, response in enumerate(responses)
    ]


def asked_flags(schema: Schema, raised: Sequence[Any], responses: int) -> list[AskedFlag]:
    asked = []
    for flag in schema.flags:
        mine = [one for one in raised if isinstance(one, Mapping) and one.get("flag") == flag.key]
        positions = range(responses) if responses > 1 else range(0)
        asked.append(
            AskedFlag(
                flag.key,
                in_language(flag.label),
                in_language(flag.definition),
                bool(mine),
                [(kind, in_language(kind), any(one.get("kind") == kind for one in mine)) for kind in flag.kinds],
                [(position, any(one.get("response") == position for one in mine)) for position in positions],
            )
        )
    return asked


def parts(
    *, task: Task, shown: Sequence[Response], annotator: User, schema: Schema, entered: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a task and a revision show alike. `entered` has what the form holds, in display order."""
    answer = entered["answer"]
    text = answer.get("text")
    return {
        "kind": schema.kind,
        "asks": schema,
        "question": in_language(schema.question),
        "answer_template": f"feedback/annotator/_answer_{schema.kind}.html",
        "turns": turns_of(task),
        "responses": shown_responses(shown, schema, answer),
        "shown": len(shown),
        "steps": steps(schema, answer.get("preference")) if schema.kind == TaskKind.COMPARISON else [],
        "edited": answer.get("edited", ""),
        "text": shown[0].text if text is None and schema.kind == TaskKind.CORRECTION else text or "",
        "ranks": range(1, len(shown) + 1),
        "rationale": entered["rationale"],
        "rationale_limit": RATIONALE_LENGTH_LIMIT,
        "text_limit": min(schema.max_characters, TEXT_LIMIT),
        "flags": asked_flags(schema, entered["flags"], len(shown)),
        "active_seconds": f"{entered['active_seconds']:.1f}",
        "submission_id": entered.get("submission_id") or uuid.uuid4(),
        "person": annotator.pk,
    }


# An answer in words


def in_words(schema: Schema, said: Answer) -> str:
    """Say an answer of display order in a line."""
    if schema.kind == TaskKind.COMPARISON:
        return preference_in_words(schema, said.preference)
    if schema.kind == TaskKind.RANKING:
        return ranking_in_words(said.content)
    if schema.kind == TaskKind.RATING:
        return ratings_in_words(schema, said.content.get("ratings", []))
    if schema.kind in (TaskKind.DEMONSTRATION, TaskKind.CORRECTION):
        length = len(said.content.get("text", ""))
        return ngettext("%(count)d character written", "%(count)d characters written", length) % {"count": length}
    turns = len(said.content.get("turns", ()))
    return ngettext("Conversation of %(count)d turn", "Conversation of %(count)d turns", turns) % {"count": turns}


def preference_in_words(schema: Schema, preference: object) -> str:
    if not isinstance(preference, int):
        return _("No choice yet")
    if preference == 0:
        return _("About the same")
    if abs(preference) > schema.strongest:
        return str(preference)
    words = strength_words(schema.levels)[abs(preference) - 1]
    if preference < 0:
        return _("Left is %(how)s") % {"how": words}
    return _("Right is %(how)s") % {"how": words}


def ranking_in_words(content: Mapping[str, Any]) -> str:
    """Name the responses by their numbers, the best first: "3 > 1 = 2; not rankable: 4"."""
    ranks = content.get("ranks", [])
    groups = [
        " = ".join(str(position) for position, rank in enumerate(ranks, start=1) if rank == wanted)
        for wanted in sorted({rank for rank in ranks if rank is not None})
    ]
    words = " > ".join(groups) or _("No rank yet")
    aside = [str(position) for position, out in enumerate(content.get("not_rankable", []), start=1) if out]
    if aside:
        words += "; " + pgettext("ranking", "not rankable: %(which)s") % {"which": ", ".join(aside)}
    return words


def ratings_in_words(schema: Schema, ratings: Sequence[Mapping[str, Any]]) -> str:
    said = []
    for position, rated in enumerate(ratings, start=1):
        values = [
            f"{in_language(attribute.label)} {'+' if attribute.style == 'thumbs' and rated[attribute.key] == 1 else ''}"
            f"{rated[attribute.key]}"
            for attribute in schema.attributes
            if rated.get(attribute.key) is not None
        ]
        said.append((f"{position}: " if len(ratings) > 1 else "") + (", ".join(values) or _("not rated")))
    return "; ".join(said)


def flags_in_words(schema: Schema, raised: Sequence[Mapping[str, Any]]) -> list[str]:
    words = []
    for one in raised:
        flag = schema.flag(str(one.get("flag")))
        if flag is None:
            continue
        where = one.get("response")
        more = [in_language(one["kind"])] if one.get("kind") else []
        more += [_("response %(number)d") % {"number": where + 1}] if isinstance(where, int) else []
        label = in_language(flag.label)
        words.append(f"{label} ({', '.join(more)})" if more else label)
    return words
