"""Gold wears out: seen by too many, or contradicted by good people. It is taken out of use, and can be put back."""

from __future__ import annotations

import itertools
import uuid

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from feedback.claims import claim_next
from feedback.gold import gold_left
from feedback.gold_marks import read_marks
from feedback.gold_rotation import RetirementRefused, retire_gold, return_gold, rotate_gold, suggestions, uses_of_gold
from feedback.models import Arm, Assignment, AuditEvent, Gold, GoldRetirement, Judgment
from tests.factories import make_gold, make_judgment, make_member, make_queue, make_task, make_user

pytestmark = pytest.mark.django_db

NOW = timezone.now()


class FirstArm:
    """Draws the first arm, and of a list the first."""

    def random(self):
        return 0.0

    def choice(self, those):
        return those[0]


def answer_gold(gold: Gold, person, preference: int = 2) -> Judgment:
    """Judge it as gold: in a slot that was made for the person."""
    slot = Assignment.objects.create(task=gold.task, queue=gold.queue, slot=None, reserved_for=person)
    held = claim_next(queue=gold.queue, annotator=person, now=NOW)
    assert held.pk == slot.pk
    Assignment.objects.filter(pk=slot.pk).update(arm=Arm.GOLD)
    held.refresh_from_db()
    return make_judgment(assignment=held, preference=preference)


@pytest.fixture
def queue(project):
    return make_queue(project, gold_exposure_percent=60, gold_dispute_percent=40)


@pytest.fixture
def all_gold(project):
    """A queue that hands out gold while it has some."""
    return make_queue(project, gold_percent=100)


@pytest.fixture
def people(project):
    return [make_member(project) for _ in range(8)]


def others_judge(queue, people) -> None:
    for person in people:
        make_judgment(queue=queue, annotator=person)


def the_use(gold: Gold):
    return next(use for use in uses_of_gold(gold.queue) if use.gold == gold)


def test_gold_that_most_people_have_seen_is_retired_by_the_rules(queue, people):
    gold = make_gold(make_task(queue))
    fresh = make_gold(make_task(queue))
    others_judge(queue, people)
    for person in people[:4]:
        answer_gold(gold, person)
    assert the_use(gold).exposure == 50
    assert rotate_gold(queue=queue, now=NOW) == []
    answer_gold(gold, people[4])
    (retirement,) = rotate_gold(queue=queue, now=NOW)
    assert (retirement.gold, retirement.reason, retirement.retired_by) == (gold, "exposed", None)
    assert retirement.note == "5 of the queue's 8 people have seen it"
    assert [left.pk for left in gold_left(queue=queue, annotator=make_member(queue.project))] == [fresh.pk]
    event = AuditEvent.objects.get(action="gold.retire")
    assert (event.actor, event.subject_id, event.after["why"]) == (None, str(gold.task_id), "exposed")


def test_retired_gold_is_handed_out_to_nobody_and_put_back_it_is(all_gold, project, curator):
    queue = all_gold
    gold = make_gold(make_task(queue))
    make_task(queue, slots=3)
    retirement = retire_gold(gold=gold, note="Too easy.", retired_by=curator, now=NOW)
    person = make_member(project)
    assert claim_next(queue=queue, annotator=person, now=NOW, chance=FirstArm()).task_id != gold.task_id
    returned = return_gold(gold=gold, note="It was not.", returned_by=curator, now=NOW)
    assert (returned.pk, returned.returned_by) == (retirement.pk, curator)
    other = make_member(project)
    assert claim_next(queue=queue, annotator=other, now=NOW, chance=FirstArm()).task_id == gold.task_id


def test_who_holds_gold_that_is_retired_finishes_it(all_gold, project, curator):
    queue = all_gold
    gold = make_gold(make_task(queue))
    make_task(queue)
    person = make_member(project)
    held = claim_next(queue=queue, annotator=person, now=NOW, chance=FirstArm())
    retire_gold(gold=gold, retired_by=curator, now=NOW)
    assert make_judgment(assignment=held).task_id == gold.task_id


def test_what_a_curator_put_back_the_rules_leave_alone(queue, people, curator):
    gold = make_gold(make_task(queue))
    for person in people:
        answer_gold(gold, person)
    rotate_gold(queue=queue, now=NOW)
    return_gold(gold=gold, returned_by=curator, now=NOW)
    assert rotate_gold(queue=queue, now=NOW) == []
    assert [(use.gold, reason) for use, reason in suggestions(uses_of_gold(queue), queue)] == [(gold, "exposed")]


def test_gold_that_good_people_contradict_is_retired_and_no_longer_counts_against_anybody(queue, people):
    wrong = make_gold(make_task(queue), {"preference": -2})
    right = [make_gold(make_task(queue)) for _ in range(5)]
    for person in people:
        for gold in right:
            answer_gold(gold, person)
        answer_gold(wrong, person)
    use = the_use(wrong)
    assert (use.judged, use.right, use.good, use.good_wrong, use.dispute) == (8, 0, 8, 8, 100)
    mine = Judgment.objects.filter(annotator=people[0])
    assert sum(not mark.right for mark in read_marks(mine, Gold.objects.all())) == 1
    reasons = {retirement.gold: retirement.reason for retirement in rotate_gold(queue=queue, now=NOW)}
    assert reasons.pop(wrong) == "disputed"
    assert set(reasons.values()) == {"exposed"}
    assert [mark.right for mark in read_marks(mine, Gold.objects.all())] == [True] * 5


