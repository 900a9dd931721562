"""Tasks of a queue: the list, one task, what comes first, what is taken out, who gets it."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from feedback.gold import make_gold
from feedback.models import Assignment
from feedback.steering import withdraw_task
from tests.factories import make_assignment, make_judgment, make_member, make_prompt, make_queue, make_task


@pytest.fixture(autouse=True)
def logged_in(curator, client):
    client.force_login(curator)


def at(name: str, row, *more) -> str:
    project = row.project if hasattr(row, "project") else row.queue.project
    return reverse(name, args=[project.slug, row.pk, *more])


def listed(client, queue, **filters) -> list:
    return [task for task, _ in client.get(at("tasks", queue), filters).context["rows"]]


def test_the_list_shows_how_each_task_stands(project, client):
    queue = make_queue(project, overlap=3)
    task = make_task(queue, prompt=make_prompt(project, "Name a river.", tags=["rivers"]))
    make_judgment(task=task)
    make_assignment(task)
    task.assignments.update(priority=2.5)
    page = client.get(at("tasks", queue)).content.decode()
    for shown in ("Name a river.", "1 done", "1 in hand", "1 open", "2.5", "rivers"):
        assert shown in page


def test_the_list_is_narrowed_by_words_tag_and_state(project, curator, client):
    queue = make_queue(project)
    waiting = make_task(queue, prompt=make_prompt(project, "Name a café.", tags=["köln"]))
    done = make_judgment(queue=queue).task
    held = make_assignment(make_task(queue)).task
    out = make_task(queue)
    withdraw_task(task=out, withdrawn_by=curator, now=timezone.now())
    gold = make_task(queue)
    make_gold(task=gold, answer={"preference": 1}, created_by=curator)
    assert listed(client, queue, q="café") == [waiting]
    assert listed(client, queue, tag="köln") == [waiting]
    assert listed(client, queue, tag="köl") == []
    assert listed(client, queue, stands="waiting") == [waiting]
    assert listed(client, queue, stands="done") == [done]
    assert listed(client, queue, stands="held") == [held]
    assert listed(client, queue, stands="withdrawn") == [out, gold]
    assert listed(client, queue, stands="gold") == [gold]
    assert listed(client, queue, stands="plain") == [waiting, done, held, out]
    assert len(listed(client, queue, stands="nonsense")) == 5


def test_ticked_tasks_get_a_priority(project, client):
    queue = make_queue(project)
    first, second, third = (make_task(queue) for _ in range(3))
    ticked = {"task": [first.pk, third.pk], "do": "priority", "priority": "4.5", "back": "tag=a%20b&page=2"}
    answer = client.post(at("tasks-steer", queue), ticked)
    assert answer["Location"] == f"{at('tasks', queue)}?tag=a+b&page=2"
    assert [task.assignments.get().priority for task in (first, second, third)] == [4.5, 0, 4.5]


@pytest.mark.parametrize("priority", ["", "many", "nan", "inf", "1e9"])
def test_a_priority_that_is_no_number_changes_nothing(project, client, priority):
    task = make_task(make_queue(project))
    ticked = {"task": task.pk, "do": "priority", "priority": priority}
    answer = client.post(at("tasks-steer", task.queue), ticked, follow=True)
    assert "Priority: " in answer.content.decode()
    assert task.assignments.get().priority == 0


def test_ticked_tasks_are_taken_out_and_returned(project, client):
    task = make_task(make_queue(project, overlap=2))
    client.post(at("tasks-steer", task.queue), {"task": task.pk, "do": "withdraw"})
    assert set(task.assignments.values_list("state", flat=True)) == {"withdrawn"}
    answer = client.post(at("tasks-steer", task.queue), {"task": task.pk, "do": "return", "one": "1"}, follow=True)
    assert answer.redirect_chain[0][0] == at("task", task)
    assert "Opened 2 slots again." in answer.content.decode()
    assert set(task.assignments.values_list("state", flat=True)) == {"open"}


def test_nothing_ticked_and_tasks_of_another_queue_do_nothing(project, client):
    queue, other = make_queue(project), make_task(make_queue(project))
    for ticked in ({}, {"task": "no id"}, {"task": str(uuid.uuid4())}, {"task": other.pk}):
        answer = client.post(at("tasks-steer", queue), {"do": "withdraw", **ticked}, follow=True)
        assert "Tick at least one task" in answer.content.decode()
    assert other.assignments.get().state == "open"


def test_an_unknown_verb_is_refused(project, client):
    task = make_task(make_queue(project))
    assert client.post(at("tasks-steer", task.queue), {"task": task.pk, "do": "burn"}).status_code == 422


def test_tasks_get_a_priority_by_tag(project, client):
    queue = make_queue(project)
    tagged = make_task(queue, prompt=make_prompt(project, tags=["urgent"]))
    plain = make_task(queue)
    answer = client.post(at("tasks-priority", queue), {"tag": "urgent", "priority": "9"}, follow=True)
    assert "1 task tagged urgent now with priority 9." in answer.content.decode()
    assert [task.assignments.get().priority for task in (tagged, plain)] == [9, 0]
    for wrong, says in (({"tag": "nowhere", "priority": "1"}, "No task of this queue"), ({"tag": "a"}, "Priority: ")):
        assert says in client.post(at("tasks-priority", queue), wrong, follow=True).content.decode()


def test_a_task_shows_texts_writers_slots_and_judgments(project, annotator, client):
    task = make_task(make_queue(project, overlap=2))
    make_judgment(task=task, annotator=annotator, preference=-2)
    held = make_assignment(task, make_member(project, username="holder"))
    page = client.get(at("task", task)).content.decode()
    for shown in (*(response.text for response in task.texts), "a model", "A better", "annotator", "holder", "in hand"):
        assert shown in page
    assert str(held.lease_token) not in page


def test_ml_staff_see_pseudonyms_and_no_forms_about_people(project, annotator, ml_staff, client):
    task = make_task(make_queue(project, overlap=2))
    make_judgment(task=task, annotator=annotator)
    client.force_login(ml_staff)
    page = client.get(at("task", task)).content.decode()
    assert project.pseudonym(annotator) in page
    assert ">annotator<" not in page
    assert at("task-give", task) not in page
    assert at("task-gold", task) not in page
    assert at("tasks-steer", task.queue) in page


def test_a_task_is_given_to_a_person(project, annotator, client):
    task = make_task(make_queue(project))
    assert client.post(at("task-give", task), {"person": annotator.pk})["Location"] == at("task", task)
    assert task.assignments.get().reserved_for == annotator


def test_giving_it_to_who_has_judged_it_is_refused_on_the_field(project, annotator, client):
    task = make_task(make_queue(project, overlap=2))
    make_judgment(task=task, annotator=annotator)
    answer = client.post(at("task-give", task), {"person": annotator.pk})
    assert answer.status_code == 422
    assert "has judged this task already" in answer.content.decode()


def test_only_annotators_of_the_project_can_be_given_a_task(project, ml_staff, outsider, client):
    task = make_task(make_queue(project))
    for person in (ml_staff, outsider):
        assert client.post(at("task-give", task), {"person": person.pk}).status_code == 422
    assert not Assignment.objects.filter(reserved_for__isnull=False).exists()


def test_a_longer_list_takes_no_more_queries(project, curator, client):
    queue = make_queue(project, overlap=2)

    def queries() -> int:
        make_judgment(task=make_task(queue, prompt=make_prompt(project, tags=["a"])))
        make_gold(task=make_task(queue), answer={"preference": 1}, created_by=curator)
        with CaptureQueriesContext(connection) as context:
            client.get(at("tasks", queue))
        return len(context)

    queries()
    first = queries()
    assert [queries() for _ in range(3)] == [first] * 3
