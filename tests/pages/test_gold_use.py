"""The page of a queue's gold: what is worn out, taking it out of use and back, making more of settled tasks."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.urls import reverse

from feedback.models import Adjudication, Gold, GoldRetirement
from tests.factories import make_gold, make_judgment, make_member, make_queue, make_task
from tests.feedback.test_gold_rotation import answer_gold

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    return make_queue(project, gold_percent=5)


@pytest.fixture
def worn(queue):
    """Gold that every one of the queue's people has seen."""
    gold = make_gold(make_task(queue))
    for _ in range(6):
        answer_gold(gold, make_member(queue.project))
    return gold


@pytest.fixture(autouse=True)
def logged_in(curator, client):
    client.force_login(curator)


def at(name: str, queue, *args) -> str:
    return reverse(name, args=[queue.project.slug, queue.pk, *args])


def test_worn_gold_stands_first_with_what_to_do(queue, worn, client):
    fresh = make_gold(make_task(queue))
    page = client.get(at("queue-gold", queue)).content.decode()
    assert "1 gold task is worn out" in page
    assert "100 % (61 to 100)" in page
    assert page.index(str(worn.task_id)) < page.index(str(fresh.task_id))


@pytest.mark.parametrize(("stands", "shown"), [("worn", 1), ("used", 2), ("retired", 0), ("", 2), ("nonsense", 2)])
def test_it_shows_what_is_asked_for(queue, worn, client, stands, shown):
    make_gold(make_task(queue))
    page = client.get(at("queue-gold", queue), {"stands": stands}).content.decode()
    assert page.count("Take out of use: ") == shown


def test_gold_is_taken_out_of_use_and_put_back(queue, worn, client, curator):
    answer = client.post(at("gold-retire", queue, worn.pk), {"note": "Everybody knows it."}, follow=True)
    assert "Everybody knows it." in answer.content.decode()
    assert GoldRetirement.objects.get().retired_by == curator
    again = client.post(at("gold-retire", queue, worn.pk), follow=True)
    assert "out of use already" in again.content.decode()
    client.post(at("gold-return", queue, worn.pk))
    assert GoldRetirement.objects.get().returned_by == curator
    assert "nothing to put back" in client.post(at("gold-return", queue, worn.pk), follow=True).content.decode()


def test_what_is_worn_out_is_retired_at_once_by_the_rules(queue, worn, client):
    answer = client.post(at("gold-rotate", queue), follow=True)
    assert "Took 1 gold task out of use" in answer.content.decode()
    assert "by the rules" in answer.content.decode()
    assert GoldRetirement.objects.get().retired_by is None


def test_a_timer_does_the_same(queue, worn, capsys):
    call_command("rotate_gold")
    assert str(worn.task_id) in capsys.readouterr().out
    assert GoldRetirement.objects.get().reason == "exposed"


def test_adjudicated_tasks_are_made_gold_in_bulk(queue, client, curator):
    tasks = [make_task(queue) for _ in range(3)]
    for task in tasks:
        Adjudication.objects.create(task=task, answer={"preference": -2}, adjudicator=curator)
    page = client.get(at("queue-gold-make", queue)).content.decode()
    assert page.count('name="task"') == 3
    chosen = [str(task.pk) for task in tasks[:2]]
    answer = client.post(at("queue-gold-make", queue), {"source": "adjudicated", "task": chosen}, follow=True)
    assert "Made 2 tasks gold" in answer.content.decode()
    assert {str(gold.task_id) for gold in Gold.objects.all()} == set(chosen)


def test_unanimous_ones_need_as_many_people_as_are_asked_for(queue, client):
    people = [make_member(queue.project) for _ in range(6)]
    for person in people:
        make_judgment(queue=queue, annotator=person)
    task = make_task(queue, slots=3)
    for person in people[:3]:
        make_judgment(task=task, annotator=person)
    three = client.get(at("queue-gold-make", queue), {"source": "unanimous", "votes": 3}).content.decode()
    assert str(task.pk) in three
    four = client.get(at("queue-gold-make", queue), {"source": "unanimous", "votes": 4}).content.decode()
    assert str(task.pk) not in four
    stale = client.post(
        at("queue-gold-make", queue), {"source": "unanimous", "votes": "4", "task": [str(task.pk)]}, follow=True
    )
    assert "One was left as it is" in stale.content.decode()
    assert not Gold.objects.exists()


@pytest.mark.parametrize(
    "posted", [{}, {"source": "guess", "task": "x"}, {"source": "unanimous", "votes": "2", "task": "x"}]
)
def test_nonsense_is_refused(queue, client, posted):
    task = make_task(queue)
    values = {**posted, **({"task": str(task.pk)} if "task" in posted else {})}
    assert client.post(at("queue-gold-make", queue), values).status_code == 422
    assert not Gold.objects.exists()


def test_a_queue_without_one_good_answer_says_so(project, client):
    queue = make_queue(project, kind="demonstration")
    assert "has no one good answer" in client.get(at("queue-gold", queue)).content.decode()


def test_gold_of_another_queue_is_not_found(queue, project, client):
    other = make_gold(make_task(make_queue(project)))
    assert client.post(at("gold-retire", queue, other.pk)).status_code == 404
    assert client.post(at("gold-return", queue, other.pk)).status_code == 404
