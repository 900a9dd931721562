"""What annotators take out for review waits for a curator, who returns it or leaves it out for good."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.appointing import give_task
from feedback.claims import SlotGone, claim_next, reclaim, skip
from feedback.models import Assignment, Skip
from feedback.settling import AlreadySettled, SettlementRefused, settle_skip
from tests.factories import make_assignment, make_member, make_queue, make_task

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LATER = NOW + timedelta(minutes=31)


@pytest.fixture
def slot(project, annotator):
    return make_assignment(make_task(make_queue(project, overlap=3)), annotator, NOW)


def take_out(slot, kind="review", now=NOW) -> Skip:
    return skip(
        assignment_id=slot.pk,
        annotator=slot.annotator,
        lease_token=slot.lease_token,
        kind=kind,
        reason="broken",
        now=now,
    )


def states(task) -> list[str]:
    return list(task.assignments.order_by("slot").values_list("state", flat=True))


def test_a_task_that_is_taken_out_goes_to_nobody(slot, project):
    take_out(slot)
    assert states(slot.task) == ["withdrawn"] * 3
    assert claim_next(queue=slot.queue, annotator=make_member(project), now=NOW) is None


def test_who_holds_it_meanwhile_finishes_and_nobody_gets_their_slot_after(slot, project):
    other = claim_next(queue=slot.queue, annotator=make_member(project), now=NOW)
    take_out(slot)
    assert claim_next(queue=slot.queue, annotator=other.annotator, now=NOW) == other
    assert claim_next(queue=slot.queue, annotator=make_member(project), now=LATER) is None
    take_out(other, kind="others")
    assert states(slot.task) == ["withdrawn"] * 3


def test_a_returned_task_goes_to_others_than_who_took_it_out(slot, project, curator):
    settled = settle_skip(skip=take_out(slot), settlement="return", settled_by=curator, now=NOW)
    assert (settled.settlement, settled.settled_by, settled.settled_at) == ("return", curator, NOW)
    assert states(slot.task) == ["open"] * 3
    assert claim_next(queue=slot.queue, annotator=slot.annotator, now=NOW) is None
    assert claim_next(queue=slot.queue, annotator=make_member(project), now=NOW).task == slot.task


def test_a_slot_that_a_curator_gave_to_somebody_is_theirs_again_after_the_return(slot, project, curator):
    other = make_member(project)
    given = give_task(task=slot.task, person=other, given_by=curator)
    taken_out = take_out(slot)
    assert claim_next(queue=slot.queue, annotator=other, now=NOW) is None
    settle_skip(skip=taken_out, settlement="return", settled_by=curator, now=NOW)
    assert claim_next(queue=slot.queue, annotator=other, now=NOW).pk == given.pk


def test_a_discarded_task_stays_out_for_good(slot, project, curator):
    settle_skip(skip=take_out(slot), settlement="discard", settled_by=curator, now=NOW)
    assert states(slot.task) == ["withdrawn"] * 3
    assert claim_next(queue=slot.queue, annotator=make_member(project), now=NOW) is None
    with pytest.raises(SlotGone):
        reclaim(task=slot.task, annotator=slot.annotator, now=NOW)


def test_settling_answers_everybody_who_took_the_task_out(slot, project, curator):
    other = claim_next(queue=slot.queue, annotator=make_member(project), now=NOW)
    first, second = take_out(slot), take_out(other)
    settle_skip(skip=first, settlement="return", settled_by=curator, now=NOW)
    second.refresh_from_db()
    assert second.settlement == "return"


def test_who_took_it_out_can_take_it_back_while_nobody_has_settled_it(slot, annotator):
    taken_out = take_out(slot)
    assert reclaim(task=slot.task, annotator=annotator, now=NOW).task == slot.task
    assert states(slot.task).count("open") == 2
    with pytest.raises(AlreadySettled):
        settle_skip(skip=taken_out, settlement="return", settled_by=annotator, now=NOW)


def test_one_cannot_take_back_what_another_took_out_too(slot, project, annotator):
    other = claim_next(queue=slot.queue, annotator=make_member(project), now=NOW)
    take_out(slot)
    take_out(other)
    with pytest.raises(SlotGone):
        reclaim(task=slot.task, annotator=annotator, now=NOW)
    assert states(slot.task) == ["withdrawn"] * 3


def test_a_task_is_settled_once(slot, curator):
    taken_out = take_out(slot)
    settle_skip(skip=taken_out, settlement="return", settled_by=curator, now=NOW)
    with pytest.raises(AlreadySettled):
        settle_skip(skip=taken_out, settlement="discard", settled_by=curator, now=NOW)
    assert states(slot.task) == ["open"] * 3


@pytest.mark.parametrize(
    ("kind", "settlement", "field"), [("review", "burn", "settlement"), ("later", "return", "skip")]
)
def test_only_a_review_is_settled_and_in_two_ways(slot, curator, kind, settlement, field):
    with pytest.raises(SettlementRefused) as caught:
        settle_skip(skip=take_out(slot, kind), settlement=settlement, settled_by=curator, now=NOW)
    assert caught.value.field == field
    assert not Skip.objects.filter(settled_at__isnull=False).exists()
    assert Assignment.objects.filter(state="done").count() == 0
