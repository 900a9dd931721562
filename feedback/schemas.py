"""What a queue asks of a person: its label schema. Data that a curator edits, checked here, versioned in the database.

Pure Python. One dataclass serves every task kind; FIELDS says which of its fields mean something for which kind, and a
field that means nothing for a kind may only hold its default.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models

from feedback.refusals import Refusal


def _(text: str) -> str:
    """Mark `text` for the catalogue; Django's own mark needs settings, which programs outside the site do not have."""
    return text


class TaskKind(models.TextChoices):
    COMPARISON = "comparison", "Comparison"
    RANKING = "ranking", "Ranking"
    RATING = "rating", "Rating"
    DEMONSTRATION = "demonstration", "Demonstration"
    CORRECTION = "correction", "Correction"
    CONVERSATION = "conversation", "Conversation"


RESPONSES: Mapping[str, tuple[int, int]] = {
    TaskKind.COMPARISON: (2, 2),
    TaskKind.RANKING: (3, 9),
    TaskKind.RATING: (1, 4),
    TaskKind.DEMONSTRATION: (0, 0),
    TaskKind.CORRECTION: (1, 1),
    TaskKind.CONVERSATION: (0, 0),
}
"""How many responses a task of each kind shows, at least and at most. A conversation's are written while it goes on."""

STRENGTHS: Mapping[int, tuple[str, ...]] = {
    2: ("better",),
    4: ("slightly better", "much better"),
    7: ("slightly better", "better", "much better"),
}
"""Words for a preference of strength 1, 2, ... on the scale with so many levels (the 7 count a tie in the middle)."""

RATIONALE = ("off", "optional", "required")
TEXT_LIMIT = 20_000
"""Characters of a text that a person writes or edits."""
KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
ATTRIBUTE_LIMIT = 12
FLAG_LIMIT = 24
TURN_LIMIT = 50


class BadSchema(Refusal):
    """A label schema cannot be used as asked; `field` says which value is wrong."""


@dataclass(frozen=True)
class Attribute:
    """One thing that is rated: on a Likert scale from `low` to `high`, or by thumbs (1 = up, -1 = down)."""

    key: str
    label: str
    definition: str = ""
    """Stands beside the scale, so that nobody learns after 200 labels what it means."""
    style: str = "likert"
    low: int = 1
    high: int = 5
    anchors: tuple[str, ...] = ()
    """Words for the values from `low` to `high`, or only for the two ends; empty for none."""
    required: bool = True

    @property
    def values(self) -> tuple[int, ...]:
        return (-1, 1) if self.style == "thumbs" else tuple(range(self.low, self.high + 1))

    def anchor(self, value: int) -> str:
        """Return the words for `value`, or nothing."""
        if len(self.anchors) == len(self.values):
            return self.anchors[self.values.index(value)]
        if len(self.anchors) == 2 and value in (self.values[0], self.values[-1]):
            return self.anchors[0 if value == self.values[0] else 1]
        return ""


@dataclass(frozen=True)
class Flag:
    """Something that can be wrong with a response, or with the task as a whole."""

    key: str
    label: str
    definition: str = ""
    kinds: tuple[str, ...] = ()
    """Finer words that the person may choose from, such as the kinds of unsafe content."""


@dataclass(frozen=True)
class Schema:
    """What a queue of one kind asks. `check_schema` makes it from what a person or the database holds."""

    kind: str
    question: str = ""
    levels: int = 7
    allow_tie: bool = True
    """Of a comparison or conversation: the middle of the scale. Of a ranking: two responses on one rank."""
    edit_winner: bool = False
    allow_not_rankable: bool = True
    attributes: tuple[Attribute, ...] = ()
    flags: tuple[Flag, ...] = ()
    rationale: str = "optional"
    min_characters: int = 0
    max_characters: int = 10_000
    opening: str = "given"
    """Of a conversation: "given" = the prompt is the first user turn; "written" = the person writes it."""
    policies: tuple[str, ...] = ()
    """Of a conversation: ids of the one or two checkpoints that answer; opaque here."""
    temperature: float = 0.8
    max_new_tokens: int = 256
    min_turns: int = 1
    max_turns: int = 8

    @property
    def strengths(self) -> tuple[str, ...]:
        return STRENGTHS[self.levels]

    @property
    def strongest(self) -> int:
        """Size of the strongest preference."""
        return len(self.strengths)

    def flag(self, key: str) -> Flag | None:
        return next((flag for flag in self.flags if flag.key == key), None)

    def to_json(self) -> dict[str, Any]:
        """Return the fields that mean something for this kind, as `check_schema` takes them."""
        values = dataclasses.asdict(self)
        return {name: values[name] for name in FIELDS[self.kind]}


