from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.claims import LeaseLost, renew_lease
from tests.factories import make_assignment, make_judgment, make_member

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def slot(db):
    return make_assignment(now=NOW)


def renew(slot, **overrides):
    values = {"assignment_id": slot.pk, "annotator": slot.annotator, "lease_token": slot.lease_token, "now": NOW}
    return renew_lease(**{**values, **overrides})


def test_a_renewed_lease_runs_anew_from_now(slot):
    renewed = renew(slot, now=NOW + timedelta(minutes=29))
    assert renewed.lease_expires_at == NOW + timedelta(minutes=59)
    assert renewed.lease_token == slot.lease_token


def test_an_expired_lease_is_not_renewed(slot):
    with pytest.raises(LeaseLost) as caught:
        renew(slot, now=NOW + timedelta(minutes=31))
    assert caught.value.slot_free


def test_somebody_elses_lease_is_not_renewed(slot):
    with pytest.raises(LeaseLost):
        renew(slot, annotator=make_member(slot.queue.project))


def test_an_old_token_does_not_renew(slot):
    with pytest.raises(LeaseLost):
        renew(slot, lease_token=uuid.uuid4())


def test_a_judged_slot_is_not_renewed(slot):
    make_judgment(slot)
    with pytest.raises(LeaseLost) as caught:
        renew(slot)
    assert not caught.value.slot_free
