"""Gold is made of what is settled: adjudications, and comparisons that several people judged alike."""

from __future__ import annotations

import pytest
from django.utils import timezone

from feedback.gold_sources import SourceRefused, candidates, make_gold_from
from feedback.models import Adjudication, Assignment, AuditEvent, Gold, Judgment, Skip, Task
from feedback.reviewing import review_judgment
from feedback.standings import decide_standing
from feedback.steering import withdraw_task
from tests.factories import make_judgment, make_member, make_prompt, make_queue, make_task, make_user

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def queue(project):
    return make_queue(project)


@pytest.fixture
def people(project):
    return [make_member(project) for _ in range(6)]


@pytest.fixture(autouse=True)
def others(queue, people):
    """The queue has more people than those who vote."""
    for person in [*people, *(make_member(queue.project) for _ in range(3))]:
        make_judgment(queue=queue, annotator=person)


def voted(queue, people, *preferences: int, **values) -> Task:
    task = make_task(queue, slots=len(preferences), **values)
    for person, preference in zip(people, preferences, strict=False):
        make_judgment(task=task, annotator=person, preference=preference)
    return task


def found(queue, votes=3) -> list:
    return [candidate.task for candidate in candidates(queue=queue, source="unanimous", votes=votes)]


def adjudicate(task, preference, **values) -> Adjudication:
    answer = {"preference": preference, "content": {}, "flags": []} if preference is not None else None
    return Adjudication.objects.create(**{"task": task, "answer": answer, "adjudicator": make_user(), **values})


def test_what_several_people_judged_alike_is_proposed_and_made_gold(queue, people, curator):
    task = voted(queue, people, 1, 3, 2)
    (candidate,) = candidates(queue=queue, source="unanimous", votes=3)
    assert (candidate.task, candidate.answer, candidate.people) == (task.pk, {"preference": 2}, 3)
    done = make_gold_from(queue=queue, tasks=[task.pk], source="unanimous", votes=3, created_by=curator, now=NOW)
    (gold,) = done.made
    assert (gold.task, gold.answer, gold.made_from, done.refused) == (task, {"preference": 2}, "unanimous", [])
    assert found(queue) == []
    event = AuditEvent.objects.get(action="gold.make")
    assert (event.actor, event.subject_id) == (curator, str(task.pk))


def test_the_most_votes_come_first_and_fewer_than_asked_do_not_come(queue, people):
    three, five = voted(queue, people, -1, -1, -2), voted(queue, people, 1, 1, 1, 1, 2)
    assert found(queue) == [five.pk, three.pk]
    assert found(queue, votes=5) == [five.pk]
    assert found(queue, votes=6) == []


@pytest.mark.parametrize("preferences", [(1, 1, -1), (1, 1, 0), (0, 0, 0)])
def test_what_is_not_unanimous_is_not_proposed(queue, people, preferences):
    voted(queue, people, *preferences)
    assert found(queue) == []


def test_what_speaks_against_a_task_keeps_it_from_becoming_gold(queue, people, curator):
    rejected, flagged, skipped, taken, kept, suspect, simulated = (
        voted(queue, people, 1, 1, 1),
        make_task(queue, slots=3),
        voted(queue, people, 1, 1, 1),
        voted(queue, people, 1, 1, 1),
        voted(queue, people, 1, 1, 1, prompt=make_prompt(queue.project, split="evaluation")),
        voted(queue, people[3:], 1, 1, 1),
        make_task(queue, slots=3),
    )
    fine = voted(queue, people, 1, 1, 1)
    review_judgment(judgment=rejected.judgments.first(), reviewer=curator, accepted=False, reason="No.")
    for person in people[:3]:
        make_judgment(task=flagged, annotator=person, flags=[{"flag": "off_topic", "kind": "", "response": None}])
    Skip.objects.create(task=skipped, annotator=people[5], kind="review", reason="broken")
    withdraw_task(task=taken, withdrawn_by=curator, now=NOW)
    decide_standing(
        project=queue.project,
        person=people[5],
        decision="suspended",
        reason="Clicks.",
        evidence={},
        decided_by=curator,
        now=NOW,
    )
    for _ in range(3):
        robot = make_member(queue.project, user=make_user(simulation_rule="coin"))
        make_judgment(task=simulated, annotator=robot)
    assert found(queue) == [fine.pk]
    all_of_them = [rejected, flagged, skipped, taken, kept, suspect, simulated]
    done = make_gold_from(
        queue=queue, tasks=[task.pk for task in all_of_them], source="unanimous", votes=3, created_by=curator, now=NOW
    )
    assert done.made == []
    assert {task for task, _ in done.refused} == {task.pk for task in all_of_them}
    assert not Gold.objects.exists()


