from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.claims import claim_next, skip
from feedback.filling import enqueue_prompt
from feedback.models import Assignment, Task
from feedback.queues import QueueProgress, QueueRefused, queue_progress
from tests.factories import (
    make_assignment,
    make_judgment,
    make_member,
    make_prompt,
    make_queue,
    make_response,
    make_task,
)

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def queue(project):
    return make_queue(project, overlap=2)


@pytest.fixture
def prompt(project):
    return make_prompt(project)


def test_two_responses_make_one_task_with_a_slot_per_wanted_judgment(queue, prompt):
    responses = [make_response(prompt), make_response(prompt)]
    (task,) = enqueue_prompt(queue=queue, prompt=prompt, responses=responses, priority=2.5)
    assert set(task.texts) == set(responses)
    assert task.propensity == 1.0
    slots = Assignment.objects.filter(task=task)
    assert [(slot.slot, slot.state, slot.priority) for slot in slots.order_by("slot")] == [
        (0, "open", 2.5),
        (1, "open", 2.5),
    ]


def test_the_same_call_again_adds_nothing(queue, prompt):
    responses = [make_response(prompt) for _ in range(5)]
    first = enqueue_prompt(queue=queue, prompt=prompt, responses=responses, pairs=3)
    again = enqueue_prompt(queue=queue, prompt=prompt, responses=reversed(responses), pairs=3)
    assert again == first
    assert (Task.objects.count(), Assignment.objects.count()) == (3, 6)


def test_the_propensity_is_the_share_of_pairs_that_are_drawn(queue, prompt):
    responses = [make_response(prompt) for _ in range(4)]
    drawn = enqueue_prompt(queue=queue, prompt=prompt, responses=responses, pairs=2)
    assert [task.propensity for task in drawn] == [2 / 6, 2 / 6]


def test_every_pair_is_drawn_about_equally_often(queue, project):
    drawn: Counter[frozenset[str]] = Counter()
    for _ in range(120):
        prompt = make_prompt(project)
        responses = [make_response(prompt, text) for text in "abc"]
        (pair,) = enqueue_prompt(queue=queue, prompt=prompt, responses=responses)
        drawn[frozenset(response.text for response in pair.texts)] += 1
    assert len(drawn) == 3
    assert min(drawn.values()) > 20  # 40 expected; 20 is four standard deviations off


def test_all_pairs_are_taken_when_more_are_asked_for_than_there_are(queue, prompt):
    drawn = enqueue_prompt(queue=queue, prompt=prompt, responses=[make_response(prompt) for _ in range(3)], pairs=99)
    assert [task.propensity for task in drawn] == [1.0, 1.0, 1.0]


def test_equal_texts_are_never_compared(queue, prompt):
    same = [make_response(prompt, "Paris."), make_response(prompt, " Paris.\n")]
    assert enqueue_prompt(queue=queue, prompt=prompt, responses=same) == []
    (pair,) = enqueue_prompt(queue=queue, prompt=prompt, responses=[*same, make_response(prompt, "Lyon.")], pairs=3)
    assert pair.propensity == 1.0


def test_one_response_alone_gives_nothing(queue, prompt):
    assert enqueue_prompt(queue=queue, prompt=prompt, responses=[make_response(prompt)]) == []


@pytest.mark.parametrize("field", ["prompt", "responses", "pairs"])
def test_what_does_not_belong_together_is_refused(queue, prompt, field):
    wrong = {
        "prompt": {"prompt": make_prompt()},
        "responses": {"responses": [make_response(prompt), make_response()]},
        "pairs": {"pairs": 0},
    }[field]
    values = {"queue": queue, "prompt": prompt, "responses": [make_response(prompt), make_response(prompt)]}
    with pytest.raises(QueueRefused) as caught:
        enqueue_prompt(**{**values, **wrong})
    assert caught.value.field == field
    assert not Task.objects.exists()


def test_progress_counts_what_stands_with_every_slot(queue, project):
    assert queue_progress(queue, NOW) == QueueProgress(0, 0, 0, 0, 0, 0, 0)
    assert queue_progress(queue, NOW).percent == 0
    make_judgment(task=make_task(queue), now=NOW)
    make_assignment(make_task(queue), make_member(project), NOW)
    person = make_member(project)
    slot = claim_next(queue=queue, annotator=person, now=NOW)
    skip(assignment_id=slot.pk, annotator=person, lease_token=slot.lease_token, reason="other", now=NOW)
    progress = queue_progress(queue, NOW)
    assert progress == QueueProgress(tasks=2, slots=4, done=1, leased=1, open=2, withdrawn=0, skipped=1)
    assert progress.percent == 25
    assert queue_progress(queue, NOW + timedelta(minutes=31)).leased == 0