SHARED = ("question", "flags", "rationale")
SCALE = ("levels", "allow_tie")
TEXT = ("min_characters", "max_characters")
FIELDS: Mapping[str, tuple[str, ...]] = {
    TaskKind.COMPARISON: (*SHARED, *SCALE, "edit_winner", "max_characters"),
    TaskKind.RANKING: (*SHARED, "allow_tie", "allow_not_rankable"),
    TaskKind.RATING: (*SHARED, "attributes"),
    TaskKind.DEMONSTRATION: (*SHARED, *TEXT),
    TaskKind.CORRECTION: (*SHARED, *TEXT),
    TaskKind.CONVERSATION: (
        *SHARED, *SCALE, "opening", "policies", "temperature", "max_new_tokens", "min_turns", "max_turns"
    ),
}  # fmt: skip

# Marked for translation: pages show these words, where a curator left them as they are, in the reader's language.
QUESTIONS: Mapping[str, str] = {
    TaskKind.COMPARISON: _("Which response is better?"),
    TaskKind.RANKING: _("Rank the responses from best to worst."),
    TaskKind.RATING: _("How good is each response?"),
    TaskKind.DEMONSTRATION: _("Write the ideal response."),
    TaskKind.CORRECTION: _("Correct the response."),
    TaskKind.CONVERSATION: _("Talk, and choose the better answer every time."),
}

UNSAFE_KINDS = (
    _("Violence or crime"),
    _("Self-harm"),
    _("Hate or harassment"),
    _("Sexual content"),
    _("Dangerous advice"),
    _("Other"),
)
FLAG_PRESETS: Mapping[str, tuple[Flag, ...]] = {
    "standard": (
        Flag("fails_instruction", _("Fails the instruction"), _("Does not do what was asked.")),
        Flag("hallucination", _("Makes things up"), _("States as fact what is not so.")),
        Flag("unsafe", _("Unsafe"), _("Could hurt somebody if it were followed or believed."), UNSAFE_KINDS),
        Flag("personal_data", _("Personal data"), _("Says private things of a real person.")),
        Flag("off_topic", _("Off topic"), _("Talks about something else.")),
        Flag("other", _("Something else"), _("Say what in the reason.")),
    ),
    "instructgpt": (
        Flag("fails_instruction", _("Fails to follow the correct instruction or task")),
        Flag("inappropriate_for_assistant", _("Inappropriate for a customer assistant")),
        Flag("hallucination", _("Hallucination")),
        Flag("satisfies_constraint", _("Satisfies the constraint that the instruction gives")),
        Flag("sexual_content", _("Contains sexual content")),
        Flag("violent_content", _("Contains violent content")),
        Flag("encourages_harm", _("Encourages or fails to discourage violence, abuse, terrorism or self-harm")),
        Flag("denigrates_protected_class", _("Denigrates a protected class")),
        Flag("harmful_advice", _("Gives harmful advice")),
        Flag("expresses_opinion", _("Expresses an opinion")),
        Flag("moral_judgment", _("Expresses a moral judgment")),
    ),
    "llama": (
        Flag("preferred_safe_other_unsafe", _("The better one is safe, the other is not")),
        Flag("both_safe", _("Both are safe")),
        Flag("both_unsafe", _("Both are unsafe")),
        Flag("unsafe", _("Unsafe"), _("Which response, and how."), UNSAFE_KINDS),
    ),
    "none": (),
}

