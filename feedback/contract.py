"""Row formats that cross from the people's side to the training side.

Standard library only: `feedback` writes these rows, `training.ml` reads them, and neither imports the other's world.
The column names are TRL's (prompt / chosen / rejected / margin, conversational form).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Literal, TypedDict

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant")

TRAIN = "train"
EVALUATION = "evaluation"
SPLITS = (TRAIN, EVALUATION)

PREFERENCE_LIMIT = 3
"""Preference runs from -3 to +3: sign = which response, size = strength, 0 = tie."""


class Message(TypedDict):
    role: Role
    content: str


class PreferenceRow(TypedDict):
    """One decisive judgment, as it stands in a snapshot's Parquet files. Ties never become a row."""

    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    margin: float
    """Strength of the preference: 1.0, 2.0 or 3.0."""
    judgment_id: str
    task_id: str
    annotator: str
    """Pseudonym, stable within a project."""
    simulated: bool
    propensity: float


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


def canonical_json(value: object) -> bytes:
    """Serialise `value` to the one byte string that digests are taken over."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def digest(value: object) -> str:
    """Return the sha256 of `value`'s canonical JSON as 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
