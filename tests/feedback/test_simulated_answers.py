"""What simulated annotators answer to tasks of every kind: whole answers by documented rules."""

from __future__ import annotations

from typing import Any

import pytest

from feedback.answers import check_answer
from feedback.contract import Message
from feedback.schemas import RESPONSES, TaskKind, check_schema
from feedback.simulated_answers import mend, next_words, simulated_answer
from feedback.simulation import CAREFUL, CONCISE, RULES

CHAT: list[Message] = [{"role": "user", "content": "Why do puddles disappear on a warm day?"}]
GOOD = "The sun warms the water until it turns into vapour, which rises into the air and leaves the ground dry."
CUT_OFF = "The sun warms the water until it turns into vapour, which rises into the air and leaves the"
LOOP = "The water goes away and the water goes away and the water goes away and the water goes away and the water"
TEXTS = (GOOD, CUT_OFF, LOOP, "", "Yes.", GOOD, "Puddles disappear.", "No idea, sorry.", "Warm days, warm nights.")


def answer(kind: str, texts: tuple[str, ...] = (), *, rule: Any = CONCISE, seed: int = 0, **schema: Any) -> dict:
    return simulated_answer(rule, check_schema(kind, schema), CHAT, texts, seed=seed)


SCHEMAS: list[tuple[str, dict[str, Any]]] = [
    ("comparison", {}),
    ("comparison", {"levels": 2, "allow_tie": False}),
    ("comparison", {"levels": 4, "edit_winner": True}),
    ("ranking", {}),
    ("ranking", {"allow_tie": False, "allow_not_rankable": False}),
    ("rating", {}),
    ("rating", {"attributes": [{"key": "tone", "label": "Tone", "low": 0, "high": 9}]}),
    ("demonstration", {"min_characters": 300}),
    ("demonstration", {"max_characters": 20}),
    ("correction", {}),
    ("correction", {"min_characters": 200, "max_characters": 250}),
    ("conversation", {}),
]


@pytest.mark.parametrize(("kind", "schema"), SCHEMAS)
@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_every_answer_is_whole_and_within_what_the_queue_asks(kind: str, schema: dict[str, Any], rule: Any) -> None:
    fewest, most = RESPONSES[kind]
    for shown in range(fewest, most + 1):
        for start in range(len(TEXTS)):
            texts = tuple((TEXTS * 2)[start : start + shown])
            asks = check_schema(kind, schema)
            check_answer(asks, shown, simulated_answer(rule, asks, CHAT, texts))


def test_there_is_an_answer_to_every_kind() -> None:
    assert {kind for kind, _ in SCHEMAS} == set(TaskKind.values)


def test_the_same_task_and_seed_give_the_same_answer() -> None:
    for kind, schema in SCHEMAS:
        texts = TEXTS[: RESPONSES[kind][0]]
        assert answer(kind, texts, seed=5, **schema) == answer(kind, texts, seed=5, **schema)


def test_where_no_tie_is_allowed_there_is_none() -> None:
    assert answer("comparison", (GOOD, GOOD))["preference"] == 0
    assert answer("comparison", (GOOD, GOOD), allow_tie=False)["preference"] == -1
    ranks = answer("ranking", (GOOD, GOOD, GOOD), allow_tie=False)["ranks"]
    assert sorted(ranks) == [1, 2, 3]


def test_a_finished_answer_ranks_above_one_cut_off_and_that_above_a_loop() -> None:
    ranked = answer("ranking", (LOOP, GOOD, "", CUT_OFF))
    assert ranked == {"ranks": [3, 1, None, 2], "not_rankable": [False, False, True, False]}


def test_ratings_use_the_scale_and_thumbs_go_with_them() -> None:
    good, loop = answer("rating", (GOOD, LOOP))["ratings"]
    assert good["helpfulness"] > loop["helpfulness"]
    assert (good["thumbs"], loop["thumbs"]) == (1, -1)


def test_what_a_rule_writes_says_that_a_rule_wrote_it() -> None:
    said = answer("demonstration", rule=CAREFUL)["text"]
    assert "simulated annotator careful" in said
    assert "puddles" in said


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("One. Two. One. Thr", "One. Two."),
        ("A list:\n\n1. Tea\n2. Cake.\n\nAnd then", "A list:\n\n1. Tea\n2. Cake."),
        ("Only this without an end", "Only this without an end"),
        ("Whole. And finished.", "Whole. And finished."),
        ('He said "go." She went. He said "go."', 'He said "go." She went.'),
        ("", ""),
    ],
)
def test_a_correction_drops_what_is_unfinished_or_said_twice(text: str, mended: str) -> None:
    assert mend(text) == mended


def test_a_talk_goes_on_with_a_question_about_the_answer() -> None:
    assert next_words(CHAT, GOOD) == "What do you mean by vapour?"
    assert next_words(CHAT, "") == "What do you mean by disappear?"
