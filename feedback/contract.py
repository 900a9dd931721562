"""Row formats that cross from the people's side to the training side.

Standard library only: `feedback` writes these rows, `training.ml` reads them, and neither imports the other's world.
The column names are TRL's (prompt / chosen / rejected / margin, conversational form).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from json.encoder import encode_basestring
from typing import Literal, NotRequired, TypedDict

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant")

TRAIN = "train"
EVALUATION = "evaluation"
HOLDOUT = "holdout"
"""For a last test: neither trained on nor looked at on the way."""
SPLITS = (TRAIN, EVALUATION, HOLDOUT)
"""Of prompts."""
HELD_OUT_PEOPLE = "held_out_people"
"""Rows of people whose labels are kept apart, whatever the prompt's split."""
ROW_SPLITS = (*SPLITS, HELD_OUT_PEOPLE)
"""Of a snapshot's rows."""

PREFERENCE_LIMIT = 3
"""Preference runs from -3 to +3: sign = which response, size = strength, 0 = tie."""


# Rows of a snapshot -----------------------------------------------------------------------------------

TABLES = ("preference", "ranking", "rating", "unpaired", "sft", "conversation")
"""The kinds of rows that a snapshot can hold, each in a folder and a `datasets` config of its own."""

COMPARED = ("comparison", "ranking", "conversation")
"""Origins of preference rows whose two responses a person saw beside each other and preferred one."""
EDITED = ("edit", "correction")
"""Origins of those whose better response was written over the worse one. Nobody compared the two, so they are left out
where a model's agreement with people is measured."""


def table_file(table: str, split: str) -> str:
    """Return where the rows of `table` and `split` lie in a snapshot's directory; a split without rows has no file."""
    return f"data/{table}/{split}.parquet"


class Message(TypedDict):
    role: Role
    content: str


class RaisedFlag(TypedDict):
    flag: str
    kind: str
    """A finer word, such as the kind of unsafe content; empty for none."""
    response: int | None
    """Place among the row's own responses, from 0 (a preference's: 0 = chosen, 1 = rejected); None = the whole."""


class Provenance(TypedDict):
    """Where a row of a snapshot comes from. Every table has these columns."""

    judgment_id: str | None
    """None where several judgments are one row."""
    task_id: str
    prompt_id: str
    queue_id: str
    task_kind: str
    """comparison, ranking, rating, demonstration, correction or conversation."""
    annotator: str | None
    """Pseudonym, stable within a project; None where several judgments are one row."""
    judgments: list[str]
    annotators: list[str]
    """Of all judgments that the row was decided from, in the same order."""
    verdict: str
    """The rule that decided: latest (one judgment by itself), majority, dawid_skene or adjudicated."""
    posterior: float | None
    """Probability of what the row says, by its rule; None where the rule gives none."""
    weight: float
    fixed: bool
    """A reviewer put the answer right."""
    simulated: bool
    propensity: float
    """Probability with which the task's responses were drawn among all that were on offer."""
    arm: str
    """Why the queue gave the person this task: priority, random, or named by a curator; empty for several."""
    arm_propensity: float | None
    """Probability with which the queue chose that arm."""
    language: str
    source: str
    licence: str
    flags: list[RaisedFlag]


class PreferenceRow(Provenance):
    """One response is better than another: TRL's preference format. Ties never become such a row, but a RankingRow."""

    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    margin: float
    """Strength of the preference: 1.0, 2.0 or 3.0; 0.0 where the order is known and nobody said how strong it is."""
    origin: str
    """One of COMPARED or EDITED."""
    group: str
    """Rows of one group are pairs over one prompt from one answer: keep them in one batch (arXiv:2203.02155, 3.4)."""


class RankingRow(Provenance):
    """Several responses in the order that somebody gave them.

    Two alone, on one rank, are a tie of a comparison or of a talk's turn, where the selection keeps ties; `task_kind`
    says which.
    """

    prompt: list[Message]
    responses: list[list[Message]]
    ranks: list[int | None]
    """1 = best, equal = tied, None = not rankable."""
    not_rankable: list[bool]


