from __future__ import annotations

import pytest
from django.utils import timezone

from feedback.gold import make_gold
from feedback.own_work import own_progress
from tests.factories import make_assignment, make_judgment, make_queue, make_task

pytestmark = pytest.mark.django_db


def progress(queue, annotator):
    return own_progress(queue=queue, annotator=annotator, now=timezone.now())


def test_what_is_left_is_exact_where_nothing_is_mixed_in(project, annotator):
    queue = make_queue(project)
    for _ in range(7):
        make_task(queue)
    make_judgment(make_assignment(annotator=annotator, task=queue.tasks.first()))
    shown = progress(queue, annotator)
    assert (shown.done_today, shown.left, shown.is_rounded) == (1, 6, False)


@pytest.mark.parametrize("rules", [{"gold_percent": 10}, {"newcomer_gold_percent": 10}, {"repeat_percent": 3}])
@pytest.mark.parametrize(("waiting", "left"), [(0, 0), (1, 5), (5, 5), (6, 10), (100, 100), (101, 101)])
def test_what_is_left_is_rounded_up_where_an_exact_count_would_tell_what_is_mixed_in(
    project, annotator, rules, waiting, left
):
    queue = make_queue(project, **rules)
    prompt_task = make_task(queue) if waiting else None
    for _ in range(waiting - 1):
        make_task(queue, prompt=prompt_task.prompt, responses=[link.response for link in prompt_task.links.all()])
    shown = progress(queue, annotator)
    assert (shown.left, shown.is_rounded) == (left, True)


def test_a_test_says_exactly_how_much_of_it_is_left(project, curator, annotator):
    queue = make_queue(project, is_qualification=True, pass_judgments=3)
    for _ in range(3):
        make_gold(task=make_task(queue), answer={"preference": 1}, created_by=curator)
    shown = progress(queue, annotator)
    assert (shown.left, shown.is_rounded) == (3, False)
