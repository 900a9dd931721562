from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.claims import BadSkip, LeaseLost, claim_next, skip
from feedback.models import Assignment, Draft, Skip
from tests.factories import make_assignment

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