class Rated(TypedDict):
    attribute: str
    """Key of the attribute; the manifest's label schemas hold its definition and the words of its scale."""
    value: int
    low: int
    high: int
    """The ends of the scale; thumbs run from -1 to 1."""


class RatingRow(Provenance):
    """What somebody said of one response by itself. Never turned into pairs."""

    prompt: list[Message]
    response: list[Message]
    ratings: list[Rated]


class UnpairedRow(Provenance):
    """Thumbs up or down on one response: TRL's unpaired preference format, as KTO takes it."""

    prompt: list[Message]
    completion: list[Message]
    label: bool
    attribute: str
    """Key of the attribute that asked for the thumb."""


class SftRow(Provenance):
    """A response that a person wrote or corrected: TRL's prompt-completion format."""

    prompt: list[Message]
    completion: list[Message]


class ConversationRow(Provenance):
    """A whole talk with the answers that the person chose: TRL's language modelling format."""

    messages: list[Message]
    turns: int


# Rows of a run directory ------------------------------------------------------------------------------


class PromptRow(TypedDict):
    """One line of a run directory's `prompts.jsonl`."""

    prompt_id: str
    messages: list[Message]
    split: str


class SampleRow(TypedDict):
    """One line of a run directory's `samples.jsonl`: a response that a policy wrote."""

    prompt_id: str
    index: int
    """0-based place among the responses of this prompt in this run; (run, prompt_id, index) is unique."""
    text: str
    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int
    finished: bool
    """False when the response was cut off by `max_new_tokens`."""
    model: int
    """0 for the run's policy, 1 for the first of its other models, and so on."""
    best_of: int
    """How many drafts it is the best of."""
    score: NotRequired[float]
    """By the reward model that chose it."""


class BadMessages(ValueError):
    """A prompt is not a chat that ends with the user's turn."""


def check_messages(messages: object) -> list[Message]:
    """Return `messages` as a clean chat that ends with the user's turn.

    At most one system message, first; then user and assistant in turn, user first; no empty text.
    Raises BadMessages that says which message is wrong and what would be right.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes):
        raise BadMessages(f"messages must be a list of {{role, content}}, not {type(messages).__name__}")
    if not messages:
        raise BadMessages("messages is empty; it needs at least one user message")
    clean: list[Message] = []
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict):
            raise BadMessages(f"message {number} must be an object with role and content")
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            raise BadMessages(f"message {number} has role {role!r}; use one of {', '.join(ROLES)}")
        if not isinstance(content, str) or not content.strip():
            raise BadMessages(f"message {number} ({role}) has no text")
        if "\x00" in content:
            raise BadMessages(f"message {number} ({role}) contains a NUL character")
        clean.append({"role": role, "content": content})
    turns = clean[1:] if clean[0]["role"] == "system" else clean
    for place, turn in enumerate(turns):
        expected = "user" if place % 2 == 0 else "assistant"
        if turn["role"] != expected:
            number = place + 1 + (len(clean) - len(turns))
            raise BadMessages(f"message {number} has role {turn['role']!r}; {expected!r} is expected there")
    if not turns or turns[-1]["role"] != "user":
        raise BadMessages("the last message must be the user's; the response comes from a model or a person")
    return clean


CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def canonical_json(value: object) -> bytes:
    """Serialise `value` to the one byte string that digests are taken over."""
    return CANONICAL.encode(value).encode()


def digest(value: object) -> str:
    """Return the sha256 of `value`'s canonical JSON as 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_of_chat(messages: Sequence[Message]) -> str:
    """Return `digest(messages)`, three times as fast: the canonical JSON of checked messages has one form."""
    said = [f'{{"content":{encode_basestring(one["content"])},"role":"{one["role"]}"}}' for one in messages]
    return hashlib.sha256(f"[{','.join(said)}]".encode()).hexdigest()
