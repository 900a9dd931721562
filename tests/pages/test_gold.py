from __future__ import annotations

import pytest
from django.urls import reverse

from feedback.models import Gold
from tests.factories import make_queue, make_task

ANSWERS = {
    "comparison": ({"preference": "-2"}, {"preference": -2}, "A better"),
    "ranking": (
        {"rank-0": "2", "rank-1": "1", "not_rankable-2": "1"},
        {"ranks": [2, 1, None], "not_rankable": [False, False, True]},
        "B &gt; A; not rankable: C",
    ),
    "rating": ({"rating-0-helpfulness": "4"}, {"ratings": [{"helpfulness": 4}]}, "Helpfulness 4"),
}


@pytest.fixture(autouse=True)
def logged_in(curator, client):
    client.force_login(curator)


def at(name: str, task) -> str:
    return reverse(name, args=[task.queue.project.slug, task.pk])


@pytest.fixture(params=list(ANSWERS))
def task(request, project):
    return make_task(make_queue(project, kind=request.param))


def test_a_task_becomes_gold_by_the_annotators_own_form_in_response_order(task, curator, client):
    posted, stored, words = ANSWERS[task.queue.kind]
    for text in (response.text for response in task.texts):
        assert text in client.get(at("task-gold", task)).content.decode()
    answer = client.post(at("task-gold", task), {**posted, "explanation": "Because."}, follow=True)
    assert answer.redirect_chain[0][0] == at("task", task)
    gold = Gold.objects.get()
    assert (gold.task, gold.answer, gold.explanation, gold.created_by) == (task, stored, "Because.", curator)
    page = answer.content.decode()
    assert words in page
    assert "Because." in page
    assert at("task-gold", task) not in page


def test_an_unfinished_answer_is_refused_and_what_was_said_stays(task, client):
    answer = client.post(at("task-gold", task), {"explanation": "Kept."})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert "Kept." in answer.content.decode()
    assert not Gold.objects.exists()


@pytest.mark.parametrize("nonsense", ["seven", "99", "0x1"])
def test_nonsense_is_refused(task, client, nonsense):
    posted = dict.fromkeys(ANSWERS[task.queue.kind][0], nonsense)
    assert client.post(at("task-gold", task), posted).status_code == 422
    assert not Gold.objects.exists()


def test_gold_is_made_once(task, client):
    client.post(at("task-gold", task), ANSWERS[task.queue.kind][0])
    for answer in (client.get(at("task-gold", task)), client.post(at("task-gold", task), {"preference": "1"})):
        assert answer["Location"] == at("task", task)
    assert Gold.objects.count() == 1


def test_what_has_no_one_good_answer_has_no_such_page(project, client):
    task = make_task(make_queue(project, kind="demonstration"))
    assert client.get(at("task-gold", task))["Location"] == at("task", task)
    assert at("task-gold", task) not in client.get(at("task", task)).content.decode()