HELPFULNESS = Attribute(
    "helpfulness", _("Helpfulness"), _("How far it does what the person needs."),
    anchors=(_("not at all"), _("little"), _("partly"), _("mostly"), _("fully")),
)  # fmt: skip
CORRECTNESS = Attribute(
    "correctness", _("Correctness"), _("Whether what it states is true and complete."),
    anchors=(_("wrong"), _("mostly wrong"), _("mixed"), _("mostly right"), _("right")),
)  # fmt: skip
THUMBS = Attribute("thumbs", _("All in all"), _("Would you be glad of this answer?"), style="thumbs", required=False)


def default_schema(kind: str) -> Schema:
    """Return what a new queue of this kind asks unless its curator says otherwise."""
    attributes = (HELPFULNESS, CORRECTNESS, THUMBS) if kind == TaskKind.RATING else ()
    minimum = 1 if kind in (TaskKind.DEMONSTRATION, TaskKind.CORRECTION) else 0
    return Schema(
        kind=kind,
        question=QUESTIONS[kind],
        attributes=attributes,
        flags=FLAG_PRESETS["standard"],
        min_characters=minimum,
    )


def check_schema(kind: str, content: Mapping[str, Any]) -> Schema:
    """Return `content` as a whole schema; what it leaves out takes the kind's default. Raises BadSchema."""
    if kind not in TaskKind.values:
        raise BadSchema("kind", f"{kind!r} is not one of {', '.join(TaskKind.values)}")
    if not isinstance(content, Mapping):
        raise BadSchema("schema", "a label schema is an object of settings")
    if unknown := sorted(set(content) - set(FIELDS[kind])):
        raise BadSchema(str(unknown[0]), f"a {kind} queue has no setting {unknown[0]!r}; use {', '.join(FIELDS[kind])}")
    given = dict(content)
    if "attributes" in given:
        given["attributes"] = tuple(
            attribute_of(value, place) for place, value in enumerate(listed(given["attributes"], "attributes"), start=1)
        )
    if "flags" in given:
        given["flags"] = tuple(flag_of(value, place) for place, value in enumerate(listed(given["flags"], "flags"), 1))
    if "policies" in given:
        given["policies"] = tuple(str(value) for value in listed(given["policies"], "policies"))
    schema = dataclasses.replace(default_schema(kind), **given)
    check_values(schema)
    return schema


def check_values(schema: Schema) -> None:
    words(schema.question, "question", "the question", 300, needed=True)
    if not isinstance(schema.levels, int) or schema.levels not in STRENGTHS:
        raise BadSchema("levels", f"{schema.levels!r} is not one of 2, 4, 7")
    for name in ("allow_tie", "edit_winner", "allow_not_rankable"):
        if not isinstance(getattr(schema, name), bool):
            raise BadSchema(name, f"{getattr(schema, name)!r} is neither true nor false")
    if schema.rationale not in RATIONALE:
        raise BadSchema("rationale", f"{schema.rationale!r} is not one of {', '.join(RATIONALE)}")
    if schema.opening not in ("given", "written"):
        raise BadSchema("opening", f"{schema.opening!r} is not one of given, written")
    within(schema.max_characters, "max_characters", 1, TEXT_LIMIT)
    within(schema.min_characters, "min_characters", 0, schema.max_characters)
    within(schema.max_new_tokens, "max_new_tokens", 1, 4096)
    within(schema.max_turns, "max_turns", 1, TURN_LIMIT)
    within(schema.min_turns, "min_turns", 1, schema.max_turns)
    if isinstance(schema.temperature, bool) or not isinstance(schema.temperature, int | float):
        raise BadSchema("temperature", f"{schema.temperature!r} is not a number")
    if not 0.0 <= schema.temperature <= 5.0:
        raise BadSchema("temperature", f"{schema.temperature} is not between 0 and 5")
    if len(schema.policies) > 2:
        raise BadSchema("policies", "one checkpoint answers twice, or two answer once each; more cannot be shown")
    if len(set(schema.policies)) == 1 and schema.temperature == 0:
        raise BadSchema("temperature", "one checkpoint at temperature 0 gives the same answer twice; raise it")
    unique([attribute.key for attribute in schema.attributes], "attributes", ATTRIBUTE_LIMIT)
    unique([flag.key for flag in schema.flags], "flags", FLAG_LIMIT)
    if schema.kind == TaskKind.RATING and not schema.attributes:
        raise BadSchema("attributes", "a rating needs at least one attribute")


