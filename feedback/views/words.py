"""Small words that several pages say."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """Say a number of things: "1 task", "2,000 tasks"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def sentence(words: object) -> str:
    """Make a sentence of what a refusal says."""
    text = str(words)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
