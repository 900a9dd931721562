"""Who may take nothing new is told what is missing, and where to go from there."""

from __future__ import annotations

import pytest
from django.urls import reverse

from feedback.models import Judgment, Qualification
from feedback.queues import change_policy
from tests.factories import make_gold, make_judgment, make_queue, make_task
from tests.pages.label import HTMX, at, open_task, submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project, annotator, client):
    client.force_login(annotator)
    queue = make_queue(project, name="The work")
    for _ in range(3):
        make_task(queue)
    return queue


@pytest.fixture
def quiz(project):
    return make_queue(project, name="The test", is_qualification=True, pass_judgments=2)


def page_of(client, queue) -> str:
    answer = client.get(at("label", queue))
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"named_only": True}, "A curator names who labels in this queue"),
        ({"languages": ["nl"]}, "for people who read nl"),
        ({"expertise": "medicine"}, "expertise in “medicine”"),
    ],
)
def test_the_page_says_what_is_missing(client, queue, curator, rules, words):
    change_policy(queue=queue, changed_by=curator, **rules)
    page = page_of(client, queue)
    assert words in page
    assert 'id="judge"' not in page


def test_after_the_last_judgment_of_the_day_the_page_says_so_in_place(client, queue, curator):
    change_policy(queue=queue, changed_by=curator, daily_quota=1)
    answer = submit(client, queue, open_task(client, queue))
    assert answer.status_code == 200
    assert "at most 1 judgment a day" in answer.content.decode()
    assert Judgment.objects.count() == 1


def test_a_share_that_is_done_is_thanked_for_and_other_work_is_offered(client, queue, project, annotator, curator):
    make_task(make_queue(project, name="Another one"))
    change_policy(queue=queue, changed_by=curator, annotator_cap=1)
    make_judgment(queue=queue, annotator=annotator)
    page = page_of(client, queue)
    assert "so that many people are heard" in page
    assert "Another one" in page


def test_nothing_is_fetched_ahead_past_the_quota(client, queue, curator):
    change_policy(queue=queue, changed_by=curator, daily_quota=1)
    form = open_task(client, queue)
    answer = client.get(f"{at('label', queue)}?ahead=1&beside={form['assignment']}", headers=HTMX)
    assert answer.status_code == 204


def test_a_queue_that_needs_a_test_links_to_it(client, queue, curator, quiz):
    change_policy(queue=queue, changed_by=curator, qualification=quiz)
    page = page_of(client, queue)
    assert "passed “The test”" in page
    assert f'href="{at("label", quiz)}"' in page
    assert "The work opens with a test" in client.get(reverse("home")).content.decode()


def test_who_failed_the_test_is_told_whom_to_ask(client, queue, curator, quiz, annotator):
    change_policy(queue=queue, changed_by=curator, qualification=quiz)
    Qualification.objects.create(queue=quiz, person=annotator, passed=False, right=0, judged=2, policy=quiz.policy)
    assert "your result was not enough" in page_of(client, queue)


def test_a_test_says_how_far_it_is_and_fetches_nothing_ahead(client, queue, quiz):
    make_gold(make_task(quiz))
    make_gold(make_task(quiz))
    form = open_task(client, quiz)
    assert "This is a test: 0 of 2 judged" in page_of(client, quiz)
    answer = client.get(f"{at('label', quiz)}?ahead=1&beside={form['assignment']}", headers=HTMX)
    assert answer.status_code == 204


@pytest.mark.parametrize(("passed", "title"), [(True, "You have passed the test"), (False, "The test is not passed")])
def test_a_decided_test_shows_the_result_and_what_it_opens(client, queue, curator, quiz, annotator, passed, title):
    change_policy(queue=queue, changed_by=curator, qualification=quiz)
    Qualification.objects.create(queue=quiz, person=annotator, passed=passed, right=1, judged=2, policy=quiz.policy)
    page = page_of(client, quiz)
    assert title in page
    assert "1 of 2 judgments were right" in page
    assert ("Label in The work" in page) is passed


def test_a_curators_word_on_a_test_stands_with_its_reason(client, queue, curator, quiz, annotator):
    Qualification.objects.create(
        queue=quiz, person=annotator, passed=True, policy=quiz.policy, decided_by=curator, reason="Twenty years at sea."
    )
    assert "Twenty years at sea." in page_of(client, quiz)


@pytest.mark.parametrize("shown", [True, False])
def test_a_decided_test_explains_its_answers_where_the_policy_lets_people_see_gold(
    client, queue, curator, project, annotator, shown
):
    quiz = make_queue(project, is_qualification=True, pass_judgments=1, show_gold=shown)
    make_gold(
        task=make_task(quiz, slots=0), answer={"preference": 2}, explanation="It names the river.", created_by=curator
    )
    answer = submit(client, quiz, open_task(client, quiz))
    assert ("It names the river." in answer.content.decode()) is shown
    assert "of 1 judgments were right" in answer.content.decode()