def attribute_of(value: object, place: int) -> Attribute:
    where = f"attribute {place}"
    if isinstance(value, Attribute):
        value = dataclasses.asdict(value)
    given = fields_of(value, Attribute, "attributes", where)
    given["anchors"] = tuple(str(anchor) for anchor in listed(given.get("anchors", ()), "attributes"))
    attribute = Attribute(**given)
    checked_key(attribute.key, "attributes", where)
    words(attribute.label, "attributes", f"the label of {where}", 100, needed=True)
    words(attribute.definition, "attributes", f"the definition of {where}", 500)
    if attribute.style not in ("likert", "thumbs"):
        raise BadSchema("attributes", f"{where}: {attribute.style!r} is not one of likert, thumbs")
    if not isinstance(attribute.required, bool):
        raise BadSchema("attributes", f"{where}: required is either true or false")
    for name in ("low", "high"):
        if not isinstance(getattr(attribute, name), int) or isinstance(getattr(attribute, name), bool):
            raise BadSchema("attributes", f"{where}: {name} is a whole number")
    if not 0 <= attribute.low < attribute.high <= attribute.low + 9:
        raise BadSchema("attributes", f"{where}: the scale runs from 0 or more over 2 to 10 values")
    if len(attribute.anchors) not in (0, 2, len(attribute.values)):
        raise BadSchema("attributes", f"{where}: give words for the two ends, for all values, or none")
    for anchor in attribute.anchors:
        words(anchor, "attributes", f"an anchor of {where}", 60)
    return attribute


def flag_of(value: object, place: int) -> Flag:
    where = f"flag {place}"
    if isinstance(value, Flag):
        value = dataclasses.asdict(value)
    given = fields_of(value, Flag, "flags", where)
    given["kinds"] = tuple(str(kind) for kind in listed(given.get("kinds", ()), "flags"))
    flag = Flag(**given)
    checked_key(flag.key, "flags", where)
    words(flag.label, "flags", f"the label of {where}", 100, needed=True)
    words(flag.definition, "flags", f"the definition of {where}", 500)
    unique(list(flag.kinds), "flags", 12)
    for kind in flag.kinds:
        words(kind, "flags", f"a kind of {where}", 60, needed=True)
    return flag


def fields_of(value: object, shape: type, field: str, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise BadSchema(field, f"{where} must be an object with key and label")
    known = {each.name for each in dataclasses.fields(shape)}
    if unknown := sorted(set(value) - known):
        raise BadSchema(field, f"{where} has no {unknown[0]!r}; use {', '.join(sorted(known))}")
    if "key" not in value or "label" not in value:
        raise BadSchema(field, f"{where} needs a key and a label")
    return dict(value)


def checked_key(key: object, field: str, where: str) -> None:
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise BadSchema(field, f"{where}: the key {key!r} may hold a-z, 0-9 and _ and starts with a letter")


def words(text: object, field: str, what: str, limit: int, *, needed: bool = False) -> None:
    if not isinstance(text, str) or "\x00" in text or len(text) > limit:
        raise BadSchema(field, f"{what} is a text of at most {limit} characters")
    if needed and not text.strip():
        raise BadSchema(field, f"{what} is empty")


def within(value: object, field: str, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadSchema(field, f"{value!r} is not a whole number from {low:,} to {high:,}")


def listed(value: object, field: str) -> Sequence[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise BadSchema(field, f"{field} is a list")
    return value


def unique(keys: Sequence[str], field: str, limit: int) -> None:
    if len(keys) > limit:
        raise BadSchema(field, f"{len(keys)} are too many; the most is {limit}")
    if double := next((key for key in keys if keys.count(key) > 1), None):
        raise BadSchema(field, f"{double!r} is there twice")
