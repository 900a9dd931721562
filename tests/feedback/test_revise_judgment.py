from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.judging import (
    BadJudgment,
    NotCurrent,
    RevisionClosed,
    SubmissionDiffers,
    SubmissionIdTaken,
    revise_judgment,
)
from feedback.models import Judgment
from feedback.queues import change_guideline, change_policy, change_schema, set_queue_state
from tests.factories import make_judgment, make_member

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def judgment(db):
    return make_judgment(preference=2)


def shown(judgment, preference: int) -> int:
    """Turn a preference in response order into the order in which the person saw the two."""
    return -preference if judgment.display_order == [1, 0] else preference


def revise(judgment, **overrides) -> Judgment:
    values = {
        "judgment": judgment,
        "annotator": judgment.annotator,
        "submission_id": uuid.uuid4(),
        "answer": {"preference": shown(judgment, -1)},
        "rationale": "On second thought.",
        "flags": ["other"],
        "active_seconds": 4.0,
        "interface": "page",
        "now": NOW,
    }
    return revise_judgment(**{**values, **overrides})


def test_a_revision_supersedes_and_the_first_one_stays(judgment):
    revision = revise(judgment)
    assert (revision.revision, revision.supersedes) == (2, judgment)
    assert (revision.preference, revision.rationale) == (-1, "On second thought.")
    assert [flag["flag"] for flag in revision.flags] == ["other"]
    assert (revision.assignment, revision.display_order) == (judgment.assignment, judgment.display_order)
    assert (revision.propensity, revision.arm, revision.arm_propensity) == (
        judgment.propensity,
        judgment.arm,
        judgment.arm_propensity,
    )
    judgment.refresh_from_db()
    assert judgment.preference == 2
    assert list(Judgment.objects.current()) == [revision]


def test_a_revision_carries_the_guidelines_and_policy_of_now(judgment):
    guideline = change_guideline(queue=judgment.queue, text="New.", changed_by=judgment.annotator)
    policy = change_policy(queue=judgment.queue, changed_by=judgment.annotator, lease_minutes=5)
    revision = revise(judgment)
    assert (revision.guideline, revision.policy) == (guideline, policy)


def test_a_revision_answers_what_was_asked_then(judgment):
    change_schema(queue=judgment.queue, content={"allow_tie": False}, changed_by=judgment.annotator)
    revision = revise(judgment, answer={"preference": 0})
    assert (revision.preference, revision.schema) == (0, judgment.schema)


def test_a_revision_can_be_revised(judgment):
    assert revise(revise(judgment)).revision == 3


def test_the_same_submission_again_returns_the_stored_revision(judgment):
    submission_id = uuid.uuid4()
    revision = revise(judgment, submission_id=submission_id)
    assert revise(judgment, submission_id=submission_id, active_seconds=60.0) == revision
    with pytest.raises(SubmissionDiffers):
        revise(judgment, submission_id=submission_id, answer={"preference": 3})
    assert Judgment.objects.current().get() == revision
    assert Judgment.objects.count() == 2


def test_what_has_been_revised_cannot_be_revised_again(judgment):
    revise(judgment)
    with pytest.raises(NotCurrent):
        revise(judgment)


def test_nobody_revises_what_somebody_else_said(judgment):
    with pytest.raises(NotCurrent):
        revise(judgment, annotator=make_member(judgment.queue.project))


def test_a_submission_id_of_another_judgment_is_refused(judgment):
    with pytest.raises(SubmissionIdTaken):
        revise(judgment, submission_id=judgment.submission_id)
    with pytest.raises(SubmissionIdTaken):
        revise(judgment, submission_id=make_judgment().submission_id)


def test_a_bad_preference_is_refused(judgment):
    with pytest.raises(BadJudgment):
        revise(judgment, answer={"preference": 9})
    assert Judgment.objects.count() == 1


def test_a_policy_closes_revisions_after_so_many_hours_from_the_first_submission(judgment):
    change_policy(queue=judgment.queue, changed_by=judgment.annotator, revise_hours=2)
    revision = revise(judgment, now=judgment.created_at + timedelta(hours=2))
    with pytest.raises(RevisionClosed, match="2 hours"):
        revise(revision, now=judgment.created_at + timedelta(hours=2, seconds=1))
    assert Judgment.objects.current().get() == revision


def test_judgments_of_a_closed_queue_stand_and_those_of_a_paused_one_do_not(judgment):
    set_queue_state(queue=judgment.queue, state="paused")
    revision = revise(judgment)
    set_queue_state(queue=judgment.queue, state="closed")
    with pytest.raises(RevisionClosed, match="closed"):
        revise(revision)
