"""Curators name people for a queue, and give a task to a person."""

from __future__ import annotations

import pytest
from django.utils import timezone

from feedback.appointing import AppointmentRefused, give_task, name_person, unname_person
from feedback.claims import claim_next, skip
from feedback.models import Assignment, QueueMember
from feedback.queues import set_queue_state
from tests.factories import make_assignment, make_gold, make_judgment, make_member, make_queue, make_task, make_user

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def queue(project):
    return make_queue(project)


def refused(**values) -> str:
    with pytest.raises(AppointmentRefused) as caught:
        give_task(**values)
    return caught.value.field


def test_a_person_is_named_once_and_can_be_taken_off(queue, annotator, curator):
    first = name_person(queue=queue, person=annotator, named_by=curator)
    assert name_person(queue=queue, person=annotator, named_by=make_user()) == first
    unname_person(queue=queue, person=annotator)
    unname_person(queue=queue, person=annotator)
    assert not QueueMember.objects.exists()


def test_only_annotators_of_the_project_are_named(queue, outsider, curator):
    for person in (outsider, curator):
        with pytest.raises(AppointmentRefused, match="no annotator of this project"):
            name_person(queue=queue, person=person, named_by=curator)


def test_a_given_task_comes_before_anything_else_and_to_nobody_else(queue, annotator, project, curator):
    make_task(queue, priority=9.0)
    given = make_task(queue, priority=-9.0)
    slot = give_task(task=given, person=annotator, given_by=curator)
    assert claim_next(queue=queue, annotator=make_member(project), now=NOW).task != given
    assert claim_next(queue=queue, annotator=make_member(project), now=NOW) is None
    claimed = claim_next(queue=queue, annotator=annotator, now=NOW)
    assert (claimed.pk, claimed.arm, claimed.arm_propensity) == (slot.pk, "named", 1.0)


def test_giving_the_same_task_again_returns_the_same_slot(queue, annotator, curator):
    task = make_task(queue, slots=2)
    first = give_task(task=task, person=annotator, given_by=curator)
    assert give_task(task=task, person=annotator, given_by=curator) == first
    assert task.assignments.filter(reserved_for=annotator).count() == 1


def test_a_task_without_an_open_slot_gets_one_more(queue, annotator, curator):
    task = make_task(queue)
    make_judgment(task=task)
    slot = give_task(task=task, person=annotator, given_by=curator)
    assert (slot.slot, slot.reserved_for, slot.state) == (1, annotator, Assignment.State.OPEN)
    assert claim_next(queue=queue, annotator=annotator, now=NOW).pk == slot.pk


def test_a_task_that_the_person_holds_is_theirs_from_now_on(queue, annotator, curator):
    held = make_assignment(make_task(queue), annotator, NOW)
    assert give_task(task=held.task, person=annotator, given_by=curator).pk == held.pk
    assert claim_next(queue=queue, annotator=annotator, now=NOW).pk == held.pk


def test_a_given_task_that_is_left_to_others_goes_to_them(queue, annotator, project, curator):
    task = make_task(queue)
    give_task(task=task, person=annotator, given_by=curator)
    slot = claim_next(queue=queue, annotator=annotator, now=NOW)
    skip(assignment_id=slot.pk, annotator=annotator, lease_token=slot.lease_token, reason="expertise", now=NOW)
    assert claim_next(queue=queue, annotator=annotator, now=NOW) is None
    assert claim_next(queue=queue, annotator=make_member(project), now=NOW).task == task
    assert refused(task=task, person=annotator, given_by=curator) == "person"


def test_a_task_is_not_given_to_who_cannot_do_it(queue, annotator, curator, outsider):
    task = make_task(queue)
    assert refused(task=task, person=outsider, given_by=curator) == "person"
    make_judgment(task=task, annotator=annotator)
    assert refused(task=task, person=annotator, given_by=curator) == "person"


def test_gold_repeats_and_tasks_of_a_closed_queue_are_not_given(queue, annotator, curator):
    task = make_task(queue)
    repeat = make_task(queue, repeat_of=task, slots=0)
    gold = make_task(queue)
    make_gold(gold)
    assert refused(task=repeat, person=annotator, given_by=curator) == "task"
    assert refused(task=gold, person=annotator, given_by=curator) == "task"
    set_queue_state(queue=queue, state="closed")
    assert refused(task=task, person=annotator, given_by=curator) == "task"


def test_a_task_that_is_out_for_review_is_not_given(queue, annotator, project, curator):
    slot = make_assignment(make_task(queue), make_member(project), NOW)
    skip(
        assignment_id=slot.pk,
        annotator=slot.annotator,
        lease_token=slot.lease_token,
        kind="review",
        reason="broken",
        now=NOW,
    )
    assert refused(task=slot.task, person=annotator, given_by=curator) == "task"
