"""Which reward functions there are, by name: those that come with Concord, and those that the operator lists.

A run's config holds a name, never code. An operator's function is a dotted path in the environment, read by the site
and by the worker alike: CONCORD_REWARD_FUNCTIONS="polite=company.rewards:polite,short=company.rewards:short".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from training.configs.base import BadConfig, shortened

VARIABLE = "CONCORD_REWARD_FUNCTIONS"

BUILT_IN: dict[str, str] = {
    "words": "Near so many words: 0 at words:60 for 60 words, -1 for none or 120.",
    "matches": "1 where a regular expression is found, such as matches:^Answer, else 0.",
    "contains": "1 where a text is found, whatever its case, such as contains:thank you, else 0.",
    "no_refusal": "0 for a refusal (I cannot help with that), else 1.",
    "no_repetition": "Share of groups of three words that are there once: 1 where nothing repeats.",
    "json": "1 where the response is JSON, else 0.",
    "whole_sentence": "1 where the response ends as a sentence does, else 0.",
}
"""Functions that come with Concord, and what they say."""

TAKE_ARGUMENT = {"words": "words:60", "matches": "matches:^Answer", "contains": "contains:thank you"}
"""Those that need an argument after a colon, each with an example."""

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,49}")
PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def operator_functions(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return {name: "module:function"} as the environment lists them; raises BadConfig for what cannot be read."""
    found: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in environment.get(VARIABLE, "").split(","))):
        name, _, path = (part.strip() for part in entry.partition("="))
        if not NAME.fullmatch(name) or not PATH.fullmatch(path):
            raise BadConfig(
                "reward_function", f"{VARIABLE} holds {shortened(entry)}; each entry must be name=module:function"
            )
        if name in BUILT_IN or name in found:
            raise BadConfig("reward_function", f"{VARIABLE} gives the name {name} to a second function; choose another")
        found[name] = path
    return found


def reward_function_names(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return every name that a run may give, those that need an argument with an example of one."""
    return [*(TAKE_ARGUMENT.get(name, name) for name in BUILT_IN), *operator_functions(environment)]


def check_reward_function(text: str, environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Return (name, argument) of a setting such as "words:60"; raises BadConfig for what is not known."""
    name, colon, argument = text.partition(":")
    known = reward_function_names(environment)
    if name not in BUILT_IN and name not in operator_functions(environment):
        raise BadConfig("reward_function", f"{shortened(name)} is not known; known are {', '.join(known)}")
    if name in TAKE_ARGUMENT and not argument:
        raise BadConfig("reward_function", f"the function {name} needs an argument, such as {TAKE_ARGUMENT[name]}")
    if name not in TAKE_ARGUMENT and colon:
        raise BadConfig("reward_function", f"{name} takes no argument; leave {shortened(colon + argument)} out")
    if name == "words" and not (argument.isascii() and argument.isdigit() and 0 < int(argument[:9]) <= 100_000):
        raise BadConfig("reward_function", f"words:{argument} is not a number of words from 1 to 100000")
    if name == "matches":
        try:
            re.compile(argument)
        except (re.error, RecursionError, OverflowError) as error:
            raise BadConfig("reward_function", f"{shortened(argument)} is not a regular expression: {error}") from error
    return name, argument
