"""What a person says of a task: one checked shape for every kind, and its two coordinate systems.

A person answers in *display order*: the first response is the one on the left. What is stored counts in *response
order* (`TaskResponse.place`), so that where something stood on a screen can never leak into the data. `to_stored` and
`to_shown` turn one into the other; `order[i]` is the place of the response that was shown at position i.

The answer of each kind, as pages and API send it (lists have one member per response, None = not said yet):

    comparison     {"preference": -3..3, "edited": "the winner, improved"}      edited is optional
    ranking        {"ranks": [1, 2, None], "not_rankable": [False, False, True]}   1 = best; equal = tie
    rating         {"ratings": [{"helpfulness": 4, "thumbs": 1}, ...]}
    demonstration  {"text": "..."}
    correction     {"text": "..."}
    conversation   {}                                         the turns are stored as they happen; a draft may hold
                                                              what is not sent yet: {"message", "turn",
                                                              "preference", "why", "flags"}

Pure Python, no database.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext_noop

from feedback.refusals import Refusal
from feedback.schemas import TEXT_LIMIT, TURN_LIMIT, Schema, TaskKind

RATIONALE_LENGTH_LIMIT = 10_000
ANSWERS = 2
"""Between so many a person chooses at every turn of a talk."""

KEYS: Mapping[str, tuple[str, ...]] = {
    TaskKind.COMPARISON: ("preference", "edited"),
    TaskKind.RANKING: ("ranks", "not_rankable"),
    TaskKind.RATING: ("ratings",),
    TaskKind.DEMONSTRATION: ("text",),
    TaskKind.CORRECTION: ("text",),
    TaskKind.CONVERSATION: ("preference", "message", "turn", "why", "flags"),
}


class BadJudgment(Refusal):
    """A judgment's values are wrong; `field` says which and `message` what would be right."""


@dataclass(frozen=True)
class Answer:
    """A checked answer; in display order or in response order, as the function that returns it says."""

    preference: int | None = None
    """Of a comparison: negative = the response at 0, positive = the one at 1, 0 = tie; size = strength."""
    content: dict[str, Any] = field(default_factory=dict)
    """What else the kind's answer holds."""
    rationale: str = ""
    flags: list[dict[str, Any]] = field(default_factory=list)
    """Each {"flag": key, "kind": one of the flag's kinds or "", "response": its position or None for the whole}."""

    def as_sent(self, kind: str) -> dict[str, Any]:
        """Return the answer in the shape in which pages and API send it."""
        if kind == TaskKind.COMPARISON:
            return {"preference": self.preference, **self.content}
        if kind == TaskKind.CONVERSATION:
            unsent = {"preference": self.preference, **self.content}
            return {name: unsent[name] for name in KEYS[kind] if unsent.get(name) is not None}
        return dict(self.content)


def check_answer(
    schema: Schema,
    responses: int,
    answer: Mapping[str, Any],
    *,
    rationale: object = "",
    flags: object = (),
    whole: bool = True,
) -> Answer:
    """Return what was sent as a checked Answer in the same order. Raises BadJudgment.

    `responses` is how many the task shows. With `whole=False` (a draft) whatever is not said yet may be missing.
    """
    if not isinstance(answer, Mapping):
        raise BadJudgment("answer", f"the answer to a {schema.kind} is an object")
    if unknown := sorted(str(key) for key in set(answer) - set(KEYS[schema.kind])):
        expected = ", ".join(KEYS[schema.kind]) or "nothing"
        raise BadJudgment("answer", f"the answer to a {schema.kind} has no {unknown[0]!r}; it holds {expected}")
    preference = None
    content: dict[str, Any] = {}
    if schema.kind == TaskKind.COMPARISON:
        preference = checked_preference(schema, answer.get("preference"), whole=whole)
        if edited := checked_text(given(answer, "edited", ""), "edited", schema.max_characters):
            if not schema.edit_winner:
                raise BadJudgment("edited", gettext_noop("this queue does not ask for an edit of the better response"))
            if whole and not preference:
                raise BadJudgment(
                    "edited", gettext_noop("only the better response of the two can be edited; this is a tie")
                )
            content["edited"] = edited
    elif schema.kind == TaskKind.RANKING:
        content = checked_ranks(schema, responses, answer, whole=whole)
    elif schema.kind == TaskKind.RATING:
        content = {"ratings": checked_ratings(schema, responses, answer.get("ratings"), whole=whole)}
    elif schema.kind in (TaskKind.DEMONSTRATION, TaskKind.CORRECTION):
        text = checked_text(given(answer, "text", ""), "text", schema.max_characters)
        if whole and len(text.strip()) < max(1, schema.min_characters):
            raise BadJudgment("text", f"write at least {max(1, schema.min_characters):,} characters")
        content = {"text": text}
    elif schema.kind == TaskKind.CONVERSATION:
        preference = checked_preference(schema, answer.get("preference"), whole=False)
        content = checked_unsent(schema, answer)
        if whole and preference is not None:
            raise BadJudgment("preference", gettext_noop("send your choice between the two answers first, then submit"))
        if whole and content.get("message"):
            raise BadJudgment(
                "message", gettext_noop("you have written something that is not sent; send it or empty the box first")
            )
        content = {} if whole else content
    reason = checked_text(rationale, "rationale", RATIONALE_LENGTH_LIMIT).strip()
    if reason and schema.rationale == "off":
        raise BadJudgment("rationale", gettext_noop("this queue does not ask for a reason"))
    if whole and not reason and schema.rationale == "required":
        raise BadJudgment("rationale", gettext_noop("this queue asks for a reason with every judgment"))
    return Answer(preference, content, reason, checked_flags(schema, responses, flags))


