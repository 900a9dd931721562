"""Claims in one process; `test_races` has them compete."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.claims import QueueNotOpen, claim_next, held_slot, skip
from feedback.judging import save_draft
from feedback.models import Assignment, Queue
from feedback.queues import change_guideline, change_policy, set_queue_state
from tests.factories import make_assignment, make_judgment, make_member, make_queue, make_task

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LATER = NOW + timedelta(minutes=31)


@pytest.fixture
def queue(project):
    return make_queue(project)


def test_a_claim_leases_a_slot_with_what_the_person_will_see(queue, annotator):
    task = make_task(queue)
    slot = claim_next(queue=queue, annotator=annotator, now=NOW)
    assert slot.task == task
    assert (slot.state, slot.annotator, slot.leased_at) == (Assignment.State.LEASED, annotator, NOW)
    assert slot.lease_expires_at == NOW + timedelta(minutes=30)
    assert slot.lease_token is not None
    assert sorted(slot.display_order) == [0, 1]
    assert set(slot.shown_responses) == set(task.texts)
    assert (slot.guideline, slot.policy, slot.schema) == (queue.guideline, queue.policy, queue.schema)
    assert (slot.arm, slot.arm_propensity) == ("priority", 1.0)
    assert Assignment.objects.with_task().get(pk=slot.pk).lease_token == slot.lease_token


def test_a_second_claim_returns_the_lease_that_is_held(queue, annotator):
    make_task(queue)
    make_task(queue)
    first = claim_next(queue=queue, annotator=annotator, now=NOW)
    again = claim_next(queue=queue, annotator=annotator, now=NOW + timedelta(minutes=29))
    assert (again.pk, again.lease_token) == (first.pk, first.lease_token)
    assert held_slot(queue=queue, annotator=annotator, now=NOW) == first


def test_an_empty_queue_gives_nothing(queue, annotator):
    assert claim_next(queue=queue, annotator=annotator, now=NOW) is None


def test_the_higher_priority_goes_first(queue, annotator):
    make_task(queue)
    urgent = make_task(queue, priority=1.0)
    make_task(queue, priority=-1.0)
    assert claim_next(queue=queue, annotator=annotator, now=NOW).task == urgent


def test_both_display_orders_are_drawn(queue, project):
    task = make_task(queue, slots=40)
    orders = {tuple(claim_next(queue=queue, annotator=make_member(project), now=NOW).display_order) for _ in range(40)}
    assert task.assignments.filter(state="leased").count() == 40
    assert orders == {(0, 1), (1, 0)}


def test_nobody_gets_a_task_that_they_have_judged(queue, annotator):
    task = make_task(queue, slots=2)
    make_judgment(task=task, annotator=annotator)
    assert claim_next(queue=queue, annotator=annotator, now=NOW) is None
    assert claim_next(queue=queue, annotator=make_member(queue.project), now=NOW).task == task


def test_nobody_gets_a_task_that_they_have_skipped(queue, annotator):
    task = make_task(queue)
    slot = claim_next(queue=queue, annotator=annotator, now=NOW)
    skip(assignment_id=slot.pk, annotator=annotator, lease_token=slot.lease_token, reason="other", now=NOW)
    assert claim_next(queue=queue, annotator=annotator, now=NOW) is None
    assert claim_next(queue=queue, annotator=make_member(queue.project), now=NOW).task == task


def test_a_live_lease_of_somebody_else_is_left_alone(queue, annotator):
    make_assignment(make_task(queue), make_member(queue.project), NOW)
    assert claim_next(queue=queue, annotator=annotator, now=NOW + timedelta(minutes=29)) is None


def test_an_expired_lease_goes_to_the_next_person_with_a_new_token(queue, annotator):
    lost = make_assignment(make_task(queue), make_member(queue.project), NOW)
    slot = claim_next(queue=queue, annotator=annotator, now=LATER)
    assert (slot.pk, slot.annotator) == (lost.pk, annotator)
    assert slot.lease_token != lost.lease_token


def test_an_expired_lease_over_a_draft_comes_back_to_its_person_first(queue, annotator):
    draft_on = make_task(queue, priority=-5.0)
    slot = claim_next(queue=queue, annotator=annotator, now=NOW)
    save_draft(task=draft_on, annotator=annotator, answer={"preference": 1}, rationale="half a", active_seconds=3.0)
    make_task(queue, priority=5.0)
    again = claim_next(queue=queue, annotator=annotator, now=LATER)
    assert again.task == draft_on
    assert again.display_order == slot.display_order
    assert again.lease_token != slot.lease_token


def test_slots_of_another_queue_are_not_offered(queue, annotator):
    make_task(make_queue(queue.project))
    assert claim_next(queue=queue, annotator=annotator, now=NOW) is None


@pytest.mark.parametrize("state", ["paused", "closed"])
def test_a_queue_that_is_not_open_hands_out_nothing_new(queue, annotator, state):
    make_task(queue)
    held_by_other = make_member(queue.project)
    slot = claim_next(queue=queue, annotator=held_by_other, now=NOW)
    set_queue_state(queue=queue, state=state)
    with pytest.raises(QueueNotOpen, match=state):
        claim_next(queue=queue, annotator=annotator, now=NOW)
    stale = Queue(pk=queue.pk, name=queue.name, project=queue.project)  # as read before it was paused
    with pytest.raises(QueueNotOpen):
        claim_next(queue=stale, annotator=annotator, now=NOW)
    assert claim_next(queue=queue, annotator=held_by_other, now=NOW) == slot


def test_a_claim_follows_the_guidelines_and_policy_of_the_moment(queue, annotator, curator):
    make_task(queue)
    guideline = change_guideline(queue=queue, text="Prefer the shorter one.", changed_by=curator)
    policy = change_policy(queue=queue, changed_by=curator, lease_minutes=5)
    slot = claim_next(queue=queue, annotator=annotator, now=NOW)
    assert (slot.guideline, slot.policy) == (guideline, policy)
    assert slot.lease_expires_at == NOW + timedelta(minutes=5)


def test_the_number_of_queries_of_a_claim_does_not_grow_with_the_queue(queue, annotator, django_assert_max_num_queries):
    for _ in range(30):
        make_task(queue)
    with django_assert_max_num_queries(12):
        claim_next(queue=queue, annotator=annotator, now=NOW)