def test_people_who_miss_most_gold_do_not_dispute_any(queue, people):
    golds = [make_gold(make_task(queue)) for _ in range(6)]
    for person, gold in itertools.product(people, golds):
        answer_gold(gold, person, preference=-2)
    use = the_use(golds[0])
    assert (use.judged, use.good, use.dispute) == (8, 0, 0.0)


def test_below_five_people_nothing_is_said(queue, people):
    gold = make_gold(make_task(queue), {"preference": -2})
    for person in people[:4]:
        answer_gold(gold, person)
    assert rotate_gold(queue=queue, now=NOW) == []


def test_a_test_keeps_its_gold(project, people):
    test = make_queue(project, is_qualification=True, pass_judgments=1)
    gold = make_gold(make_task(test, slots=0))
    for person in people:
        make_judgment(assignment=claim_next(queue=test, annotator=person, now=NOW))
    assert the_use(gold).exposure == 100
    assert rotate_gold(queue=test, now=NOW) == []
    assert suggestions(uses_of_gold(test), test) == []


def test_votes_that_made_the_gold_are_no_evidence(queue, people):
    task = make_task(queue, slots=3)
    for person in people[:3]:
        make_judgment(task=task, annotator=person)
    gold = make_gold(task, made_from="unanimous")
    late = answer_gold(gold, people[3], preference=-1)
    assert [(mark.judgment, mark.right) for mark in read_marks(Judgment.objects.all(), Gold.objects.all())] == [
        (late.pk, False)
    ]
    assert the_use(gold).seen == 4


@pytest.mark.parametrize(
    ("known", "said", "fails"),
    [(2, 1, False), (2, -1, True), (2, 0, True), (0, 0, False), (0, 3, True), (-1, -3, False), (-1, 1, True)],
)
def test_a_comparison_is_right_on_golds_side(project, annotator, known, said, fails):
    gold = make_gold(make_task(make_queue(project)), {"preference": known})
    answer_gold(gold, annotator, preference=said)
    make_judgment(queue=gold.queue, annotator=annotator)
    assert [mark.right for mark in read_marks(Judgment.objects.all(), Gold.objects.all())] == [not fails]


def test_rankings_and_ratings_are_right_as_gold_says(project, annotator):
    ranking = make_task(make_queue(project, kind="ranking"))
    judged = make_judgment(
        task=ranking, annotator=annotator, answer={"ranks": [1, 2, 3], "not_rankable": [False, False, False]}
    )
    reverse = [4 - rank for rank in judged.content["ranks"]]
    make_gold(ranking, {"ranks": reverse, "not_rankable": [False] * 3})
    rating = make_task(make_queue(project, kind="rating"))
    asked = rating.queue.schema.asks.attributes
    values = {attribute.key: 1 if attribute.style == "thumbs" else 4 for attribute in asked}
    fine = make_judgment(task=rating, annotator=annotator, answer={"ratings": [values]})
    make_gold(rating, {"ratings": [{"helpfulness": 5}]})
    assert {mark.judgment: mark.right for mark in read_marks(Judgment.objects.all(), Gold.objects.all())} == {
        judged.pk: False,
        fine.pk: True,
    }


def test_gold_is_retired_once_and_put_back_once(queue, curator):
    gold = make_gold(make_task(queue))
    with pytest.raises(RetirementRefused):
        return_gold(gold=gold, returned_by=curator, now=NOW)
    retire_gold(gold=gold, retired_by=curator, now=NOW)
    with pytest.raises(RetirementRefused):
        retire_gold(gold=gold, retired_by=curator, now=NOW)
    return_gold(gold=gold, returned_by=curator, now=NOW)
    with pytest.raises(RetirementRefused):
        return_gold(gold=gold, returned_by=curator, now=NOW)
    assert AuditEvent.objects.filter(subject_id=str(gold.task_id)).count() == 3  # made, retired, put back


def test_nonsense_is_refused(queue, curator):
    gold = make_gold(make_task(queue))
    for values in ({"reason": "bored"}, {"note": "x" * 2_001}, {"note": "\x00"}):
        with pytest.raises(RetirementRefused):
            retire_gold(gold=gold, retired_by=curator, now=NOW, **values)
    assert not GoldRetirement.objects.exists()


def test_the_table_holds_one_standing_retirement_of_a_known_reason(queue, curator):
    gold = make_gold(make_task(queue))
    retire_gold(gold=gold, retired_by=curator, now=NOW)
    for values, name in (({"reason": "curator"}, "gold_id"), ({"reason": "bored"}, "gold_retirement_reason_is_known")):
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            GoldRetirement.objects.create(gold=gold, **values)
    assert uuid.UUID(str(gold.task_id))


def test_simulated_people_wear_no_gold_out(queue, people):
    gold = make_gold(make_task(queue))
    others_judge(queue, people)
    for _ in range(8):
        answer_gold(gold, make_member(queue.project, user=make_user(simulation_rule="coin")))
    use = the_use(gold)
    assert (use.judged, use.seen, use.people) == (0, 0, 8)
