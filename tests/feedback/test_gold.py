"""Making a task gold, and what is right by it."""

from __future__ import annotations

import pytest

from feedback.answers import Answer
from feedback.gold import GoldRefused, is_right, make_gold
from feedback.models import Gold, Task
from feedback.schemas import check_schema, default_schema
from tests.factories import make_queue, make_response, make_task, make_user

pytestmark = pytest.mark.django_db


def refused(task, answer, **values) -> str:
    with pytest.raises(GoldRefused) as caught:
        make_gold(task=task, answer=answer, created_by=make_user(), **values)
    assert not Gold.objects.filter(task=task, answer=answer).exists()
    return caught.value.field


def test_gold_is_stored_in_response_order_with_its_explanation(project):
    task = make_task(make_queue(project))
    gold = make_gold(task=task, answer={"preference": -2}, explanation=" The first is right. ", created_by=make_user())
    assert (gold.answer, gold.explanation, gold.queue) == ({"preference": -2}, "The first is right.", task.queue)


def test_a_rating_may_leave_out_what_does_not_matter(project):
    task = make_task(make_queue(project, kind="rating"))
    gold = make_gold(task=task, answer={"ratings": [{"helpfulness": 4}]}, created_by=make_user())
    assert gold.answer == {"ratings": [{"helpfulness": 4}]}
    assert refused(make_task(task.queue), {"ratings": [{}]}) == "ratings"


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        ({"preference": 9}, "preference"),
        ({}, "preference"),
        ({"ranks": [1, 2]}, "answer"),
        ("left", "answer"),
    ],
)
def test_an_answer_that_the_queue_would_not_take_is_refused(project, answer, field):
    assert refused(make_task(make_queue(project)), answer) == field


def test_gold_holds_nobody_to_an_edit(project):
    task = make_task(make_queue(project, schema={"edit_winner": True}))
    assert refused(task, {"preference": 1, "edited": "Better."}) == "edited"


@pytest.mark.parametrize("kind", ["demonstration", "correction"])
def test_what_is_written_has_no_gold(project, kind):
    assert refused(make_task(make_queue(project, kind=kind)), {"text": "So."}) == "task"


def test_gold_is_made_once_and_not_of_a_repeat(project):
    task = make_task(make_queue(project))
    make_gold(task=task, answer={"preference": 1}, created_by=make_user())
    assert refused(task, {"preference": -1}) == "task"
    assert refused(make_task(task.queue, repeat_of=task), {"preference": 1}) == "task"
    assert Task.objects.count() == 2


@pytest.mark.parametrize("explanation", ["x" * 2_001, "\x00"])
def test_an_explanation_is_short(project, explanation):
    assert refused(make_task(make_queue(project)), {"preference": 1}, explanation=explanation) == "explanation"


# What is right

COMPARISON, RANKING = default_schema("comparison"), default_schema("ranking")
RATING = check_schema(
    "rating",
    {"attributes": [{"key": "clear", "label": "Clear"}, {"key": "thumbs", "label": "All in all", "style": "thumbs"}]},
)


@pytest.mark.parametrize(
    ("gold", "said", "right"), [(2, 1, True), (2, 3, True), (2, -1, False), (2, 0, False), (0, 0, True), (0, 1, False)]
)
def test_a_comparison_is_right_on_the_same_side(gold, said, right):
    assert is_right(COMPARISON, {"preference": gold}, Answer(said)) is right


@pytest.mark.parametrize(
    ("ranks", "right"),
    [
        ([1, 2, 3], True),
        ([1, 1, 2], True),
        ([1, None, 2], True),
        ([2, 1, 3], False),
        ([1, 3, 2], False),
        ([1, 1, 1], False),
        ([None, None, None], False),
    ],
)
def test_a_ranking_is_right_with_no_pair_reversed_and_not_all_tied(ranks, right):
    assert is_right(RANKING, {"ranks": [1, 2, 3]}, Answer(None, {"ranks": ranks})) is right


def test_a_gold_of_ties_is_met_by_ties():
    assert is_right(RANKING, {"ranks": [1, 1, 1]}, Answer(None, {"ranks": [1, 1, 1]}))


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ({"clear": 4, "thumbs": 1}, True),
        ({"clear": 5, "thumbs": 1}, True),
        ({"clear": 2, "thumbs": 1}, False),
        ({"clear": 4, "thumbs": -1}, False),
        ({"clear": 4}, False),
    ],
)
def test_a_rating_is_right_within_one_step_and_with_the_same_thumb(said, right):
    assert is_right(RATING, {"ratings": [{"clear": 4, "thumbs": 1}]}, Answer(None, {"ratings": [said]})) is right


def test_responses_of_one_prompt_make_gold_of_a_ranking(project):
    queue = make_queue(project, kind="ranking")
    task = make_task(queue)
    gold = make_gold(
        task=task,
        answer={"ranks": [2, 1, 3], "not_rankable": [False, False, False]},
        created_by=make_user(),
    )
    assert gold.answer["ranks"] == [2, 1, 3]
    assert make_response(task.prompt) not in task.texts
