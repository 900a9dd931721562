"""Reward functions that tests list in CONCORD_REWARD_FUNCTIONS."""

from __future__ import annotations


def vowels(prompts, responses):
    """The share of letters that are vowels: a reward that a tiny model can learn within seconds."""
    return [sum(letter in "aeiou" for letter in text) / max(len(text), 1) for text in responses]


def alike(prompts, responses):
    return [1.0] * len(responses)


to_give: list[float] = []
"""What `given` returns."""


def given(prompts, responses):
    """Rewards that a test has decided on, whatever is written."""
    return to_give


asked = 0
"""How often `greedy` has been called."""


def greedy(prompts, responses):
    """At its second call it asks the machine for more memory than there is."""
    import torch

    global asked
    asked += 1
    if asked == 2:
        torch.empty(10**15)
    return [float(len(text)) for text in responses]
