"""One more person is asked while judgments disagree, up to the cap; what disagreement is for each kind."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from feedback.answers import Answer
from feedback.filling import enqueue_task, slots_wanted
from feedback.overlap import disagree, settled
from feedback.schemas import check_schema, default_schema
from tests.factories import (
    make_assignment,
    make_gold,
    make_judgment,
    make_member,
    make_prompt,
    make_queue,
    make_response,
    make_task,
)
from tests.feedback.test_revise_judgment import revise, shown

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def task(project):
    return make_task(make_queue(project, overlap=2, overlap_cap=4))


def judge(task, *preferences: int) -> list:
    made = [
        make_judgment(task=task, annotator=make_member(task.queue.project), preference=preference)
        for preference in preferences
    ]
    task.refresh_from_db()
    return made


def slots(task) -> list[str]:
    return list(task.assignments.order_by("slot").values_list("state", flat=True))


@pytest.mark.parametrize("rules", [{}, {"overlap_cap": 3}])
def test_a_submission_pays_for_the_comparison_only_when_it_fills_the_last_slot(project, rules):
    """Before that it reads the states of the slots, under the lock of the task where the database locks rows."""

    def statements(slot) -> int:
        with CaptureQueriesContext(connection) as asked:
            make_judgment(slot)
        return len(asked)

    alone, plain = (make_queue(project, overlap=overlap, propose_disputes=False) for overlap in (1, 2))
    compared = make_queue(project, overlap=2, **rules)
    make_judgment(queue=alone)  # compiles what every submission needs
    least = statements(make_assignment(make_task(alone)))
    for queue, first, agreeing in ((plain, 0, 0), (compared, 1, 3)):
        task = make_task(queue)
        slots = [make_assignment(task) for _ in range(2)]
        locks = int(first > 0 and connection.features.has_select_for_update)
        assert statements(slots[0]) == least + first + locks
        assert statements(slots[1]) == least + agreeing + locks


def test_people_who_agree_are_enough(task):
    judge(task, 3, 1)
    assert slots(task) == ["done", "done"]


def test_people_who_disagree_bring_in_one_more_in_the_tasks_place_of_the_order(task):
    judge(task, 3)
    assert slots(task) == ["done", "open"]
    judge(task, -1)
    assert slots(task) == ["done", "done", "open"]
    first, *_, extra = task.assignments.order_by("slot")
    assert (extra.slot, extra.priority, extra.order_key, extra.random_key) == (
        2,
        first.priority,
        first.order_key,
        first.random_key,
    )


def test_a_majority_settles_it(task):
    judge(task, 3, -1, 2)
    assert slots(task) == ["done"] * 3


def test_it_goes_on_up_to_the_cap_and_no_further(task):
    judge(task, 3, -1, 0)
    assert slots(task) == ["done", "done", "done", "open"]
    judge(task, -2)
    assert slots(task) == ["done"] * 4


def test_a_revision_can_bring_in_one_more_and_take_no_one_away(task):
    first, second = judge(task, 3, 1)
    second = revise(second, answer={"preference": shown(second, -1)}, now=NOW)
    assert slots(task) == ["done", "done", "open"]
    revise(second, answer={"preference": shown(second, 2)}, now=NOW)
    assert slots(task) == ["done", "done", "open"]
    assert first.preference == 3


def test_without_a_cap_nobody_more_is_asked(project):
    task = make_task(make_queue(project, overlap=2))
    judge(task, 3, -3)
    assert slots(task) == ["done", "done"]


def test_gold_asks_nobody_more(project):
    queue = make_queue(project, overlap_cap=3)
    task = make_task(queue, slots=2)
    judge(task, 3)
    make_gold(task)
    assert slots(task) == ["done", "withdrawn"]


def test_one_judgment_agrees_with_itself(project):
    task = make_task(make_queue(project, overlap=1, overlap_cap=3))
    judge(task, 3)
    assert slots(task) == ["done"]


# Overlap of a share of the tasks, and of the evaluation split


def test_a_share_of_the_tasks_gets_the_overlap_and_the_same_prompt_always_the_same(project):
    queue = make_queue(project, overlap=3, overlap_percent=30)
    prompts = [make_prompt(project) for _ in range(200)]
    wanted = [slots_wanted(queue.policy, prompt) for prompt in prompts]
    assert set(wanted) == {1, 3}
    assert abs(wanted.count(3) - 60) <= 20  # three standard deviations
    assert wanted == [slots_wanted(queue.policy, prompt) for prompt in prompts]


def test_the_evaluation_split_has_an_overlap_of_its_own(project):
    queue = make_queue(project, overlap=1, evaluation_overlap=3)
    for split, count in (("train", 1), ("evaluation", 3)):
        prompt = make_prompt(project, split=split)
        task = enqueue_task(queue=queue, prompt=prompt, responses=[make_response(prompt), make_response(prompt)])
        assert task.assignments.count() == count


# Pure functions

RATING = check_schema(
    "rating",
    {"attributes": [{"key": "clear", "label": "Clear"}, {"key": "thumbs", "label": "All in all", "style": "thumbs"}]},
)


@pytest.mark.parametrize(
    ("a", "b", "apart"), [(3, 1, False), (-1, -2, False), (0, 0, False), (1, -1, True), (0, 1, True), (-1, 0, True)]
)
def test_comparisons_disagree_when_their_sides_differ(a, b, apart):
    schema = default_schema("comparison")
    assert disagree(schema, Answer(a), Answer(b)) is apart
    assert disagree(schema, Answer(b), Answer(a)) is apart


@pytest.mark.parametrize(
    ("a", "b", "apart"),
    [
        ([1, 2, 3], [1, 2, 3], False),
        ([1, 2, 3], [1, 1, 1], False),
        ([1, 2, 3], [2, 1, 3], True),
        ([1, 2, None], [None, 1, 2], False),
        ([1, 2, None], [2, 1, None], True),
    ],
)
def test_rankings_disagree_when_a_pair_is_reversed(a, b, apart):
    schema = default_schema("ranking")
    assert disagree(schema, Answer(None, {"ranks": a}), Answer(None, {"ranks": b})) is apart


@pytest.mark.parametrize(
    ("a", "b", "apart"),
    [
        ({"clear": 5}, {"clear": 3}, False),
        ({"clear": 5}, {"clear": 2}, True),
        ({"clear": 5, "thumbs": 1}, {"clear": 5, "thumbs": -1}, True),
        ({"clear": 5, "thumbs": 1}, {"clear": 5}, False),
    ],
)
def test_ratings_disagree_over_two_steps_or_by_thumbs(a, b, apart):
    assert disagree(RATING, Answer(None, {"ratings": [a]}), Answer(None, {"ratings": [b]})) is apart


@pytest.mark.parametrize(
    ("preferences", "enough"),
    [([], True), ([1], True), ([1, -1], False), ([1, -1, 1], True), ([1, -1, 0], False), ([1, 1, -1, -1], False)],
)
def test_more_than_half_settle_a_task(preferences, enough):
    assert settled(default_schema("comparison"), [Answer(preference) for preference in preferences]) is enough