def test_who_said_otherwise_when_asked_once_more_spoils_it(queue, people):
    task = voted(queue, people, 1, 1, 1)
    again = make_task(queue, prompt=task.prompt, responses=task.texts, repeat_of=task, slots=0)
    Assignment.objects.create(task=again, queue=queue, slot=None, reserved_for=people[0])
    make_judgment(task=again, annotator=people[0], preference=-1)
    assert Judgment.objects.filter(task__repeat_of=task).exists()
    assert found(queue) == []


def test_what_too_many_of_the_queues_people_know_is_not_proposed(queue, people):
    task = voted(queue, people, 1, 1, 1, 1, 1, 1)
    assert found(queue) == []  # 6 of 9 people are more than 60 %
    assert task.judgments.count() == 6


def test_an_adjudication_that_stands_is_proposed_with_its_answer(queue, people, curator):
    task = voted(queue, people, 1, -1)
    adjudicate(task, 3)
    adjudicate(task, -2)
    (candidate,) = candidates(queue=queue, source="adjudicated")
    assert (candidate.task, candidate.answer, candidate.people) == (task.pk, {"preference": -2}, 2)
    (gold,) = make_gold_from(queue=queue, tasks=[task.pk], source="adjudicated", created_by=curator, now=NOW).made
    assert (gold.answer, gold.made_from) == ({"preference": -2}, "adjudicated")


def test_an_adjudication_that_was_taken_back_is_not(queue, people, curator):
    task = voted(queue, people, 1, -1)
    adjudicate(task, 3)
    adjudicate(task, None)
    assert candidates(queue=queue, source="adjudicated") == []
    done = make_gold_from(queue=queue, tasks=[task.pk], source="adjudicated", created_by=curator, now=NOW)
    assert (done.made, len(done.refused)) == ([], 1)


def test_an_adjudicated_ranking_becomes_gold_without_an_edit_or_flags(project, curator):
    task = make_task(make_queue(project, kind="ranking"))
    content = {"ranks": [1, 2, 3], "not_rankable": [False, False, False]}
    Adjudication.objects.create(
        task=task, adjudicator=curator, answer={"preference": None, "content": content, "flags": [{"flag": "x"}]}
    )
    (gold,) = make_gold_from(queue=task.queue, tasks=[task.pk], source="adjudicated", created_by=curator, now=NOW).made
    assert gold.answer == content


@pytest.mark.parametrize(
    ("source", "votes", "field"), [("guess", 3, "source"), ("unanimous", 2, "votes"), ("unanimous", 21, "votes")]
)
def test_nonsense_is_refused(queue, curator, source, votes, field):
    with pytest.raises(SourceRefused) as refused:
        make_gold_from(queue=queue, tasks=[], source=source, votes=votes, created_by=curator, now=NOW)
    assert refused.value.field == field


def test_a_task_of_another_queue_is_left_alone(queue, people, curator):
    task = voted(queue, people, 1, 1, 1)
    other = make_queue(queue.project)
    done = make_gold_from(queue=other, tasks=[task.pk], source="unanimous", votes=3, created_by=curator, now=NOW)
    assert (done.made, done.refused) == ([], [])