def checked_preference(schema: Schema, preference: object, *, whole: bool) -> int | None:
    if preference is None:
        if whole:
            raise BadJudgment("preference", gettext_noop("choose a step of the scale first"))
        return None
    limit = schema.strongest
    if not isinstance(preference, int) or isinstance(preference, bool) or abs(preference) > limit:
        raise BadJudgment("preference", f"{preference!r} is not a whole number from -{limit} to {limit}")
    if preference == 0 and not schema.allow_tie:
        raise BadJudgment("preference", gettext_noop("this queue allows no tie; prefer one response, if only slightly"))
    return preference


def checked_ranks(schema: Schema, responses: int, answer: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Return ranks from 1 without gaps ([1, 3, 3] becomes [1, 2, 2]), None for what is not ranked."""
    ranks = members(given(answer, "ranks", [None] * responses), responses, "ranks")
    aside = members(given(answer, "not_rankable", [False] * responses), responses, "not_rankable")
    for position, (rank, out) in enumerate(zip(ranks, aside, strict=True), start=1):
        if not isinstance(out, bool):
            raise BadJudgment("not_rankable", f"response {position}: {out!r} is neither true nor false")
        if out and not schema.allow_not_rankable:
            raise BadJudgment("not_rankable", gettext_noop("every response has a rank in this queue"))
        if rank is not None and (not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= responses):
            raise BadJudgment("ranks", f"response {position}: {rank!r} is not a rank from 1 to {responses}")
        if out and rank is not None:
            raise BadJudgment("ranks", f"response {position} is marked as not rankable and has a rank")
        if whole and not out and rank is None:
            raise BadJudgment("ranks", f"response {position} has no rank yet")
    used = sorted({rank for rank in ranks if rank is not None})
    if len(used) < sum(rank is not None for rank in ranks) and not schema.allow_tie:
        raise BadJudgment("ranks", gettext_noop("two responses share a rank; this queue allows no tie"))
    if whole and sum(rank is not None for rank in ranks) < 2:
        raise BadJudgment("ranks", gettext_noop("rank at least two responses, or skip the task"))
    dense = {rank: place for place, rank in enumerate(used, start=1)} if whole else {rank: rank for rank in used}
    return {"ranks": [None if rank is None else dense[rank] for rank in ranks], "not_rankable": aside}


def checked_ratings(schema: Schema, responses: int, ratings: object, *, whole: bool) -> list[dict[str, int]]:
    known = {attribute.key: attribute for attribute in schema.attributes}
    checked = []
    ratings = [{}] * responses if ratings is None else ratings
    for position, rated in enumerate(members(ratings, responses, "ratings"), start=1):
        where = f"response {position}, " if responses > 1 else ""
        if not isinstance(rated, Mapping):
            raise BadJudgment("ratings", f"{where}the ratings are an object of attribute and value")
        said: dict[str, int] = {}
        for key, value in rated.items():
            if key not in known:
                raise BadJudgment("ratings", f"{where}{key!r} is not one of {', '.join(known)}")
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value not in known[key].values:
                allowed = ", ".join(str(each) for each in known[key].values)
                raise BadJudgment("ratings", f"{where}{known[key].label}: {value!r} is not one of {allowed}")
            said[key] = value
        for attribute in schema.attributes:
            if whole and attribute.required and attribute.key not in said:
                raise BadJudgment("ratings", f"{where}{attribute.label} is not rated yet")
        checked.append(said)
    return checked


def checked_unsent(schema: Schema, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a person has not sent yet in a talk: words for the turn to come, reason and flags of a choice."""
    turn = answer.get("turn")
    if turn is not None and (not isinstance(turn, int) or isinstance(turn, bool) or not 1 <= turn <= TURN_LIMIT + 1):
        raise BadJudgment("turn", f"{turn!r} is not the number of a turn")
    message = checked_text(answer.get("message") or "", "message", TEXT_LIMIT)
    unsent = {
        "message": message if message.strip() else "",
        "turn": turn,
        "why": checked_text(answer.get("why") or "", "why", RATIONALE_LENGTH_LIMIT),
        "flags": checked_flags(schema, ANSWERS, answer.get("flags") or ()),
    }
    return {name: value for name, value in unsent.items() if value}


def checked_flags(schema: Schema, responses: int, flags: object) -> list[dict[str, Any]]:
    """Return the flags once each, in the schema's order."""
    if isinstance(flags, str | Mapping) or not isinstance(flags, Sequence):
        raise BadJudgment("flags", "flags is a list")
    place = {flag.key: number for number, flag in enumerate(schema.flags)}
    checked: dict[tuple[int, int], dict[str, Any]] = {}
    for raised in flags:
        if isinstance(raised, str):
            raised = {"flag": raised}
        if not isinstance(raised, Mapping) or set(raised) - {"flag", "kind", "response"}:
            raise BadJudgment("flags", "a flag is an object with flag, kind and response")
        key, kind, response = raised.get("flag"), given(raised, "kind", ""), raised.get("response")
        known = schema.flag(key) if isinstance(key, str) else None
        if known is None:
            raise BadJudgment("flags", f"{key!r}: use {', '.join(place) or 'none; this queue has no flags'}")
        if kind != "" and kind not in known.kinds:
            raise BadJudgment("flags", f"{known.label}: {kind!r} is not one of {', '.join(known.kinds) or 'no kinds'}")
        if response is not None and (
            not isinstance(response, int) or isinstance(response, bool) or not 0 <= response < responses
        ):
            raise BadJudgment("flags", f"{known.label}: {response!r} is not the position of a response, from 0")
        checked[place[known.key], -1 if response is None else response] = {
            "flag": known.key, "kind": kind, "response": response
        }  # fmt: skip
    return [checked[where] for where in sorted(checked)]


def checked_text(text: object, name: str, limit: int) -> str:
    """Return `text` with plain line breaks."""
    if not isinstance(text, str):
        raise BadJudgment(name, f"{name} is a text, not {type(text).__name__}")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    limit = min(limit, TEXT_LIMIT)
    if len(text) > limit:
        raise BadJudgment(name, f"{len(text):,} characters are too many; the most is {limit:,}")
    if "\x00" in text:
        raise BadJudgment(name, "the text contains a NUL character")
    return text


def given(values: Mapping[str, Any], name: str, otherwise: Any) -> Any:
    """Return what `values` says under `name`, null being as good as nothing."""
    value = values.get(name)
    return otherwise if value is None else value


def members(values: object, responses: int, name: str) -> list[Any]:
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence) or len(values) != responses:
        raise BadJudgment(name, f"{name} is a list with one member for each of the {responses} responses")
    return list(values)


