"""A person reads what curators see of them and decided, and answers."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from feedback.models import Report
from feedback.quality.person_evidence import evidence_of
from feedback.quality.reports import measure
from feedback.queues import change_policy
from feedback.standings import answer_standing, decide_standing
from tests.factories import make_gold, make_member, make_queue, make_task
from tests.feedback.test_gold_rotation import answer_gold
from tests.pages.label import at as in_queue
from tests.pages.test_label_german import assert_german

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    return make_queue(project, overlap=2)


@pytest.fixture
def tested(queue, annotator):
    for number in range(12):
        answer_gold(make_gold(make_task(queue)), annotator, preference=2 if number < 4 else -2)
    return annotator


@pytest.fixture
def suspended(project, tested, curator):
    return decide_standing(
        project=project,
        person=tested,
        decision="suspended",
        reason="Most known answers were missed.",
        evidence=evidence_of(project=project, person=tested),
        decided_by=curator,
        now=timezone.now(),
    )


def own(client, project) -> str:
    answer = client.get(reverse("own-standing", args=[project.slug]))
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_person_sees_their_figures_without_which_task_was_gold(project, queue, tested, client, curator):
    change_policy(queue=queue, changed_by=curator, show_gold=True)
    measure(project=project, kind=Report.Kind.PEOPLE, created_by=curator)
    client.force_login(tested)
    page = own(client, project)
    assert "4 of 10 (40 %)" in page  # of twelve: it grows by five at once
    assert "Misses known answers" not in page
    for gold in queue.gold.all():
        assert str(gold.task_id) not in page
        assert gold.task.prompt.last_turn not in page


def test_what_the_queues_do_not_show_from_day_to_day_is_shown_with_a_decision(project, tested, client, suspended):
    client.force_login(tested)
    page = own(client, project)
    assert page.count("Known answers right") == 1
    assert "You get no new tasks in this project for now" in page
    assert "Most known answers were missed." in page
    assert "4 of 10 (40 %)" in page


def test_the_annotators_page_says_so_with_the_reason_and_the_way_to_answer(queue, tested, client, suspended):
    make_task(queue)
    client.force_login(tested)
    page = client.get(in_queue("label", queue)).content.decode()
    assert "You get no new tasks here for now" in page
    assert "Most known answers were missed." in page
    assert reverse("own-standing", args=[queue.project.slug]) in page
    assert 'id="judge"' not in page


def test_the_projects_page_leads_there(project, tested, client, suspended):
    client.force_login(tested)
    page = client.get(reverse("project", args=[project.slug])).content.decode()
    assert "You get no new tasks in this project for now" in page
    assert reverse("own-standing", args=[project.slug]) in page


def test_a_person_answers_and_reads_what_a_curator_says_to_it(project, tested, client, suspended, curator):
    client.force_login(tested)
    answered = client.post(
        reverse("own-standing-answer", args=[project.slug, suspended.pk]), {"text": "The gold is wrong."}, follow=True
    )
    assert "The gold is wrong." in answered.content.decode()
    other = make_member(project, "curator", username="miss-marple")
    answer_standing(standing=suspended, author=other, text="We looked: you are right.", now=timezone.now())
    page = own(client, project)
    assert "We looked: you are right." in page
    assert "miss-marple" not in page


@pytest.mark.parametrize("text", ["", "  ", "x" * 4_001])
def test_an_empty_or_endless_answer_is_refused_and_stays(project, tested, client, suspended, text):
    client.force_login(tested)
    answer = client.post(reverse("own-standing-answer", args=[project.slug, suspended.pk]), {"text": text})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert text.strip() in answer.content.decode()
    assert not suspended.answers.exists()


def test_nobody_answers_for_another_or_reads_about_another(project, client, suspended):
    other = make_member(project)
    client.force_login(other)
    answer = client.post(reverse("own-standing-answer", args=[project.slug, suspended.pk]), {"text": "I."})
    assert answer.status_code == 404
    assert "Most known answers were missed." not in own(client, project)


def test_who_has_judged_nothing_sees_that_nothing_is_known(project, annotator, client):
    client.force_login(annotator)
    page = own(client, project)
    assert "0 judgments in this project." in page
    assert "What curators said" not in page


def test_it_is_in_german(project, queue, tested, client, suspended, curator):
    measure(project=project, kind=Report.Kind.PEOPLE, created_by=curator)
    answer_standing(standing=suspended, author=tested, text="Nein.", now=timezone.now())
    client.force_login(tested)
    assert_german(client, reverse("own-standing", args=[project.slug]))
    make_task(queue)
    assert_german(client, in_queue("label", queue))
