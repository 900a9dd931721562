"""Which response is shown first is a fair draw: over 10,000 draws of the real function, half and half within 1 %.

The salt is fixed here, so the counts are the same at every run; `make bench-queue` counts claims of a running site.
"""

from __future__ import annotations

import uuid
from collections import Counter

import pytest

from feedback.answers import draw_order

SALT = "fixed for this test"
TASKS, PEOPLE = 500, 20


def orders(responses: int) -> list[list[int]]:
    return [
        draw_order(salt=SALT, task=str(uuid.UUID(int=task)), annotator=person, responses=responses)
        for task in range(TASKS)
        for person in range(1, PEOPLE + 1)
    ]


def test_each_side_is_shown_first_half_of_the_time():
    first = Counter(order[0] for order in orders(2))
    assert sum(first.values()) == 10_000
    assert 4_900 <= first[0] <= 5_100


def test_neither_a_person_nor_a_task_has_a_side():
    drawn = orders(2)
    by_person = [sum(order[0] for order in drawn[person::PEOPLE]) for person in range(PEOPLE)]
    by_task = [sum(order[0] for order in drawn[task * PEOPLE : (task + 1) * PEOPLE]) for task in range(TASKS)]
    # Within 4.5 standard deviations of half: 500 draws each, and 20 each.
    assert all(abs(count - TASKS / 2) <= 4.5 * (TASKS / 4) ** 0.5 for count in by_person)
    assert all(abs(count - PEOPLE / 2) <= 4.5 * (PEOPLE / 4) ** 0.5 for count in by_task)


@pytest.mark.parametrize("responses", [3, 5, 9])
def test_of_more_responses_each_is_as_often_first_as_last(responses):
    drawn = orders(responses)
    for position in (0, -1):
        counts = Counter(order[position] for order in drawn)
        share = 1 / responses
        assert all(
            abs(counts[place] / len(drawn) - share) <= 4.5 * (share * (1 - share) / len(drawn)) ** 0.5
            for place in range(responses)
        )
