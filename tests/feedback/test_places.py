"""A person goes on from their place in the order, and still gets everything that they should, in the right order."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.claims import claim_next, skip
from feedback.models import Assignment
from feedback.own_work import LEFT_LIMIT, own_progress
from feedback.places import Reader, from_the_front
from feedback.queues import set_queue_state
from feedback.settling import settle_skip
from feedback.steering import set_priority
from tests.factories import make_assignment, make_judgment, make_member, make_queue, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    """Everything wants three judgments, so that what a person has judged stays in the queue for others."""
    return make_queue(project, overlap=3)


def claim(queue, person, now=None) -> Assignment | None:
    return claim_next(queue=queue, annotator=person, now=now or timezone.now())


def judge_next(queue, person, now=None):
    slot = claim(queue, person, now)
    return slot and make_judgment(slot, now=now).task


@pytest.fixture
def place(queue, annotator):
    """Let the annotator judge three tasks of priority 5, 4 and 3; one of 2 and one of 1 are left."""
    tasks = [make_task(queue, priority=float(priority)) for priority in (5, 4, 3, 2, 1)]
    for task in tasks[:3]:
        assert judge_next(queue, annotator) == task
    return tasks


def test_a_person_goes_on_with_what_follows(queue, annotator, place):
    assert judge_next(queue, annotator) == place[3]
    assert judge_next(queue, annotator) == place[4]
    assert judge_next(queue, annotator) is None


def test_a_new_task_is_served_at_once_in_priority_order(queue, annotator, place):
    urgent, middling, last = (make_task(queue, priority=priority) for priority in (9.0, 4.5, 0.0))
    given = [judge_next(queue, annotator) for _ in range(5)]
    assert given == [urgent, middling, place[3], place[4], last]


def test_tasks_of_equal_priority_come_wherever_their_draw_puts_them(queue, annotator):
    for _ in range(6):
        make_task(queue)
        assert judge_next(queue, annotator) is not None
    assert judge_next(queue, annotator) is None


def test_what_somebody_else_gives_back_is_served_in_its_turn(queue, annotator, project, place):
    back = make_task(queue, slots=1, priority=8.0)
    other = claim(queue, make_member(project))
    assert other.task == back
    assert judge_next(queue, annotator) == place[3]
    skip(
        assignment_id=other.pk,
        annotator=other.annotator,
        lease_token=other.lease_token,
        reason="other",
        now=timezone.now(),
    )
    assert judge_next(queue, annotator) == back


def test_a_lease_of_somebody_else_that_runs_out_is_served_in_its_turn(queue, annotator, project, place):
    back = make_task(queue, slots=1, priority=8.0)
    begun = timezone.now()
    claim(queue, make_member(project), begun)
    assert judge_next(queue, annotator, begun) == place[3]
    assert judge_next(queue, annotator, begun + timedelta(minutes=31)) == back


def test_what_a_curator_returns_is_served_in_its_turn(queue, annotator, project, curator, place):
    back = make_task(queue, slots=1, priority=8.0)
    now = timezone.now()
    other = claim(queue, make_member(project), now)
    values = {"assignment_id": other.pk, "annotator": other.annotator, "lease_token": other.lease_token, "now": now}
    taken_out = skip(**values, kind="review", reason="broken")
    assert judge_next(queue, annotator) == place[3]
    settle_skip(skip=taken_out, settlement="return", settled_by=curator, now=timezone.now())
    assert judge_next(queue, annotator) == back


def test_what_a_person_put_off_comes_back_in_its_turn(queue, annotator, place):
    begun = timezone.now()
    slot = claim(queue, annotator, begun)
    values = {"assignment_id": slot.pk, "annotator": annotator, "lease_token": slot.lease_token, "now": begun}
    skip(**values, kind="later", reason="break")
    assert judge_next(queue, annotator, begun) == place[4]
    assert judge_next(queue, annotator, begun + timedelta(minutes=31)) == place[3]


def test_a_task_that_gets_another_priority_moves(queue, annotator, place):
    set_priority(queue=queue, tasks=[place[4]], priority=7.0)
    assert judge_next(queue, annotator) == place[4]
    set_priority(queue=queue, tasks=place[:3], priority=-5.0)
    low = make_task(queue, priority=-1.0)
    assert judge_next(queue, annotator) == place[3]
    assert judge_next(queue, annotator) == low


def test_pausing_and_reopening_loses_nobodys_place(queue, annotator, place):
    set_queue_state(queue=queue, state="paused")
    set_queue_state(queue=queue, state="open")
    assert judge_next(queue, annotator) == place[3]


def test_what_slipped_in_unseen_is_given_before_anybody_is_told_that_nothing_is_left(queue, annotator, place):
    hidden = make_task(queue, priority=9.0)
    hidden.assignments.update(opened_at=timezone.now() - timedelta(days=1))
    given = [judge_next(queue, annotator) for _ in range(4)]
    assert given == [place[3], place[4], hidden, None]


def test_a_large_import_is_served_in_order_too(queue, annotator, place):
    for number in range(70):
        make_task(queue, priority=10.0 + number)
    assert Assignment.objects.filter(priority__gte=10).count() > 200
    assert judge_next(queue, annotator).assignments.first().priority == 79.0


def test_an_order_read_from_the_place_is_the_order_read_from_the_front(queue, project):
    """Many people, random events: what the place gives is what a reading of everything would give."""
    chance = random.Random(7)
    people = [make_member(project) for _ in range(3)]
    now = timezone.now()
    for step in range(120):
        now += timedelta(seconds=chance.choice([1, 30, 600]))
        person = chance.choice(people)
        if chance.random() < 0.3:
            task = make_task(queue, priority=float(chance.randrange(3)))
            task.assignments.update(opened_at=now)
        reader = Reader(queue=queue, annotator=person, now=now)
        mine = Assignment.objects.filter(annotator=person, state="leased")
        first = None if mine.exists() else from_the_front(**reader.who(None)).first()
        slot = claim(queue, person, now)
        if first is not None:
            assert slot.task_id == first.task_id, f"step {step}"
        if slot is None:
            continue
        act = chance.random()
        if act < 0.5:
            make_judgment(slot, now=now)
        elif act < 0.7:
            values = {"assignment_id": slot.pk, "annotator": person, "lease_token": slot.lease_token, "now": now}
            skip(**values, kind=chance.choice(["later", "others"]), reason="other")


def test_progress_counts_from_the_place_and_stops_at_its_limit(queue, annotator, place):
    now = timezone.now()
    assert own_progress(queue=queue, annotator=annotator, now=now).left == 2
    make_task(queue, priority=9.0)
    assert own_progress(queue=queue, annotator=annotator, now=timezone.now()).left == 3
    claim(queue, annotator)
    assert own_progress(queue=queue, annotator=annotator, now=timezone.now()).left == 3
    for _ in range(LEFT_LIMIT + 2):
        make_task(queue, slots=1)
    progress = own_progress(queue=queue, annotator=annotator, now=timezone.now())
    assert (progress.left, progress.left_is_more) == (LEFT_LIMIT + 1, True)


def test_a_claim_costs_the_same_few_statements_after_many_judgments(
    queue, annotator, project, django_assert_max_num_queries
):
    for _ in range(30):
        make_task(queue)
    for _ in range(20):
        judge_next(queue, annotator)
    make_assignment(make_task(queue), make_member(project))
    with django_assert_max_num_queries(12):
        claim(queue, annotator)
