from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.answers import Answer, to_shown
from feedback.appointing import AppointmentRefused, give_task
from feedback.claims import SlotGone, claim_next, reclaim, skip
from feedback.gold import make_gold
from feedback.judging import revise_judgment
from feedback.models import Assignment, Response, Skip
from feedback.settling import AlreadySettled
from feedback.steering import (
    SteeringRefused,
    return_task,
    set_priority,
    set_priority_by_tag,
    settle_naming,
    withdraw_task,
)
from tests.factories import make_assignment, make_judgment, make_member, make_prompt, make_queue, make_task

pytestmark = pytest.mark.django_db


def states(task) -> list[str]:
    return sorted(task.assignments.values_list("state", flat=True))


def claim(queue, annotator):
    return claim_next(queue=queue, annotator=annotator, now=timezone.now())


def test_a_task_with_a_higher_priority_is_claimed_first(project, annotator):
    queue = make_queue(project, random_percent=0, repeat_percent=0)
    tasks = [make_task(queue) for _ in range(5)]
    assert set_priority(queue=queue, tasks=[tasks[3]], priority=7.5) == 1
    assert claim(queue, annotator).task == tasks[3]


def test_priority_is_set_by_the_very_tag(project):
    queue = make_queue(project)
    tagged = [make_task(queue, prompt=make_prompt(project, tags=tags)) for tags in (["köln"], ["köln", "a"], ["köl"])]
    elsewhere = make_task(make_queue(project), prompt=tagged[0].prompt)
    assert set_priority_by_tag(queue=queue, tag=" köln ", priority=3) == 2
    assert [task.assignments.get().priority for task in (*tagged, elsewhere)] == [3, 3, 0, 0]


@pytest.mark.parametrize("priority", [float("nan"), float("inf"), 1e7, -1e7])
def test_a_priority_that_is_no_plain_number_is_refused(project, priority):
    queue = make_queue(project)
    with pytest.raises(SteeringRefused, match="priority: give a number"):
        set_priority(queue=queue, tasks=[make_task(queue)], priority=priority)


def test_a_task_of_another_queue_is_refused_and_nothing_is_set(project):
    queue = make_queue(project)
    mine, other = make_task(queue), make_task(make_queue(project))
    with pytest.raises(SteeringRefused, match="another queue"):
        set_priority(queue=queue, tasks=[mine, other], priority=1)
    assert mine.assignments.get().priority == 0


@pytest.mark.parametrize("tag", ["", "  ", "nowhere"])
def test_a_tag_that_no_task_has_is_refused(project, tag):
    queue = make_queue(project)
    make_task(queue)
    with pytest.raises(SteeringRefused, match="tag: "):
        set_priority_by_tag(queue=queue, tag=tag, priority=1)


def test_withdrawing_takes_out_what_nobody_holds(project, curator):
    task = make_task(make_queue(project, overlap=4))
    make_judgment(task=task)
    live = make_assignment(task)
    expired = make_assignment(task)
    now = timezone.now()
    Assignment.objects.filter(pk=expired.pk).update(lease_expires_at=now - timedelta(seconds=1))
    assert withdraw_task(task=task, withdrawn_by=curator, now=now) == 2
    assert states(task) == ["done", "leased", "withdrawn", "withdrawn"]
    assert task.assignments.get(state="leased") == live
    assert claim(task.queue, make_member(project)) is None


def test_what_was_in_hand_goes_to_nobody_else_when_its_lease_runs_out(project, curator, annotator):
    task = make_task(make_queue(project))
    held = make_assignment(task, annotator)
    now = timezone.now()
    withdraw_task(task=task, withdrawn_by=curator, now=now)
    later = now + timedelta(hours=2)
    assert claim_next(queue=task.queue, annotator=make_member(project), now=later) is None
    assert claim_next(queue=task.queue, annotator=annotator, now=later).pk == held.pk
    again = Assignment.objects.get(pk=held.pk)
    token = again.lease_token
    skip(assignment_id=held.pk, annotator=annotator, lease_token=token, reason="other", now=later)
    assert states(task) == ["withdrawn"]


def test_a_returned_task_that_is_in_hand_goes_to_others_when_its_lease_runs_out(project, curator, annotator):
    task = make_task(make_queue(project))
    held = make_assignment(task, annotator)
    now = timezone.now()
    withdraw_task(task=task, withdrawn_by=curator, now=now)
    return_task(task=task, returned_by=curator, now=now)
    other = claim_next(queue=task.queue, annotator=make_member(project), now=now + timedelta(hours=2))
    assert other.pk == held.pk


def test_gold_that_was_taken_out_is_drawn_no_more_until_it_is_returned(project, curator, annotator):
    queue = make_queue(project, is_qualification=True)
    task = make_task(queue)
    make_gold(task=task, answer={"preference": 2}, created_by=curator)
    withdraw_task(task=task, withdrawn_by=curator, now=timezone.now())
    assert claim(queue, annotator) is None
    return_task(task=task, returned_by=curator, now=timezone.now())
    assert claim(queue, annotator).task == task


