"""What a simulated annotator answers to a task of each kind, by the scores of its rule (`feedback.simulation`).

    comparison     the rule's preference, on the queue's scale; where no tie is allowed the smallest gap decides
    ranking        by score, each with noise of its own; closer than the threshold of a tie = tied, empty = not rankable
    rating         every Likert attribute says the score on its scale, each with noise; thumbs up from GLAD on
    demonstration  a sentence that takes up the words of the question and says that a rule wrote it
    correction     the response without what stops in the middle of a sentence, and without sentences said twice
    conversation   at each turn the rule's preference; then one more question about the answer

A rule knows nothing of attributes, facts or style: it sees form alone, and what it writes is marked in the text itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from feedback.contract import Message
from feedback.schemas import Attribute, Schema, TaskKind
from feedback.simulation import THRESHOLDS, Rule, ends_properly, gap, noise, preference, words

GLAD = 0.5
"""Score from which a simulated annotator gives a thumb up; also the middle of every Likert scale."""
SENTENCE = re.compile(r"\S.*?(?:[.!?…]+[\"')]*(?=\s|$)|$)", re.DOTALL)


def simulated_answer(
    rule: Rule, schema: Schema, messages: Sequence[Message], texts: Sequence[str], *, seed: int = 0
) -> dict[str, Any]:
    """Return the answer to a task that shows `texts` in this order, in the shape of `feedback.answers`."""
    return ANSWERS[schema.kind](rule, schema, messages, texts, seed)


def compared(
    rule: Rule, schema: Schema, messages: Sequence[Message], texts: Sequence[str], seed: int
) -> dict[str, Any]:
    first, second = texts
    step = preference(rule, messages, first, second, seed=seed)
    if not step and not schema.allow_tie:
        step = 1 if gap(rule, messages, first, second, seed=seed) > 0 else -1
    return {"preference": max(-schema.strongest, min(schema.strongest, step))}


def ranked(rule: Rule, schema: Schema, messages: Sequence[Message], texts: Sequence[str], seed: int) -> dict[str, Any]:
    scores = [score(rule, messages, text, seed) for text in texts]
    empty = [not text.strip() for text in texts]
    if not schema.allow_not_rankable or len(texts) - sum(empty) < 2:
        empty = [False] * len(texts)
    order = sorted((place for place in range(len(texts)) if not empty[place]), key=lambda place: -scores[place])
    ranks: list[int | None] = [None] * len(texts)
    rank = 0
    for position, place in enumerate(order):
        behind = position and scores[order[position - 1]] - scores[place]
        if not position or not schema.allow_tie or behind >= THRESHOLDS[0]:
            rank += 1
        ranks[place] = rank
    return {"ranks": ranks, "not_rankable": empty}


def rated(rule: Rule, schema: Schema, messages: Sequence[Message], texts: Sequence[str], seed: int) -> dict[str, Any]:
    return {
        "ratings": [
            {each.key: value_of(each, score(rule, messages, text, seed, each.key)) for each in schema.attributes}
            for text in texts
        ]
    }


def value_of(attribute: Attribute, points: float) -> int:
    if attribute.style == "thumbs":
        return 1 if points >= GLAD else -1
    share = 1 / (1 + math.exp(GLAD - points))
    return attribute.low + round(share * (attribute.high - attribute.low))


def demonstrated(
    rule: Rule, schema: Schema, messages: Sequence[Message], texts: Sequence[str], seed: int
) -> dict[str, Any]:
    asked = list(dict.fromkeys(word for word in words(messages[-1]["content"]) if len(word) >= 5))[:12]
    about = f" about {', '.join(asked)}" if asked else ""
    return {"text": of_length(f"This answer{about} was written by the simulated annotator {rule.name}.", schema)}


def corrected(
    rule: Rule, schema: Schema, messages: Sequence[Message], texts: Sequence[str], seed: int
) -> dict[str, Any]:
    mended = mend(texts[0])
    if not mended.strip():
        return demonstrated(rule, schema, messages, texts, seed)
    return {"text": of_length(mended, schema)}


def mend(text: str) -> str:
    """Drop sentences that were said before, and a last one that does not end, unless it is the only one."""
    kept, seen = [], set()
    for match in SENTENCE.finditer(text):
        key = tuple(words(match.group()))
        if key and key in seen:
            continue
        seen.add(key)
        kept.append((match.start(), match.end()))
    if len(kept) > 1 and not ends_properly(text[slice(*kept[-1])]):
        kept.pop()
    pieces = []
    for number, (start, end) in enumerate(kept):
        before = text[kept[number - 1][1] : start] if number else ""
        pieces.append(before if not before.strip() else " ")
        pieces.append(text[start:end])
    return "".join(pieces)


def of_length(text: str, schema: Schema) -> str:
    """Repeat `text` until it is as long as the queue asks for, and cut it where it is too long."""
    while len(text.strip()) < schema.min_characters:
        text = f"{text} {text}"
    return text[: schema.max_characters]


def talked(rule: Rule, schema: Schema, messages: Sequence[Message], texts: Sequence[str], seed: int) -> dict[str, Any]:
    return {}


def next_words(messages: Sequence[Message], answer: str) -> str:
    """Return what a simulated annotator says after `answer`: a question about its longest word."""
    longest = max(words(answer) or words(messages[-1]["content"]) or ["that"], key=len)
    return f"What do you mean by {longest}?"


def score(rule: Rule, messages: Sequence[Message], text: str, seed: int, *apart: str) -> float:
    """Return the rule's score of one text by itself, with noise; `apart` draws other noise for another question."""
    return rule.score(messages, text) + noise(rule, messages, text, *apart, seed=seed)


ANSWERS: Mapping[str, Callable[[Rule, Schema, Sequence[Message], Sequence[str], int], dict[str, Any]]] = {
    TaskKind.COMPARISON: compared,
    TaskKind.RANKING: ranked,
    TaskKind.RATING: rated,
    TaskKind.DEMONSTRATION: demonstrated,
    TaskKind.CORRECTION: corrected,
    TaskKind.CONVERSATION: talked,
}
