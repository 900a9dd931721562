"""Every act of a curator leaves an event in the audit log, and what changes nothing leaves none."""

import pytest
from django.utils import timezone

from feedback.appointing import give_task, name_person, unname_person
from feedback.gold import make_gold
from feedback.models import AuditEvent, Role, Skip
from feedback.people import add_member, remove_member, verify_expertise, withdraw_expertise
from feedback.qualifying import decide_qualification
from feedback.queues import change_guideline, change_policy, change_schema, set_queue_state
from feedback.reviewing import fix_judgment, review_judgment, undo_review
from feedback.settling import settle_skip
from feedback.steering import return_task, set_priority, set_priority_by_tag, settle_naming, withdraw_task
from tests.factories import (
    make_judgment,
    make_member,
    make_project,
    make_prompt,
    make_queue,
    make_response,
    make_task,
    make_user,
)

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def project(db):
    return make_project()


@pytest.fixture
def curator(project):
    return make_member(project, Role.CURATOR)


def latest(project):
    event = AuditEvent.objects.in_project(project).first()
    return event.action, event.subject, event.before, event.after


def test_what_is_done_to_a_queue(project, curator):
    queue = make_queue(project, created_by=curator)
    assert latest(project)[:2] == ("queue.open", "queue")
    change_guideline(queue=queue, text="Prefer the true one.", changed_by=curator)
    action, _, before, after = latest(project)
    assert action == "queue.change_guidelines"
    assert (before["version"], after) == (1, {"version": 2, "text": "Prefer the true one."})
    change_schema(queue=queue, content={"allow_tie": False}, changed_by=curator)
    assert latest(project)[2:] == ({"version": 1, "allow_tie": True}, {"version": 2, "allow_tie": False})
    change_policy(queue=queue, changed_by=curator, overlap=3)
    assert latest(project)[2:] == ({"overlap": 1}, {"overlap": 3})
    set_queue_state(queue=queue, state="paused", set_by=curator)
    assert latest(project) == ("queue.set_state", "queue", {"state": "open"}, {"state": "paused"})
    assert AuditEvent.objects.in_project(project).by(curator).count() == 5


def test_what_changes_nothing_leaves_no_event(project, curator):
    queue = make_queue(project, created_by=curator)
    before = AuditEvent.objects.count()
    change_guideline(queue=queue, text=queue.guideline.text, changed_by=curator)
    change_policy(queue=queue, changed_by=curator, overlap=1)
    set_queue_state(queue=queue, state="open", set_by=curator)
    unname_person(queue=queue, person=make_user(), unnamed_by=curator)
    remove_member(project=project, user=make_user(), role=Role.CURATOR, removed_by=curator)
    assert AuditEvent.objects.count() == before


def test_what_is_done_to_tasks(project, curator):
    queue = make_queue(project)
    task = make_task(queue, prompt=make_prompt(project, tags=["rivers"]))
    set_priority(queue=queue, tasks=[task], priority=7, set_by=curator)
    assert latest(project)[3] == {"priority": 7, "count": 1, "tasks": [str(task.pk)]}
    set_priority_by_tag(queue=queue, tag="rivers", priority=2, set_by=curator)
    assert latest(project)[3] == {"priority": 2, "count": 1, "tag": "rivers"}
    withdraw_task(task=task, withdrawn_by=curator, now=NOW)
    assert latest(project)[0] == "task.take_out"
    return_task(task=task, returned_by=curator, now=NOW)
    assert latest(project)[0] == "task.return"
    person = make_member(project)
    give_task(task=task, person=person, given_by=curator)
    assert latest(project) == ("task.give", "task", {}, {"person": person.username})
    skip = Skip.objects.create(task=task, annotator=person, kind="review", reason="broken")
    settle_skip(skip=skip, settlement="discard", settled_by=curator, now=NOW)
    assert latest(project)[0] == "task.settle_skip"
    naming = make_response(task.prompt, "I am GPT-4.", names_itself="GPT-4")
    settle_naming(response=naming, settlement="leave", settled_by=curator, now=NOW)
    assert latest(project)[:2] == ("response.settle_naming", "response")
    make_gold(task=make_task(queue), answer={"preference": 2}, created_by=curator)
    assert latest(project)[0].startswith("gold.")


def test_what_is_done_to_people(project, curator):
    person = make_user()
    add_member(project=project, user=person, role=Role.ANNOTATOR, added_by=curator)
    assert latest(project) == ("person.add_role", "person", {}, {"role": "annotator"})
    queue, test = make_queue(project), make_queue(project, is_qualification=True)
    name_person(queue=queue, person=person, named_by=curator)
    assert latest(project)[0] == "queue.name_person"
    unname_person(queue=queue, person=person, unnamed_by=curator)
    assert latest(project)[2] == {"person": person.username}
    decide_qualification(queue=test, person=person, passed=True, decided_by=curator, reason="Seen at work.")
    assert latest(project)[0] == "person.qualify"
    known = verify_expertise(
        person=person, domain="medicine", evidence="A degree.", verified_by=curator, project=project
    )
    assert latest(project)[0] == "person.verify_expertise"
    withdraw_expertise(expertise=known, withdrawn_by=curator, project=project, now=NOW)
    assert latest(project)[0] == "person.withdraw_expertise"
    remove_member(project=project, user=person, role=Role.ANNOTATOR, removed_by=curator)
    assert latest(project) == ("person.remove_role", "person", {"role": "annotator"}, {})


def test_what_is_done_to_judgments(project, curator):
    judgment = make_judgment(queue=make_queue(project), preference=2)
    review_judgment(judgment=judgment, reviewer=curator, accepted=False, reason="It is wrong.", requeue=True)
    action, subject, before, after = latest(project)
    assert (action, subject, before) == ("judgment.reject", "judgment", {"review": ""})
    assert (after["review"], after["reason"]) == ("rejected", "It is wrong.")
    assert after["one_more_slot"] == str(judgment.reviews.get().slot_id)
    fixed = fix_judgment(judgment=judgment, reviewer=curator, answer={"preference": -2})
    assert latest(project)[3]["fixed"]["preference"] == -2
    undo_review(review=fixed, undone_by=curator)
    action, _, before, after = latest(project)
    assert (action, before["review"], after["review"]) == ("judgment.undo", "fixed", "rejected")
