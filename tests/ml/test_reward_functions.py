"""Reward functions by name: known answers, and every refusal."""

from __future__ import annotations

import pytest

from training.configs import BadConfig
from training.configs.reward_names import BUILT_IN, TAKE_ARGUMENT, operator_functions, reward_function_names
from training.ml import reward_functions
from training.ml.reward_functions import ONE_TEXT, BadRewardFunction, load_reward_function

CHAT = [{"role": "user", "content": "hello"}]


def rewards(name: str, *responses: str) -> list[float]:
    return load_reward_function(name)([CHAT] * len(responses), list(responses))


@pytest.mark.parametrize(
    ("name", "text", "reward"),
    [
        ("words:4", "one two three four", 0.0),
        ("words:4", "one two", -0.5),
        ("words:4", "", -1.0),
        ("matches:^Answer: \\d", "Answer: 4", 1.0),
        ("matches:^Answer: \\d", "The answer: 4", 0.0),
        ("contains:thank you", "Oh, Thank You!", 1.0),
        ("contains:thank you", "thanks", 0.0),
        ("no_refusal", "I'm sorry, but I cannot help with that.", 0.0),
        ("no_refusal", "I can\u2019t do that", 0.0),
        ("no_refusal", "Paris is the capital of France. He said: we never sorry.", 1.0),
        ("no_repetition", "a b c d", 1.0),
        ("no_repetition", "a b c a b c", 0.75),
        ("no_repetition", "a", 1.0),
        ("json", '{"a": [1]}', 1.0),
        ("json", "{a}", 0.0),
        ("whole_sentence", 'He said "yes."', 1.0),
        ("whole_sentence", "He said", 0.0),
    ],
)
def test_a_built_in_function_gives_the_reward_that_it_says(name, text, reward):
    assert rewards(name, text) == [reward]


def test_every_name_that_the_site_offers_is_a_function_of_the_engine():
    assert list(BUILT_IN) == list(ONE_TEXT)
    for name in reward_function_names({}):
        assert rewards(name, "some text") is not None


def test_the_operators_own_function_sees_the_chat(monkeypatch):
    monkeypatch.setenv("CONCORD_REWARD_FUNCTIONS", "echo=tests.ml.test_reward_functions:shares_a_word")
    assert rewards("echo", "hello you", "good day") == [1.0, 0.0]


def shares_a_word(prompts, responses):
    return [
        int(bool(set(prompt[-1]["content"].split()) & set(response.split())))
        for prompt, response in zip(prompts, responses, strict=True)
    ]


def one_too_few(prompts, responses):
    return [1.0] * (len(responses) - 1)


def not_a_number(prompts, responses):
    return [float("nan")] * len(responses)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("politeness", "'politeness' is not known; known are words:60, "),
        ("words", "needs an argument, such as words:60"),
        ("words:-3", "not a number of words"),
        ("words:\u0663", "not a number of words"),
        ("json:5", "takes no argument"),
        ("matches:(", "not a regular expression"),
        ("os:system", "is not known"),
    ],
)
def test_a_name_that_is_not_known_or_lacks_its_argument_is_refused(name, message):
    with pytest.raises(BadRewardFunction, match=message):
        load_reward_function(name)


def test_a_pattern_that_would_search_for_years_is_given_up(monkeypatch):
    monkeypatch.setattr(reward_functions, "LONGEST_SEARCH", 0.01)
    with pytest.raises(BadRewardFunction, match="without repeats inside of repeats"):
        rewards("matches:(a|aa)+$", "a" * 60 + "!")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("mine=no.such_module:f", "cannot be had: No module named 'no'"),
        ("mine=tests.ml.test_reward_functions:absent", "cannot be had: module .* has no attribute 'absent'"),
        ("mine=tests.ml.test_reward_functions:CHAT", "is not a function"),
        ("mine=tests.ml", "each entry must be name=module:function"),
        ("json=tests.ml.test_reward_functions:one_too_few", "a second function"),
    ],
)
def test_an_operators_function_that_cannot_be_had_is_refused(monkeypatch, entry, message):
    monkeypatch.setenv("CONCORD_REWARD_FUNCTIONS", entry)
    with pytest.raises(BadRewardFunction, match=message):
        load_reward_function("mine")


@pytest.mark.parametrize(
    ("function", "message"),
    [("one_too_few", "gave 1 rewards to 2 texts"), ("not_a_number", "gave nan; each must be a finite number")],
)
def test_rewards_that_are_not_one_number_for_each_response_are_refused(monkeypatch, function, message):
    monkeypatch.setenv("CONCORD_REWARD_FUNCTIONS", f"mine=tests.ml.test_reward_functions:{function}")
    with pytest.raises(BadRewardFunction, match=message):
        rewards("mine", "a", "b")


def test_the_operators_list_is_read_with_its_spaces():
    listed = operator_functions({"CONCORD_REWARD_FUNCTIONS": " a = b.c:d , e=f:g,"})
    assert listed == {"a": "b.c:d", "e": "f:g"}
    assert operator_functions({}) == {}
    with pytest.raises(BadConfig, match="reward_function"):
        operator_functions({"CONCORD_REWARD_FUNCTIONS": "a"})
    assert set(TAKE_ARGUMENT) < set(BUILT_IN)
