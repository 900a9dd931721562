from __future__ import annotations

import uuid

import pytest
from django.utils import timezone

from feedback.judging import BadJudgment, NotCurrent, SubmissionDiffers, SubmissionIdTaken, revise_judgment
from feedback.models import Judgment
from feedback.queues import change_guideline, change_policy
from tests.factories import make_judgment, make_member

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def judgment(db):
    return make_judgment(preference=2)


def revise(judgment, **overrides) -> Judgment:
    values = {
        "judgment": judgment,
        "annotator": judgment.annotator,
        "submission_id": uuid.uuid4(),
        "preference": -1,
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
    assert (revision.preference, revision.rationale, revision.flags) == (-1, "On second thought.", ["other"])
    assert (revision.assignment, revision.shown_first) == (judgment.assignment, judgment.shown_first)
    assert revision.propensity == judgment.propensity
    judgment.refresh_from_db()
    assert judgment.preference == 2
    assert list(Judgment.objects.current()) == [revision]


def test_a_revision_carries_the_guidelines_and_policy_of_now(judgment):
    guideline = change_guideline(queue=judgment.queue, text="New.", changed_by=judgment.annotator)
    policy = change_policy(queue=judgment.queue, changed_by=judgment.annotator, allow_tie=False)
    revision = revise(judgment)
    assert (revision.guideline, revision.policy) == (guideline, policy)
    with pytest.raises(BadJudgment, match="allows no tie"):
        revise(revision, preference=0)


def test_a_revision_can_be_revised(judgment):
    assert revise(revise(judgment)).revision == 3


def test_the_same_submission_again_returns_the_stored_revision(judgment):
    submission_id = uuid.uuid4()
    revision = revise(judgment, submission_id=submission_id)
    assert revise(judgment, submission_id=submission_id, active_seconds=60.0) == revision
    with pytest.raises(SubmissionDiffers):
        revise(judgment, submission_id=submission_id, preference=3)
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
        revise(judgment, preference=9)
    assert Judgment.objects.count() == 1
