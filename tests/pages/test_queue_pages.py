from __future__ import annotations

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from feedback.gold import make_gold
from feedback.models import Queue, Task
from feedback.people import create_simulated_annotator
from feedback.queues import set_queue_state
from feedback.steering import withdraw_task
from tests.factories import make_judgment, make_prompt, make_queue, make_response, make_task
from tests.feedback.talks import make_talk_queue
from tests.pages.posted import fields_on


@pytest.fixture(autouse=True)
def logged_in(curator, client):
    client.force_login(curator)


def at(name: str, queue: Queue) -> str:
    return reverse(name, args=[queue.project.slug, queue.pk])


def change_rules(client, queue, **typed):
    return client.post(
        at("queue-policy", queue), {**fields_on(client.get(at("queue-policy", queue)), "overlap"), **typed}
    )


def test_the_list_shows_progress_and_state(project, client):
    queue = make_queue(project, name="Round one")
    make_judgment(queue=queue)
    make_task(queue)
    set_queue_state(queue=queue, state="paused")
    page = client.get(reverse("queues", args=[project.slug])).content.decode()
    assert '<progress max="2" value="1"' in page
    assert "paused" in page


def test_the_progress_of_an_open_queue_is_live_and_of_a_finished_one_is_not(project, client):
    queue = make_queue(project)
    make_task(queue)
    assert 'hx-trigger="every 4s"' in client.get(at("queue-progress", queue)).content.decode()
    done = make_queue(project)
    make_judgment(queue=done)
    page = client.get(at("queue-progress", done)).content.decode()
    assert "hx-trigger" not in page
    assert "100 %" in page


def test_the_page_includes_the_very_fragment(project, client):
    queue = make_queue(project)
    make_task(queue)
    fragment = client.get(at("queue-progress", queue)).content.decode()
    assert fragment.strip() in client.get(at("queue", queue)).content.decode()


def test_simulated_annotators_are_marked_in_the_progress(project, client):
    simulated = create_simulated_annotator(project=project, username="sim", rule="Prefers the shorter response.")
    queue = make_queue(project)
    make_judgment(queue=queue, annotator=simulated)
    page = client.get(at("queue", queue)).content.decode()
    assert "tag-sim" in page


def test_ml_staff_see_pseudonyms(project, annotator, ml_staff, client):
    queue = make_queue(project)
    make_judgment(queue=queue, annotator=annotator)
    assert ">annotator</a>" in client.get(at("queue-progress", queue)).content.decode()
    client.force_login(ml_staff)
    page = client.get(at("queue-progress", queue)).content.decode()
    assert ">annotator</a>" not in page
    assert project.pseudonym(annotator) in page


def test_a_changed_guideline_becomes_the_next_version(project, curator, client):
    queue = make_queue(project)
    client.post(at("queue-guidelines", queue), {"guideline": "Now shorter is better."})
    queue.refresh_from_db()
    assert (queue.guideline.number, queue.guideline.text) == (2, "Now shorter is better.")
    assert queue.guidelines.get(number=1).text == "Prefer the response that **helps** more."


def test_an_unchanged_guideline_adds_no_version(project, client):
    queue = make_queue(project)
    answer = client.post(at("queue-guidelines", queue), {"guideline": queue.guideline.text}, follow=True)
    assert queue.guideline.number == 1
    assert "no new version" in answer.content.decode()


def test_an_empty_guideline_is_refused(project, client):
    queue = make_queue(project)
    assert client.post(at("queue-guidelines", queue), {"guideline": ""}).status_code == 422
    assert queue.guideline.number == 1


def test_the_preview_renders_markdown_and_writes_nothing(project, client):
    address = reverse("guideline-preview", args=[project.slug])
    fragment = client.post(address, {"guideline": "**bold** <script>x</script>"}, headers={"HX-Request": "true"})
    page = fragment.content.decode()
    assert "<strong>bold</strong>" in page
    assert "<script>" not in page
    assert "<html" not in page
    assert "<html" in client.post(address, {"guideline": "**bold**"}).content.decode()


def test_changed_rules_become_the_next_version(project, client):
    queue = make_queue(project, repeat_percent=7)
    change_rules(client, queue, overlap=3, lease_minutes=5, languages="de, pt-BR")
    queue.refresh_from_db()
    policy = queue.policy
    assert (policy.number, policy.overlap, policy.lease_minutes) == (2, 3, 5)
    assert (policy.languages, policy.repeat_percent, policy.show_gold) == (["de", "pt-BR"], 7, False)


