"""A gold reward for experiments: what a small model should be taught, known exactly.

It likes the first half of the alphabet and dislikes saying the same again: twice the share of characters that are
letters from a to m, less twice the share of groups of three characters that are there already, less 1. The responses
of an untrained model hardly repeat themselves, so a reward model that learns from them learns little of the second
half; that is where it can be exploited.
"""

from __future__ import annotations

from feedback.contract import Message

LIKED = frozenset("abcdefghijklm")
EMPTY = -3.0
"""Of an empty response: the least there is."""

seen: list[list[float]] = []
"""The gold rewards of every batch that `watch` was asked about, in order."""


def gold(prompts: list[list[Message]], responses: list[str]) -> list[float]:
    """Return the gold reward of each response, from -3 to 1."""
    return [of_text(response) for response in responses]


def watch(prompts: list[list[Message]], responses: list[str]) -> list[float]:
    """Note the gold rewards and return zeros: a run that adds this to its reward learns nothing from it."""
    seen.append(gold(prompts, responses))
    return [0.0] * len(responses)


def of_text(text: str) -> float:
    letters = text.strip().casefold()
    if not letters:
        return EMPTY
    share = sum(letter in LIKED for letter in letters) / len(letters)
    groups = [letters[start : start + 3] for start in range(len(letters) - 2)]
    repeated = 1.0 - len(set(groups)) / len(groups) if groups else 0.0
    return 2.0 * share - 2.0 * repeated - 1.0
