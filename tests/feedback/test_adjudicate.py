import pytest
from django.utils import timezone

from feedback.adjudicating import (
    AdjudicationMovedOn,
    AdjudicationRefused,
    adjudicate,
    adjudication_of,
    answer_of,
    take_back,
)
from feedback.claims import SlotGone, claim_next, reclaim, skip
from feedback.gold import gold_left
from feedback.models import Adjudication, Assignment, AuditEvent, Role
from feedback.models.append_only import AppendOnly
from tests.factories import make_assignment, make_gold, make_judgment, make_member, make_queue, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def judgment(db):
    return make_judgment(preference=2)


@pytest.fixture
def curator(judgment):
    return make_member(judgment.queue.project, Role.CURATOR)


def settle(judgment, curator, preference=-1, **how):
    return adjudicate(
        task=judgment.task, adjudicator=curator, answer={"preference": preference}, now=timezone.now(), **how
    )


def test_an_adjudication_is_stored_in_response_order_and_the_latest_one_counts(judgment, curator):
    settle(judgment, curator, -1)
    second = settle(judgment, curator, 3, reason="The left one is wrong about the year.")
    assert adjudication_of(judgment.task) == second
    assert answer_of(second).preference == 3
    assert list(Adjudication.objects.standing()) == [second]
    assert Adjudication.objects.count() == 2


def test_every_adjudication_is_in_the_audit_log_with_before_and_after(judgment, curator):
    settle(judgment, curator, -1)
    settle(judgment, curator, 3, reason="Look at the year.")
    event = AuditEvent.objects.about("task", judgment.task_id).first()
    assert (event.action, event.actor, event.reason) == ("task.adjudicate", curator, "Look at the year.")
    assert (event.before["preference"], event.after["preference"]) == (-1, 3)


def test_the_same_again_adds_none(judgment, curator):
    assert settle(judgment, curator) == settle(judgment, curator)
    assert AuditEvent.objects.acting("task").count() == 1


def test_an_adjudication_is_taken_back_and_stays_in_the_table(judgment, curator):
    settle(judgment, curator)
    take_back(task=judgment.task, adjudicator=curator, now=timezone.now())
    assert adjudication_of(judgment.task) is None
    assert not Adjudication.objects.standing().exists()
    assert Adjudication.objects.count() == 2
    assert AuditEvent.objects.first().action == "task.adjudication_taken_back"


def test_taking_back_what_is_not_there_changes_nothing(judgment, curator):
    assert take_back(task=judgment.task, adjudicator=curator, now=timezone.now()) is None
    assert not Adjudication.objects.exists()
    assert not AuditEvent.objects.acting("task").exists()


def test_whoever_judged_the_task_does_not_adjudicate_it(judgment):
    with pytest.raises(AdjudicationRefused) as caught:
        settle(judgment, judgment.annotator)
    assert caught.value.field == "adjudicator"
    assert not Adjudication.objects.exists()


def test_whoever_has_the_task_before_them_does_not_adjudicate_it(judgment):
    task = make_task(judgment.queue)
    holder = make_assignment(task).annotator
    with pytest.raises(AdjudicationRefused, match="have it before you"):
        adjudicate(task=task, adjudicator=holder, answer={"preference": 1}, now=timezone.now())


@pytest.mark.parametrize(
    "answer", [{}, {"preference": 4}, {"preference": "2"}, {"preference": True}, {"ranks": [1, 2]}, "left", None]
)
def test_an_answer_that_the_label_schema_does_not_allow_is_refused(judgment, curator, answer):
    with pytest.raises(AdjudicationRefused):
        adjudicate(task=judgment.task, adjudicator=curator, answer=answer, now=timezone.now())
    assert not Adjudication.objects.exists()


@pytest.mark.parametrize("reason", ["x" * 2_001, "\x00"])
def test_a_reason_that_cannot_be_kept_is_refused(judgment, curator, reason):
    with pytest.raises(AdjudicationRefused) as caught:
        settle(judgment, curator, reason=reason)
    assert caught.value.field == "reason"


def test_a_second_curator_who_looked_before_the_first_one_is_told(judgment, curator):
    other = make_member(judgment.queue.project, Role.CURATOR)
    settle(judgment, curator, -1, seen=None)
    with pytest.raises(AdjudicationMovedOn, match=curator.username):
        settle(judgment, other, 2, seen=None)
    assert answer_of(adjudication_of(judgment.task)).preference == -1


def test_a_ranking_is_adjudicated_by_its_ranks_without_gaps(db):
    task = make_task(make_queue(kind="ranking"))
    made = adjudicate(
        task=task,
        adjudicator=make_member(task.queue.project, Role.CURATOR),
        answer={"ranks": [1, 3, 3]},
        now=timezone.now(),
    )
    assert answer_of(made).content["ranks"] == [1, 2, 2]


def test_an_adjudication_is_never_changed(judgment, curator):
    made = settle(judgment, curator)
    with pytest.raises(AppendOnly):
        made.save()


def test_whoever_adjudicated_a_task_is_not_asked_to_judge_it(judgment, curator):
    """Not by the queue's order, at random, as gold, by name nor after they had put it off; others still are."""
    project, now = judgment.queue.project, timezone.now()
    make_member(project, user=curator)
    for rules in ({"random_percent": 0}, {"random_percent": 100, "repeat_percent": 0}):
        queue = make_queue(project, overlap=2, **rules)
        task, other = make_task(queue), make_task(queue)
        adjudicate(task=task, adjudicator=curator, answer={"preference": 1}, now=now)
        take_back(task=task, adjudicator=curator, now=now)  # they have seen what was said all the same
        make_judgment(claim_next(queue=queue, annotator=curator, now=now))
        assert list(curator.judgments.filter(queue=queue).values_list("task", flat=True)) == [other.pk]
        assert claim_next(queue=queue, annotator=curator, now=now) is None
        with pytest.raises(SlotGone, match="adjudicated"):
            reclaim(task=task, annotator=curator, now=now)
        assert claim_next(queue=queue, annotator=make_member(project), now=now) is not None
    gold = make_gold(make_task(queue)).task
    assert [one.task for one in gold_left(queue=queue, annotator=curator)] == [gold]
    adjudicate(task=gold, adjudicator=curator, answer={"preference": 1}, now=now)
    assert not gold_left(queue=queue, annotator=curator).exists()


def test_neither_what_was_put_off_nor_what_was_given_comes_back_after_an_adjudication(judgment, curator):
    project, now = judgment.queue.project, timezone.now()
    make_member(project, user=curator)
    queue = make_queue(project, overlap=2)
    task = make_task(queue)
    held = claim_next(queue=queue, annotator=curator, now=now)
    skip(
        assignment_id=held.pk, annotator=curator, lease_token=held.lease_token, kind="later", reason="other", now=now
    )  # fmt: skip
    given = Assignment(task=make_task(make_queue(project)), slot=None, reserved_for=curator)
    given.queue = given.task.queue
    given.save()
    given.task.assignments.exclude(pk=given.pk).update(state="withdrawn")
    for each in (task, given.task):
        adjudicate(task=each, adjudicator=curator, answer={"preference": 1}, now=now)
        assert claim_next(queue=each.queue, annotator=curator, now=now) is None