def test_a_pass_rule_is_asked_of_tests_only_and_stays_otherwise(project, client):
    test = make_queue(project, kind="rating", is_qualification=True, pass_judgments=7)
    change_rules(client, test, pass_judgments=8)
    test.refresh_from_db()
    assert test.policy.pass_judgments == 8
    queue = make_queue(project, pass_judgments=7)
    assert "pass_judgments" not in fields_on(client.get(at("queue-policy", queue)), "overlap")
    change_rules(client, queue, overlap=2, pass_judgments=9)
    queue.refresh_from_db()
    assert (queue.policy.overlap, queue.policy.pass_judgments) == (2, 7)


def test_rules_out_of_range_are_refused(project, client):
    queue = make_queue(project)
    assert change_rules(client, queue, overlap=99).status_code == 422
    assert queue.policy.number == 1


def test_a_queue_is_paused_opened_again_and_closed(project, client):
    queue = make_queue(project)
    for state in ("paused", "open", "closed"):
        client.post(at("queue-state", queue), {"state": state})
        queue.refresh_from_db()
        assert queue.state == state


def test_an_unknown_state_is_refused(project, client):
    queue = make_queue(project)
    assert client.post(at("queue-state", queue), {"state": "burning"}).status_code == 422
    assert client.get(at("queue-state", queue)).status_code == 405


def test_a_queue_is_filled_from_responses_that_are_there(project, client):
    queue = make_queue(project, overlap=2)
    for number in range(3):
        prompt = make_prompt(project)
        for _ in range(number):
            make_response(prompt)
    twins = make_prompt(project)
    make_response(twins, "The same.")
    make_response(twins, "The same.")
    answer = client.post(at("queue-fill", queue), {"pairs": 1}, follow=True)
    assert "Added 1 task" in answer.content.decode()
    task = Task.objects.get()
    assert task.assignments.count() == 2


def test_filling_again_adds_nothing(project, client):
    queue = make_queue(project)
    prompt = make_prompt(project)
    for _ in range(4):
        make_response(prompt)
    client.post(at("queue-fill", queue), {"pairs": 2})
    answer = client.post(at("queue-fill", queue), {"pairs": 2}, follow=True)
    assert "Nothing to add" in answer.content.decode()
    assert Task.objects.count() == 2


def test_filling_with_no_number_is_refused(project, client):
    queue = make_queue(project)
    answer = client.post(at("queue-fill", queue), {"pairs": "many"}, follow=True)
    assert "Tasks per prompt" in answer.content.decode()


def test_a_test_says_which_tasks_have_no_gold_answer(project, curator, client):
    queue = make_queue(project, kind="rating", is_qualification=True)
    make_task(queue)
    make_gold(task=make_task(queue), answer={"ratings": [{"helpfulness": 4}]}, created_by=curator)
    page = client.get(at("queue", queue)).content.decode()
    assert "1 task without a gold answer" in page
    assert f"{at('tasks', queue)}?stands=plain" in page


def test_the_bar_shows_how_the_slots_stand(project, curator, client):
    queue = make_queue(project, overlap=2)
    make_judgment(queue=queue)
    withdraw_task(task=make_task(queue), withdrawn_by=curator, now=timezone.now())
    page = client.get(at("queue-progress", queue)).content.decode()
    assert "1 of 4 slots judged, 0 in hand, 1 open, 2 taken out" in page
    bar = re.findall(r'class="slots-(\w+)" x="([\d.]+)" y="0" width="([\d.]+)"', page)
    assert bar == [("done", "0.000", "25.000"), ("open", "25.000", "25.000"), ("withdrawn", "50.000", "50.000")]


def test_the_page_counts_why_tasks_were_handed_out(project, client):
    queue = make_queue(project, random_percent=0)
    make_judgment(queue=queue)
    answer = client.get(at("queue", queue))
    assert answer.context["arms"] == [("By priority", 1, 100.0)]
    assert "Why tasks were handed out" in answer.content.decode()


def test_a_conversation_queue_says_when_nobody_would_answer(project, client):
    page = client.get(at("queue", make_queue(project, kind="conversation"))).content.decode()
    assert "No checkpoint is chosen to answer" in page
    page = client.get(at("queue", make_talk_queue(project))).content.decode()
    assert "No checkpoint is chosen to answer" not in page
    assert "Nothing that answers is running" in page
