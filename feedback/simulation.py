"""Simulated annotators: two documented rules that stand in for people in demonstrations and tests.

`preference` compares two responses; `feedback.simulated_answers` answers tasks of every kind by the same scores.

They exist so that one turn of the loop can be made without anybody at the keyboard. A label they make is marked as
simulated wherever it appears and stays out of a snapshot unless somebody asks for it. They judge form, not truth: no
rule here can tell a right answer from a wrong one, and no figure obtained with them says anything about people.

Pure functions, standard library only: the same rule, prompt, texts and seed give the same preference on every machine.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from feedback.contract import PREFERENCE_LIMIT, Message

REPEAT_LENGTH = 3
"""Words in an n-gram that counts as repeated when it occurs again."""

NOISE = 0.2
"""Standard deviation of the noise on the difference of two scores, in the scores' own unit."""

THRESHOLDS = (0.12, 0.7, 1.6)
"""Differences from which a preference is 1, 2 and 3; below the first it is a tie."""

HARMFUL_REQUEST = re.compile(
    r"\b(without (them|him|her|the key)|pretends? to be|fake|insult|pick (a|the) lock|front door|hack|steal|spy)\b",
    re.IGNORECASE,
)
REFUSAL = re.compile(
    r"\b(i can(no|')t|i cannot|i am (not able|unable)|i'm (not able|unable|sorry)|i won't|i will not)\b", re.IGNORECASE
)
END_OF_TEXT = (".", "!", "?", '."', '!"', '?"', ".'", "!'", "?'", ".)", "```", "…")


@dataclass(frozen=True)
class Rule:
    """One kind of simulated annotator."""

    name: str
    text: str
    """What the rule does, in one sentence for people; stands in `User.simulation_rule`."""
    score: Callable[[Sequence[Message], str], float]


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def repetition(text: str) -> float:
    """Return the share of 3-grams that occurred before in `text`: 0.0 for none, towards 1.0 for a loop."""
    tokens = words(text)
    grams = [tuple(tokens[i : i + REPEAT_LENGTH]) for i in range(len(tokens) - REPEAT_LENGTH + 1)]
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def ends_properly(text: str) -> bool:
    """Tell whether `text` stops at the end of a sentence or a code block, not in the middle of one."""
    return text.rstrip().endswith(END_OF_TEXT)


def asks_for_harm(messages: Sequence[Message]) -> bool:
    """Tell whether the last turn asks for one of the few harms that this module's patterns know."""
    return bool(HARMFUL_REQUEST.search(messages[-1]["content"]))


def refuses(text: str) -> bool:
    """Tell whether the first 200 characters of `text` decline the request."""
    return bool(REFUSAL.search(text[:200].replace("\u2019", "'")))


def on_topic(messages: Sequence[Message], text: str) -> float:
    """Return the share of the last turn's longer words (5 letters or more) that `text` takes up, from 0.0 to 1.0."""
    asked = {word for word in words(messages[-1]["content"]) if len(word) >= 5}
    return len(asked & set(words(text))) / len(asked) if asked else 0.0


def form(messages: Sequence[Message], text: str, sensible_words: float) -> float:
    """Score what both rules value: an ending, a sensible length, nothing said twice, words of the question.

    An empty text scores lowest.
    """
    count = len(words(text))
    if count == 0:
        return -10.0
    length = -abs(math.log(count / sensible_words))
    return 1.2 * ends_properly(text) + 0.8 * length - 4.0 * repetition(text) + 1.5 * on_topic(messages, text)


def score_concise(messages: Sequence[Message], text: str) -> float:
    """Value short, finished answers: best near 18 words."""
    return form(messages, text, sensible_words=18.0)


def score_careful(messages: Sequence[Message], text: str) -> float:
    """Value fuller, finished answers, and a refusal exactly where the request is harmful: best near 30 words."""
    manners = 1.5 if asks_for_harm(messages) == refuses(text) else -1.5
    return form(messages, text, sensible_words=30.0) + (manners if asks_for_harm(messages) or refuses(text) else 0.0)


CONCISE = Rule(
    name="concise",
    text=(
        "Simulated rule 'concise': prefers the answer that ends properly, is near 18 words, repeats no 3-gram and "
        "takes up words of the question."
    ),
    score=score_concise,
)
CAREFUL = Rule(
    name="careful",
    text=(
        "Simulated rule 'careful': as 'concise' but near 30 words, and a polite refusal wins exactly where the "
        "request is harmful."
    ),
    score=score_careful,
)
RULES: Mapping[str, Rule] = {rule.name: rule for rule in (CONCISE, CAREFUL)}


def noise(rule: Rule, messages: Sequence[Message], *texts: str, seed: int = 0) -> float:
    """Draw the noise on a score of `texts`: the same for the same rule, last turn, texts and seed."""
    key = "\x1f".join([str(seed), rule.name, messages[-1]["content"], *texts])
    return random.Random(hashlib.sha256(key.encode()).digest()).gauss(0.0, NOISE)


def gap(rule: Rule, messages: Sequence[Message], first: str, second: str, *, seed: int = 0) -> float:
    """Return how much better `second` is than `first`; swapping the two exactly turns the sign."""
    if first == second:
        return 0.0
    low, high = sorted((first, second))
    ahead = rule.score(messages, high) - rule.score(messages, low) + noise(rule, messages, low, high, seed=seed)
    return ahead if second == high else -ahead


def preference(rule: Rule, messages: Sequence[Message], first: str, second: str, *, seed: int = 0) -> int:
    """Return what `rule` says of two responses: negative = `first` is better, 0 = tie, size = strength (1 to 3)."""
    ahead = gap(rule, messages, first, second, seed=seed)
    strength = min(sum(abs(ahead) >= threshold for threshold in THRESHOLDS), PREFERENCE_LIMIT)
    return strength if ahead > 0 else -strength
