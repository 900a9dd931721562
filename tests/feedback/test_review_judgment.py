import uuid

import pytest
from django.utils import timezone

from feedback.judging import revise_judgment
from feedback.models import Judgment, Review
from feedback.reviewing import ReviewRefused, review_judgment
from tests.factories import make_judgment, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def judgment(db):
    return make_judgment()


def test_a_review_is_stored_and_the_latest_one_counts(judgment):
    reviewer = make_user()
    review_judgment(judgment=judgment, reviewer=reviewer, accepted=False, reason="Too fast to have read it.")
    assert Judgment.objects.with_review().get().review_accepted is False
    assert Judgment.objects.rejected().count() == 1
    review_judgment(judgment=judgment, reviewer=reviewer, accepted=True)
    assert Judgment.objects.with_review().get().review_accepted is True
    assert not Judgment.objects.rejected().exists()
    assert Review.objects.count() == 2


def test_a_judgment_without_review_is_not_rejected(judgment):
    assert Judgment.objects.with_review().get().review_accepted is None
    assert not Judgment.objects.rejected().exists()


def test_the_same_review_again_adds_none(judgment):
    reviewer = make_user()
    first = review_judgment(judgment=judgment, reviewer=reviewer, accepted=True)
    assert review_judgment(judgment=judgment, reviewer=reviewer, accepted=True) == first
    assert review_judgment(judgment=judgment, reviewer=make_user(), accepted=True) != first


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2_001, "\x00"])
def test_a_rejection_needs_a_reason(judgment, reason):
    with pytest.raises(ReviewRefused) as caught:
        review_judgment(judgment=judgment, reviewer=make_user(), accepted=False, reason=reason)
    assert caught.value.field == "reason"
    assert not Review.objects.exists()


def test_what_has_been_revised_is_not_reviewed(judgment):
    revise_judgment(
        judgment=judgment,
        annotator=judgment.annotator,
        submission_id=uuid.uuid4(),
        answer={"preference": 0},
        active_seconds=1.0,
        interface="api",
        now=timezone.now(),
    )
    with pytest.raises(ReviewRefused, match="review the revision"):
        review_judgment(judgment=judgment, reviewer=make_user(), accepted=True)
