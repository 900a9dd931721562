from __future__ import annotations

import math
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.claims import LeaseLost, claim_next
from feedback.judging import BadJudgment, SubmissionDiffers, SubmissionIdTaken, save_draft, submit_judgment
from feedback.models import Assignment, Draft, Judgment
from feedback.people import create_simulated_annotator
from feedback.queues import change_schema
from tests.factories import make_assignment, make_judgment, make_member, make_queue, make_task

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LATER = NOW + timedelta(minutes=31)


@pytest.fixture
def slot(project, annotator):
    task = make_task(make_queue(project), propensity=0.25)
    return make_assignment(task, annotator, NOW)


def shown(slot, preference: int) -> dict[str, int]:
    """Turn a preference in response order into an answer in the order in which the person sees the two."""
    return {"preference": -preference if slot.display_order == [1, 0] else preference}


def submit(slot, **overrides) -> Judgment:
    values = {
        "assignment_id": slot.pk,
        "annotator": slot.annotator,
        "lease_token": slot.lease_token,
        "submission_id": uuid.uuid4(),
        "answer": {"preference": 2},
        "active_seconds": 7.5,
        "interface": "page",
        "now": NOW + timedelta(minutes=5),
    }
    return submit_judgment(**{**values, **overrides})


def test_a_judgment_is_stored_with_its_provenance(slot):
    judgment = submit(
        slot,
        answer=shown(slot, 2),
        rationale=" Because.\r\nIt is right. ",
        flags=["unsafe", "hallucination", "unsafe"],
    )
    judgment.refresh_from_db()
    assert (judgment.assignment, judgment.task, judgment.queue) == (slot, slot.task, slot.queue)
    assert (judgment.annotator, judgment.revision, judgment.supersedes) == (slot.annotator, 1, None)
    assert (judgment.preference, judgment.rationale) == (2, "Because.\nIt is right.")
    assert judgment.chosen_id == slot.task.texts[1].pk
    assert [flag["flag"] for flag in judgment.flags] == ["hallucination", "unsafe"]
    assert (judgment.active_seconds, judgment.interface) == (7.5, "page")
    assert judgment.display_order == slot.display_order
    assert (judgment.guideline, judgment.policy, judgment.schema) == (slot.guideline, slot.policy, slot.schema)
    assert (judgment.arm, judgment.arm_propensity) == ("priority", 1.0)
    assert judgment.propensity == 0.25
    assert (judgment.simulation_rule, judgment.is_simulated) == ("", False)
    assert judgment.created_at == NOW + timedelta(minutes=5)
    slot.refresh_from_db()
    assert slot.state == Assignment.State.DONE


def test_a_preference_in_display_order_is_turned_by_the_slot(slot):
    left, right = slot.shown_responses
    assert left.pk != right.pk
    assert submit(slot, answer={"preference": -3}).chosen_id == left.pk


def test_a_tie_prefers_neither(slot):
    assert submit(slot, answer={"preference": 0}).chosen_id is None


def test_the_draft_is_gone_after_the_submission(slot):
    save_draft(task=slot.task, annotator=slot.annotator, answer={"preference": 1}, active_seconds=1.0)
    submit(slot)
    assert not Draft.objects.exists()


def test_a_simulated_annotators_judgment_carries_its_rule(project):
    simulated = create_simulated_annotator(project=project, username="sim", rule="prefers the longer one")
    judgment = make_judgment(queue=make_queue(project), annotator=simulated)
    assert judgment.simulation_rule == "prefers the longer one"
    assert list(Judgment.objects.by_people()) == []


def test_the_same_submission_again_returns_the_stored_judgment(slot):
    submission_id = uuid.uuid4()
    first = submit(slot, submission_id=submission_id)
    again = submit(slot, submission_id=submission_id, active_seconds=9.0, now=LATER)
    assert again == first
    assert Judgment.objects.count() == 1


@pytest.mark.parametrize(
    "change", [{"answer": {"preference": -3}}, {"rationale": "On second thought."}, {"flags": ["unsafe"]}]
)
def test_the_same_submission_with_another_content_is_not_passed_off_as_saved(slot, change):
    submission_id = uuid.uuid4()
    first = submit(slot, submission_id=submission_id)
    with pytest.raises(SubmissionDiffers):
        submit(slot, submission_id=submission_id, **change)
    assert Judgment.objects.get() == first


