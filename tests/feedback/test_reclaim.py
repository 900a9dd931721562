from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.claims import SlotGone, claim_next, reclaim, skip
from feedback.judging import save_draft
from feedback.models import Assignment, Draft, Skip
from feedback.queues import set_queue_state
from tests.factories import make_assignment, make_judgment, make_member, make_task

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LATER = NOW + timedelta(minutes=31)


@pytest.fixture
def slot(project, annotator):
    from tests.factories import make_queue

    return make_assignment(make_task(make_queue(project)), annotator, NOW)


def test_an_expired_lease_is_given_back_with_the_draft_in_place(slot, annotator):
    save_draft(task=slot.task, annotator=annotator, answer={"preference": -1}, rationale="so", active_seconds=2.0)
    again = reclaim(task=slot.task, annotator=annotator, now=LATER)
    assert (again.pk, again.display_order, again.arm) == (slot.pk, slot.display_order, slot.arm)
    assert again.lease_token != slot.lease_token
    assert again.lease_expires_at == LATER + timedelta(minutes=30)
    assert Draft.objects.get(annotator=annotator).rationale == "so"


def test_a_live_lease_is_returned_as_it_is(slot, annotator):
    assert reclaim(task=slot.task, annotator=annotator, now=NOW).lease_token == slot.lease_token


def test_another_free_slot_of_the_task_will_do(slot, annotator, project):
    claim_next(queue=slot.queue, annotator=make_member(project), now=LATER)
    Assignment.objects.create(task=slot.task, queue=slot.queue, slot=1)
    held = reclaim(task=slot.task, annotator=annotator, now=LATER)
    assert held.task_id == slot.task_id
    assert held.annotator == annotator


def test_a_skipped_task_can_be_asked_for_again(slot, annotator):
    skip(assignment_id=slot.pk, annotator=annotator, lease_token=slot.lease_token, reason="other", now=NOW)
    assert reclaim(task=slot.task, annotator=annotator, now=NOW).annotator == annotator
    assert Skip.objects.get().taken_back_at == NOW
    assert not Skip.objects.standing().exists()


def test_a_slot_that_others_have_taken_is_gone(slot, annotator, project):
    claim_next(queue=slot.queue, annotator=make_member(project), now=LATER)
    with pytest.raises(SlotGone, match="other people have taken every slot"):
        reclaim(task=slot.task, annotator=annotator, now=LATER)


def test_a_task_is_judged_once(slot, annotator):
    make_judgment(slot)
    Assignment.objects.create(task=slot.task, queue=slot.queue, slot=1)
    with pytest.raises(SlotGone, match="already judged"):
        reclaim(task=slot.task, annotator=annotator, now=NOW)


def test_a_paused_queue_gives_nothing_back_and_keeps_the_text(slot, annotator):
    set_queue_state(queue=slot.queue, state="paused")
    with pytest.raises(SlotGone, match="the queue is paused"):
        reclaim(task=slot.task, annotator=annotator, now=LATER)