# Display order


def draw_order(*, salt: str, task: str, annotator: int, responses: int) -> list[int]:
    """Draw the order in which a person sees a task's responses: `order[i]` is the place of the one at position i.

    A uniform permutation from a secret salt, the same for the same person and task for good: a lost lease, another
    device or a second look changes nothing.
    """
    places = list(range(responses))
    random.Random(hashlib.sha256(f"{salt}:{task}:{annotator}".encode()).digest()).shuffle(places)
    return places


def to_stored(answer: Answer, order: Sequence[int]) -> Answer:
    """Turn an answer in display order into response order."""
    positions = sorted(range(len(order)), key=lambda position: order[position])
    return turned(answer, take=positions, place_of=order)


def to_shown(answer: Answer, order: Sequence[int]) -> Answer:
    """Turn an answer in response order into display order; the inverse of `to_stored`."""
    positions = sorted(range(len(order)), key=lambda position: order[position])
    return turned(answer, take=order, place_of=positions)


def turned(answer: Answer, *, take: Sequence[int], place_of: Sequence[int]) -> Answer:
    if not take:
        return answer  # nothing has an order: a demonstration, or a talk, whose turns keep theirs themselves
    content = dict(answer.content)
    for name in ("ranks", "not_rankable", "ratings"):
        if name in content:
            content[name] = [content[name][index] for index in take]
    swapped = len(take) == 2 and take[0] == 1
    preference = -answer.preference if swapped and answer.preference is not None else answer.preference
    flags = [
        {**raised, "response": None if raised["response"] is None else place_of[raised["response"]]}
        for raised in answer.flags
    ]
    return replace(answer, preference=preference, content=content, flags=flags)