def test_a_judged_task_that_was_taken_out_asks_nobody_more_when_a_judgment_is_revised(project, curator):
    task = make_task(make_queue(project, overlap=2, overlap_cap=3))
    first = make_judgment(task=task, preference=2)
    make_judgment(task=task, preference=2)
    withdraw_task(task=task, withdrawn_by=curator, now=timezone.now())
    shown = to_shown(Answer(-2), first.display_order)
    revise_judgment(
        judgment=first,
        annotator=first.annotator,
        submission_id=uuid.uuid4(),
        answer={"preference": shown.preference},
        active_seconds=1.0,
        interface="page",
        now=timezone.now(),
    )
    assert states(task) == ["done", "done"]


def test_a_task_that_was_taken_out_is_given_to_nobody(project, curator, annotator):
    task = make_task(make_queue(project))
    withdraw_task(task=task, withdrawn_by=curator, now=timezone.now())
    with pytest.raises(AppointmentRefused, match="return it first"):
        give_task(task=task, person=annotator, given_by=curator)


def test_nobody_more_is_asked_about_a_task_that_was_taken_out(project, curator):
    task = make_task(make_queue(project, overlap=3, overlap_cap=5))
    make_judgment(task=task, preference=-3)
    held = make_assignment(task)
    withdraw_task(task=task, withdrawn_by=curator, now=timezone.now())
    make_judgment(held, preference=3)
    assert states(task) == ["done", "done", "withdrawn"]


def test_what_was_taken_out_is_opened_again(project, curator, annotator):
    task = make_task(make_queue(project, overlap=2))
    withdraw_task(task=task, withdrawn_by=curator, now=timezone.now())
    assert return_task(task=task, returned_by=curator, now=timezone.now()) == 2
    assert claim(task.queue, annotator).task == task


def test_withdrawing_settles_what_was_up_for_review_so_that_nobody_brings_it_back(project, curator, annotator):
    task = make_task(make_queue(project))
    held = make_assignment(task, annotator)
    now = timezone.now()
    skip(
        assignment_id=held.pk,
        annotator=annotator,
        lease_token=held.lease_token,
        kind="review",
        reason="broken",
        now=now,
    )
    withdraw_task(task=task, withdrawn_by=curator, now=now)
    settled = Skip.objects.get()
    assert (settled.settlement, settled.settled_by, settled.settled_at) == ("discard", curator, now)
    with pytest.raises(SlotGone):
        reclaim(task=task, annotator=annotator, now=now)
    assert states(task) == ["withdrawn"]


def naming(task):
    response = task.texts[0]
    Response.objects.filter(pk=response.pk).update(names_itself="I am ChatGPT")
    return response


def test_every_task_that_shows_a_response_which_names_its_model_is_taken_out(project, curator):
    task = make_task(make_queue(project))
    response = naming(task)
    again = make_task(make_queue(project, kind="correction"), prompt=task.prompt, responses=[response])
    other = make_task(task.queue)
    now = timezone.now()
    assert settle_naming(response=response, settlement="discard", settled_by=curator, now=now) == 2
    assert [states(one) for one in (task, again, other)] == [["withdrawn"], ["withdrawn"], ["open"]]
    response.refresh_from_db()
    assert (response.naming_settlement, response.naming_settled_by) == ("discard", curator)


def test_a_response_that_names_its_model_may_stay(project, curator):
    task = make_task(make_queue(project))
    assert settle_naming(response=naming(task), settlement="leave", settled_by=curator, now=timezone.now()) == 0
    assert states(task) == ["open"]


def test_what_is_decided_is_decided_once(project, curator):
    task = make_task(make_queue(project))
    response = naming(task)
    settle_naming(response=response, settlement="leave", settled_by=curator, now=timezone.now())
    with pytest.raises(AlreadySettled):
        settle_naming(response=response, settlement="discard", settled_by=curator, now=timezone.now())
    assert states(task) == ["open"]


def test_an_unknown_decision_and_a_response_that_names_nobody_are_refused(project, curator):
    task = make_task(make_queue(project))
    with pytest.raises(SteeringRefused, match="settlement: 'burn' is not one of"):
        settle_naming(response=naming(task), settlement="burn", settled_by=curator, now=timezone.now())
    with pytest.raises(AlreadySettled):
        settle_naming(response=task.texts[1], settlement="leave", settled_by=curator, now=timezone.now())


def test_who_passes_a_task_over_for_review_after_it_was_taken_out_does_not_bring_it_back(project, annotator, curator):
    task, now = make_task(make_queue(project), slots=2), timezone.now()
    held = make_assignment(task, annotator, now=now)
    withdraw_task(task=task, withdrawn_by=curator, now=now)
    skip(
        assignment_id=held.pk,
        annotator=annotator,
        lease_token=held.lease_token,
        kind="review",
        reason="broken",
        now=now,
    )
    with pytest.raises(SlotGone):
        reclaim(task=task, annotator=annotator, now=now)
    assert states(task) == ["withdrawn", "withdrawn"]
