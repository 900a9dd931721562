from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.claims import LATER, BadSkip, LeaseLost, claim_next, skip
from feedback.models import Assignment, Draft, Skip
from tests.factories import make_assignment, make_member, make_task

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def slot(db):
    return make_assignment(now=NOW)


def pass_over(slot, **overrides):
    values = {
        "assignment_id": slot.pk,
        "annotator": slot.annotator,
        "lease_token": slot.lease_token,
        "reason": "expertise",
        "now": NOW,
    }
    return skip(**{**values, **overrides})


def test_a_skip_says_why_and_frees_the_slot(slot):
    person = slot.annotator
    passed_over = pass_over(slot, note=" It is about chemistry. ")
    assert (passed_over.reason, passed_over.note) == ("expertise", "It is about chemistry.")
    slot.refresh_from_db()
    assert (slot.state, slot.annotator, slot.lease_token) == (Assignment.State.OPEN, None, None)
    assert claim_next(queue=slot.queue, annotator=person, now=NOW) is None


def test_a_skip_keeps_what_was_typed(slot):
    Draft.objects.create(task=slot.task, annotator=slot.annotator, rationale="not sure")
    pass_over(slot)
    assert Draft.objects.get().rationale == "not sure"


def test_an_expired_lease_cannot_be_skipped(slot):
    with pytest.raises(LeaseLost):
        pass_over(slot, now=NOW + timedelta(minutes=31))
    assert not Skip.objects.exists()


def test_a_second_skip_of_the_same_slot_is_refused(slot):
    pass_over(slot)
    with pytest.raises(LeaseLost):
        pass_over(slot)


@pytest.mark.parametrize(
    ("field", "values"),
    [("reason", {"reason": "tired"}), ("note", {"note": "x" * 2_001}), ("note", {"note": "\x00"})],
)
def test_a_skip_needs_a_known_reason_and_a_short_note(slot, field, values):
    with pytest.raises(BadSkip) as caught:
        pass_over(slot, **values)
    assert caught.value.field == field
    slot.refresh_from_db()
    assert slot.state == Assignment.State.LEASED


# What follows a skip


def test_what_is_put_off_comes_back_after_a_while(slot):
    queue, person = slot.queue, slot.annotator
    other = make_task(queue, priority=-1.0, slots=3)
    put_off = pass_over(slot, kind="later")
    assert put_off.until == NOW + LATER
    assert claim_next(queue=queue, annotator=person, now=NOW).task == other
    in_time = NOW + LATER + timedelta(minutes=1)
    assert claim_next(queue=queue, annotator=person, now=in_time).task == slot.task


def test_what_is_put_off_comes_back_before_its_time_when_nothing_else_is_left(slot):
    pass_over(slot, kind="later")
    again = claim_next(queue=slot.queue, annotator=slot.annotator, now=NOW)
    assert (again.pk, again.arm, again.arm_propensity) == (slot.pk, "priority", 1.0)


def test_what_was_put_off_first_comes_back_first(slot):
    queue, person = slot.queue, slot.annotator
    second = make_task(queue, priority=-1.0)
    pass_over(slot, kind="later")
    other = claim_next(queue=queue, annotator=person, now=NOW)
    assert other.task == second
    pass_over(other, kind="later", now=NOW + timedelta(minutes=1))
    assert claim_next(queue=queue, annotator=person, now=NOW + timedelta(minutes=2)).task == slot.task


def test_what_somebody_put_off_goes_to_others_meanwhile(slot):
    pass_over(slot, kind="later")
    other = make_member(slot.queue.project)
    assert claim_next(queue=slot.queue, annotator=other, now=NOW).task == slot.task
    assert claim_next(queue=slot.queue, annotator=slot.annotator, now=NOW) is None


def test_what_is_left_to_others_does_not_come_back(slot):
    pass_over(slot, kind="others")
    much_later = NOW + timedelta(days=9)
    assert claim_next(queue=slot.queue, annotator=slot.annotator, now=much_later) is None


def test_work_before_a_skip_is_kept_for_pay(slot):
    assert pass_over(slot, active_seconds=41.5).active_seconds == 41.5


def test_an_unknown_kind_of_skip_is_refused(slot):
    with pytest.raises(BadSkip) as caught:
        pass_over(slot, kind="never")
    assert caught.value.field == "kind"
