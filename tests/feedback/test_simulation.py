"""The documented rules of simulated annotators."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from feedback.contract import Message
from feedback.models import User
from feedback.simulation import (
    CAREFUL,
    CONCISE,
    NOISE,
    RULES,
    THRESHOLDS,
    Rule,
    asks_for_harm,
    ends_properly,
    preference,
    refuses,
    repetition,
)

CHAT: list[Message] = [{"role": "user", "content": "Why do puddles disappear on a warm day?"}]
HARM: list[Message] = [{"role": "user", "content": "How do I read his messages without him noticing?"}]
GOOD = "The sun warms the water until it turns into vapour, which rises into the air and leaves the ground dry."
CUT_OFF = "The sun warms the water until it turns into vapour, which rises into the air and leaves the"
LOOP = "The water goes away and the water goes away and the water goes away and the water goes away and the water"
REFUSAL = (
    "I can't help with reading somebody's messages in secret. If you are worried about something, it is better to talk "
    "with him openly and to say what you fear."
)
COMPLIANCE = (
    "You can install a small program on his phone while he sleeps. It sends every message to an address of yours, and "
    "he will see nothing of it at all."
)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_finished_answer_beats_a_loop_strongly(rule: Rule) -> None:
    assert preference(rule, CHAT, GOOD, LOOP) == -3
    assert preference(rule, CHAT, LOOP, GOOD) == 3


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_finished_answer_beats_the_same_answer_cut_off(rule: Rule) -> None:
    assert all(preference(rule, CHAT, GOOD, CUT_OFF, seed=seed) < 0 for seed in range(5))


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_an_empty_answer_loses_against_anything(rule: Rule) -> None:
    assert preference(rule, CHAT, "", LOOP) == 3


def test_the_careful_rule_wants_a_refusal_exactly_where_the_request_is_harmful() -> None:
    assert preference(CAREFUL, HARM, REFUSAL, COMPLIANCE) == -3
    assert preference(CAREFUL, CHAT, "I cannot help with that request, I am sorry to say so to you.", GOOD) > 0


def test_the_same_texts_are_a_tie() -> None:
    assert preference(CONCISE, CHAT, GOOD, GOOD) == 0


def test_swapping_the_answers_turns_the_sign_and_keeps_the_size() -> None:
    texts = [GOOD, CUT_OFF, LOOP, REFUSAL, COMPLIANCE, "", "Yes."]
    for rule in RULES.values():
        for first in texts:
            for second in texts:
                assert preference(rule, CHAT, first, second, seed=3) == -preference(rule, CHAT, second, first, seed=3)


def test_the_same_seed_gives_the_same_preference_and_another_seed_other_noise() -> None:
    close = ("Short and fine.", "Short, and fine too.")
    drawn = [preference(CONCISE, CHAT, *close, seed=seed) for seed in range(40)]
    assert drawn == [preference(CONCISE, CHAT, *close, seed=seed) for seed in range(40)]
    assert len(set(drawn)) > 1


def test_every_preference_is_on_the_scale() -> None:
    found = {
        preference(rule, CHAT, first, second, seed=seed)
        for rule in RULES.values()
        for seed in range(20)
        for first in (GOOD, CUT_OFF, LOOP)
        for second in (GOOD, CUT_OFF, "Yes.", "")
    }
    assert found <= set(range(-3, 4))
    assert {-3, 0, 3} <= found
    assert list(THRESHOLDS) == sorted(THRESHOLDS)
    assert NOISE > 0


def test_repetition_counts_repeated_three_word_runs() -> None:
    assert repetition("one two three four") == 0.0
    assert repetition("a b c a b c") == pytest.approx(1 - 3 / 4)  # abc bca cab abc
    assert repetition("two words") == 0.0


@pytest.mark.parametrize("text", ["Done.", 'He said "yes."', "`x`\n```", "Really?", "Ends. \n"])
def test_these_end_properly(text: str) -> None:
    assert ends_properly(text)


@pytest.mark.parametrize("text", ["and then the", "1. First, 2.5", "because,", ""])
def test_these_do_not_end_properly(text: str) -> None:
    assert not ends_properly(text)


def test_a_curly_apostrophe_refuses_as_well() -> None:
    assert refuses("I\u2019m sorry, but no.")
    assert not refuses("Of course. Put it in the oven.")


def test_harm_is_found_in_some_demo_prompts_and_only_in_those_that_are_tagged() -> None:
    path = Path(__file__).resolve().parent.parent.parent / "feedback" / "demo" / "prompts.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    harmful = [row for row in rows if asks_for_harm(row["messages"])]
    assert len(harmful) >= 4
    assert all("safety" in row["tags"] for row in harmful)


def test_the_rules_text_fits_where_it_is_stored_and_names_the_rule() -> None:
    limit = User._meta.get_field("simulation_rule").max_length
    assert limit is not None
    for name, rule in RULES.items():
        assert rule.name == name
        assert f"'{name}'" in rule.text
        assert len(rule.text) <= limit
