"""A qualification queue: every task is gold, the pass rule decides once, and a curator's word counts over it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.claims import claim_next
from feedback.eligibility import NotEligible
from feedback.models import Qualification
from feedback.qualifying import QualificationRefused, decide_qualification, standing
from tests.factories import make_gold, make_judgment, make_queue, make_task, make_user

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def quiz(project):
    """Three gold tasks by which the response at place 1 is better; two judgments, half of them right, pass."""
    queue = make_queue(project, is_qualification=True, pass_judgments=2, pass_percent=50)
    for _ in range(3):
        make_gold(make_task(queue))
    return queue


def take_test(queue, person, *preferences: int) -> None:
    for preference in preferences:
        slot = claim_next(queue=queue, annotator=person, now=NOW)
        assert (slot.arm, slot.arm_propensity) == ("gold", 1.0)
        make_judgment(slot, preference=preference)


def test_enough_right_judgments_pass_and_the_test_is_over(quiz, annotator):
    take_test(quiz, annotator, 3, -1)
    decision = Qualification.objects.get()
    assert (decision.passed, decision.right, decision.judged, decision.decided_by) == (True, 1, 2, None)
    assert (decision.person, decision.policy) == (annotator, quiz.policy)
    assert claim_next(queue=quiz, annotator=annotator, now=NOW) is None


def test_too_few_right_judgments_fail_and_say_so(quiz, annotator):
    take_test(quiz, annotator, -3, 0)
    assert not Qualification.objects.get().passed
    with pytest.raises(NotEligible, match="not passed the test") as caught:
        claim_next(queue=quiz, annotator=annotator, now=NOW)
    assert caught.value.code == "qualification_failed"


def test_no_more_is_handed_out_than_the_rule_needs(quiz, annotator):
    first = claim_next(queue=quiz, annotator=annotator, now=NOW)
    second = claim_next(queue=quiz, annotator=annotator, now=NOW, beside=[first.pk])
    assert second.pk != first.pk
    assert claim_next(queue=quiz, annotator=annotator, now=NOW, beside=[first.pk, second.pk]) is None


def test_a_test_task_that_was_lost_comes_back(quiz, annotator):
    first = claim_next(queue=quiz, annotator=annotator, now=NOW)
    again = claim_next(queue=quiz, annotator=annotator, now=NOW + timedelta(hours=1))
    assert (again.pk, again.arm) == (first.pk, "gold")


def test_tasks_without_gold_are_not_part_of_a_test(project, annotator):
    queue = make_queue(project, is_qualification=True)
    make_task(queue)
    assert claim_next(queue=queue, annotator=annotator, now=NOW) is None


def test_standing_says_how_far_a_person_is(quiz, annotator):
    before = standing(queue=quiz, person=annotator)
    assert (before.judged, before.right, before.wanted, before.percent, before.passed) == (0, 0, 2, 50, None)
    take_test(quiz, annotator, 1)
    assert (
        standing(queue=quiz, person=annotator).judged,
        standing(queue=quiz, person=annotator).right,
    ) == (
        1,
        1,
    )
    take_test(quiz, annotator, 1)
    after = standing(queue=quiz, person=annotator)
    assert (after.judged, after.passed, after.by_word) == (2, True, False)


def test_a_curators_word_counts_over_the_rules(quiz, annotator, curator):
    take_test(quiz, annotator, -1, -1)
    word = decide_qualification(
        queue=quiz, person=annotator, passed=True, decided_by=curator, reason="The gold was wrong."
    )
    assert (word.right, word.judged, word.decided_by) == (None, None, curator)
    where = standing(queue=quiz, person=annotator)
    assert (where.passed, where.by_word) == (True, True)
    assert claim_next(queue=quiz, annotator=annotator, now=NOW) is None
    assert Qualification.objects.count() == 2


@pytest.mark.parametrize(
    ("field", "values"),
    [("reason", {"reason": " "}), ("reason", {"reason": "x" * 2_001}), ("passed", {"passed": "no"})],
)
def test_a_word_needs_a_reason_and_a_side(quiz, annotator, curator, field, values):
    good = {"queue": quiz, "person": annotator, "passed": True, "decided_by": curator, "reason": "Known."}
    with pytest.raises(QualificationRefused) as caught:
        decide_qualification(**{**good, **values})
    assert caught.value.field == field
    assert not Qualification.objects.exists()


def test_only_a_test_is_passed(project, annotator, curator):
    with pytest.raises(QualificationRefused, match="no qualification queue"):
        decide_qualification(
            queue=make_queue(project), person=annotator, passed=True, decided_by=curator, reason="Known."
        )


def test_people_take_the_same_test_each_for_themselves(quiz, project, annotator):
    from tests.factories import make_member

    other = make_member(project)
    take_test(quiz, annotator, 1, 1)
    take_test(quiz, other, -1, -1)
    assert standing(queue=quiz, person=annotator).passed
    assert standing(queue=quiz, person=other).passed is False
    assert standing(queue=quiz, person=make_user()).passed is None
