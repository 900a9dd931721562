"""Whatever curators do in whatever order, a judgment's state is the fold of its log, and undoing restores."""

import random

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from feedback.bulk import BulkRefused, start_bulk, undo_bulk
from feedback.judgment_filter_forms import JudgmentFilter
from feedback.models import AuditEvent, Judgment, Review, Role
from feedback.reviewing import ReviewMovedOn, ReviewRefused, fix_judgment, review_judgment, undo_review
from tests.factories import make_judgment, make_member, make_project, make_queue, make_user

pytestmark = pytest.mark.django_db


def said(review):
    return None if review is None or review.accepted is None else (review.accepted, review.fixed, review.reason)


def fold(judgment):
    """Return what counts by the log alone: a decision counts until it is undone, then what counted before it."""
    before, state = {}, None
    for review in Review.objects.filter(judgment=judgment).order_by("pk"):
        if review.undoes_id is None:
            before[review.pk], state = state, said(review)
        else:
            state = before[review.undoes_id]
    return state


@pytest.mark.parametrize("seed", range(4))
def test_random_sequences(seed):
    chance = random.Random(seed)
    project = make_project()
    queue = make_queue(project)
    curators = [make_member(project, Role.CURATOR) for _ in range(2)]
    judgments = [make_judgment(queue=queue, preference=preference) for preference in (3, 3, -1)]
    bulks, now = [], timezone.now()
    for _ in range(30):
        judgment, person = chance.choice(judgments), chance.choice(curators)
        act = chance.choice(["accept", "reject", "requeue", "fix", "undo", "undo", "bulk", "unbulk"])
        before = {one.pk: fold(one) for one in judgments}
        latest = judgment.reviews.first()
        try:
            if act == "fix":
                answer = {"preference": chance.choice([-3, 0, 2])}
                assert said(fix_judgment(judgment=judgment, reviewer=person, answer=answer))[1]["preference"] in (
                    -3,
                    0,
                    2,
                )
            elif act == "undo" and latest is not None:
                older = judgment.reviews.filter(pk__lt=latest.pk).first()
                restored = undo_review(review=latest, undone_by=person)
                assert said(restored) == said(older)
            elif act == "bulk":
                filters = JudgmentFilter({"strength": "3"}, project=project)
                action = chance.choice(["accept", "reject", "requeue"])
                made = start_bulk(
                    project=project, action=action, filters=filters, reason="All.", started_by=person, now=now
                )
                bulks.append((made, before))
            elif act == "unbulk" and bulks:
                made, was = bulks.pop()
                since = Review.objects.filter(
                    pk__gt=made.reviews.order_by("pk").values_list("pk", flat=True).last() or 0
                )
                untouched = not since.exists()
                undo_bulk(bulk=made, undone_by=person, now=now)
                if untouched:
                    assert {one.pk: fold(one) for one in judgments} == was
            elif act in ("accept", "reject", "requeue"):
                review_judgment(
                    judgment=judgment, reviewer=person, accepted=act == "accept", requeue=act == "requeue",
                    reason="" if act == "accept" else "Look.",
                )  # fmt: skip
        except (ReviewRefused, ReviewMovedOn, BulkRefused):
            assert {one.pk: fold(one) for one in judgments} == before
        for one in judgments:
            assert said(one.reviews.first()) == fold(one)
    decided = Review.objects.count()
    assert AuditEvent.objects.filter(subject="judgment").count() == decided
    told = Judgment.objects.with_review_state().in_bulk([one.pk for one in judgments])
    for one in judgments:
        latest = one.reviews.first()
        assert told[one.pk].review_state == (latest.state if latest else "")


def test_undoing_says_again_what_counted_before():
    judgment, curator = make_judgment(preference=2), make_user()
    review_judgment(judgment=judgment, reviewer=curator, accepted=False, reason="No.")
    fixed = fix_judgment(judgment=judgment, reviewer=curator, answer={"preference": -2})
    restored = undo_review(review=fixed, undone_by=curator)
    assert (restored.accepted, restored.reason, restored.undoes) == (False, "No.", fixed)
    with pytest.raises(ReviewRefused, match="review the judgment anew"):
        undo_review(review=restored, undone_by=curator)


def test_what_somebody_reviewed_since_is_not_undone():
    judgment, curator = make_judgment(), make_user()
    first = review_judgment(judgment=judgment, reviewer=curator, accepted=True)
    other = make_user()
    review_judgment(judgment=judgment, reviewer=other, accepted=False, reason="No.")
    with pytest.raises(ReviewMovedOn, match=other.username):
        undo_review(review=first, undone_by=curator)


def test_nobody_reviews_their_own_judgment():
    judgment = make_judgment()
    for verb, values in ((review_judgment, {"accepted": True}), (fix_judgment, {"answer": {"preference": -1}})):
        with pytest.raises(ReviewRefused) as caught:
            verb(judgment=judgment, reviewer=judgment.annotator, **values)
        assert caught.value.field == "reviewer"


def test_the_database_refuses_it_too():
    judgment = make_judgment()
    with pytest.raises(IntegrityError, match="review_by_somebody_else"), transaction.atomic():
        Review.objects.create(judgment=judgment, reviewer=judgment.annotator, accepted=True)


def test_a_fix_is_checked_by_the_schema_and_differs():
    judgment = make_judgment(preference=2)
    for answer in ({"preference": 9}, {"ranks": [1, 2]}, {"preference": 2}):
        with pytest.raises(ReviewRefused):
            fix_judgment(judgment=judgment, reviewer=make_user(), answer=answer)
    assert not Review.objects.exists()


def test_a_fix_of_a_ranking_counts_in_response_order():
    judgment = make_judgment(queue=make_queue(kind="ranking"), answer={"ranks": [1, 2, 3]})
    review = fix_judgment(judgment=judgment, reviewer=make_user(), answer={"ranks": [3, 3, 1]})
    assert review.fixed["content"]["ranks"] == [2, 2, 1]


def test_a_curator_who_looked_before_another_one_decided_is_told():
    judgment, first, second = make_judgment(), make_user(), make_user()
    review_judgment(judgment=judgment, reviewer=first, accepted=True, seen=None)
    with pytest.raises(ReviewMovedOn, match=first.username):
        review_judgment(judgment=judgment, reviewer=second, accepted=False, reason="No.", seen=None)


def test_the_words_of_a_rejection_can_be_erased():
    judgment = make_judgment()
    review_judgment(judgment=judgment, reviewer=make_user(), accepted=False, reason="You live in Kiel, so you err.")
    Review.objects.update(reason="")
    assert Judgment.objects.rejected().get() == judgment
