"""Rewards that a function gives, in place of a reward model or added to it.

A function takes the chats and the responses to them, and returns one number for each response. It comes with Concord or
from the operator's own modules (see training.configs.reward_names), never from a form.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Callable, Sequence

import regex

from feedback.contract import Message
from training.configs import BadConfig
from training.configs.reward_names import VARIABLE, check_reward_function, operator_functions
from training.ml import CannotRun

RewardFunction = Callable[[list[list[Message]], list[str]], list[float]]

REFUSAL = re.compile(
    r"\b(i(['\u2019]m| am) (sorry|unable|not able|afraid)|as an ai\b"
    r"|i (can ?not|can['\u2019]?t|won['\u2019]?t|will not|must decline)\b"
    r"|i (do not|don['\u2019]t) (feel comfortable|have the ability))",
    re.IGNORECASE,
)
"""How a refusal begins, in English; looked for in the first 200 characters."""

LONGEST_SEARCH = 10
"""Seconds for a regular expression in one text; some take years."""


class BadRewardFunction(CannotRun):
    """A reward function is not known, cannot be imported, or does not return one number for each response."""


def load_reward_function(text: str) -> RewardFunction:
    """Return the function that a run's setting names, such as "no_refusal" or "words:60".

    What it returns is checked: one finite number for each response. Raises BadRewardFunction.
    """
    try:
        name, argument = check_reward_function(text)
        path = operator_functions().get(name)
    except BadConfig as error:
        raise BadRewardFunction(str(error)) from error
    function = imported(name, path) if path else built_in(name, argument)

    def checked(prompts: list[list[Message]], responses: list[str]) -> list[float]:
        rewards = function(prompts, responses)
        if len(rewards) != len(responses):
            raise BadRewardFunction(f"the reward function {name} gave {len(rewards)} rewards to {len(responses)} texts")
        for reward in rewards:
            if not isinstance(reward, int | float) or not math.isfinite(reward):
                raise BadRewardFunction(f"the reward function {name} gave {reward!r}; each must be a finite number")
        return [float(reward) for reward in rewards]

    return checked


def imported(name: str, path: str) -> RewardFunction:
    """Return the operator's function at "module:function"."""
    module, _, attribute = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BadRewardFunction(f"the reward function {name} = {path} of {VARIABLE} cannot be had: {error}") from error
    if not callable(function):
        raise BadRewardFunction(f"the reward function {name} = {path} of {VARIABLE} is not a function")
    return function


def built_in(name: str, argument: str) -> RewardFunction:
    of_text = ONE_TEXT[name](argument)
    return lambda _, responses: [float(of_text(response)) for response in responses]


# Built in: each takes its argument and returns what gives one text its reward ---------------------------------------


def words(argument: str) -> Callable[[str], float]:
    target = int(argument)
    return lambda text: -abs(len(text.split()) - target) / target


def matches(argument: str) -> Callable[[str], float]:
    try:
        pattern = regex.compile(argument)
    except regex.error as error:
        raise BadRewardFunction(f"matches:{argument} is not a regular expression: {error}") from error

    def found(text: str) -> float:
        try:
            return float(pattern.search(text, timeout=LONGEST_SEARCH) is not None)
        except TimeoutError as error:
            raise BadRewardFunction(
                f"matches:{argument} was not found or missed within {LONGEST_SEARCH} s in a text of {len(text)} "
                "characters; write it without repeats inside of repeats"
            ) from error

    return found


def contains(argument: str) -> Callable[[str], float]:
    wanted = argument.casefold()
    return lambda text: float(wanted in text.casefold())


def no_refusal(_: str) -> Callable[[str], float]:
    return lambda text: float(not is_refusal(text))


def no_repetition(_: str) -> Callable[[str], float]:
    return distinct_share


def is_json(_: str) -> Callable[[str], float]:
    return lambda text: float(parses(text))


def whole_sentence(_: str) -> Callable[[str], float]:
    return lambda text: float(text.rstrip().rstrip("\"')*\u201d\u2019").endswith((".", "!", "?", "\u3002", "\u061f")))


def is_refusal(text: str) -> bool:
    """Tell whether a response begins as refusals do."""
    return REFUSAL.search(text[:200]) is not None


def distinct_share(text: str, size: int = 3) -> float:
    """Return how many of the groups of `size` words are different ones, as a share; 1 for a text of fewer words."""
    parts: Sequence[str] = text.split()
    groups = [tuple(parts[start : start + size]) for start in range(len(parts) - size + 1)]
    return len(set(groups)) / len(groups) if groups else 1.0


def parses(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


ONE_TEXT: dict[str, Callable[[str], Callable[[str], float]]] = {
    "words": words,
    "matches": matches,
    "contains": contains,
    "no_refusal": no_refusal,
    "no_repetition": no_repetition,
    "json": is_json,
    "whole_sentence": whole_sentence,
}