def test_a_submission_id_of_another_judgment_is_refused(slot, project):
    taken = make_judgment(queue=make_queue(project)).submission_id
    with pytest.raises(SubmissionIdTaken):
        submit(slot, submission_id=taken)
    slot.refresh_from_db()
    assert slot.state == Assignment.State.LEASED


def test_a_late_submit_is_told_that_the_slot_is_free_and_keeps_the_text(slot):
    with pytest.raises(LeaseLost) as caught:
        submit(slot, rationale="a long thought", flags=["other"], answer=shown(slot, -1), now=LATER)
    assert caught.value.slot_free
    assert not Judgment.objects.exists()
    draft = Draft.objects.get(task=slot.task, annotator=slot.annotator)
    assert (draft.rationale, draft.preference) == ("a long thought", -1)
    assert [flag["flag"] for flag in draft.flags] == ["other"]


def test_a_late_submit_is_refused_once_the_slot_has_moved_on_and_keeps_the_text(slot, project):
    claim_next(queue=slot.queue, annotator=make_member(project), now=LATER)
    with pytest.raises(LeaseLost) as caught:
        submit(slot, rationale="a long thought", now=LATER)
    assert not caught.value.slot_free
    assert Draft.objects.get(annotator=slot.annotator).rationale == "a long thought"


def test_the_moment_of_expiry_is_too_late(slot):
    with pytest.raises(LeaseLost):
        submit(slot, now=slot.lease_expires_at)


def test_a_token_from_before_the_slot_was_taken_again_is_refused(slot):
    old = slot.lease_token
    again = claim_next(queue=slot.queue, annotator=slot.annotator, now=LATER)
    assert again.pk == slot.pk
    with pytest.raises(LeaseLost):
        submit(slot, lease_token=old, now=LATER)
    assert submit(again, now=LATER).assignment == slot


def test_a_second_judgment_of_the_same_slot_is_refused_and_leaves_no_draft(slot):
    submit(slot)
    with pytest.raises(LeaseLost) as caught:
        submit(slot, answer={"preference": -2})
    assert not caught.value.slot_free
    assert not Draft.objects.exists()


def test_somebody_else_cannot_submit_with_a_stolen_token(slot, project):
    with pytest.raises(LeaseLost):
        submit(slot, annotator=make_member(project))


def test_an_assignment_that_does_not_exist_is_a_lost_lease(slot):
    with pytest.raises(LeaseLost) as caught:
        submit(slot, assignment_id=uuid.uuid4())
    assert not caught.value.slot_free


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("preference", {"answer": {"preference": 4}}),
        ("preference", {"answer": {"preference": -4}}),
        ("preference", {"answer": {"preference": True}}),
        ("preference", {"answer": {"preference": 1.5}}),
        ("rationale", {"rationale": "x" * 10_001}),
        ("rationale", {"rationale": "nul \x00"}),
        ("flags", {"flags": ["boring"]}),
        ("active_seconds", {"active_seconds": -0.1}),
        ("active_seconds", {"active_seconds": math.nan}),
        ("active_seconds", {"active_seconds": math.inf}),
        ("interface", {"interface": "telepathy"}),
    ],
)
def test_bad_values_are_named_and_nothing_is_stored(slot, field, values):
    with pytest.raises(BadJudgment) as caught:
        submit(slot, **values)
    assert caught.value.field == field
    assert not Judgment.objects.exists()
    slot.refresh_from_db()
    assert slot.state == Assignment.State.LEASED


def test_what_was_asked_at_the_claim_counts_not_what_is_asked_now(slot, curator):
    change_schema(queue=slot.queue, content={"allow_tie": False}, changed_by=curator)
    assert submit(slot, answer={"preference": 0}).preference == 0


def test_a_tie_is_refused_where_the_schema_allows_none(project, annotator):
    slot = make_assignment(make_task(make_queue(project, schema={"allow_tie": False})), annotator, NOW)
    with pytest.raises(BadJudgment, match="allows no tie"):
        submit(slot, answer={"preference": 0})
    assert submit(slot, answer=shown(slot, 1)).preference == 1


def test_a_reason_is_asked_for_where_the_schema_requires_one(project, annotator):
    slot = make_assignment(make_task(make_queue(project, schema={"rationale": "required"})), annotator, NOW)
    with pytest.raises(BadJudgment, match="asks for a reason"):
        submit(slot, rationale="  ")
    assert submit(slot, rationale="clear").rationale == "clear"


def test_a_submission_costs_few_statements(slot, django_assert_max_num_queries):
    with django_assert_max_num_queries(10):
        submit(slot)
