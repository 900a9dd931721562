"""A person's own page: pace, hours for pay, agreement where the queue shows it; and nothing about single tasks."""

from __future__ import annotations

import pytest
from django.utils import timezone

from feedback.models import AnnotatorProfile, Gold, Skip
from feedback.own_hours import own_agreement, own_gold, own_hours
from tests.factories import make_judgment, make_member, make_queue, make_task
from tests.pages.label import at

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project, annotator, client):
    client.force_login(annotator)
    return make_queue(project, overlap=2)


def test_hours_are_the_active_time_of_judgments_and_skips(queue, annotator, project):
    make_judgment(queue=queue, annotator=annotator, active_seconds=1_800)
    make_judgment(queue=make_queue(project), annotator=annotator, active_seconds=900)
    Skip.objects.create(task=make_task(queue), annotator=annotator, reason="other", active_seconds=900)
    now = timezone.now()
    here = own_hours(project=project, annotator=annotator, now=now, queue=queue)
    whole = own_hours(project=project, annotator=annotator, now=now)
    assert (here.judgments, here.hours, here.per_hour) == (1, 0.75, pytest.approx(4 / 3))
    assert (whole.judgments, whole.hours) == (2, 1.0)
    assert whole.days[-1].judgments == 2
    assert whole.pay is None


def test_pay_is_hours_times_the_rate(client, queue, annotator, project):
    AnnotatorProfile.objects.create(user=annotator, hourly_rate="24.50", currency="EUR")
    make_judgment(queue=queue, annotator=annotator, active_seconds=7_200)
    assert own_hours(project=project, annotator=annotator, now=timezone.now()).pay == pytest.approx(49)
    assert "49.00 EUR" in client.get(at("label-me", queue)).content.decode()


@pytest.mark.parametrize(("others", "percent"), [((2, 1, 3, 2, 2), 100), ((2, -1, -3, 1, 0), 40)])
def test_agreement_counts_the_same_side(queue, annotator, project, others, percent):
    other = make_member(project)
    for preference in others:
        task = make_task(queue)
        make_judgment(task=task, annotator=annotator, preference=2)
        make_judgment(task=task, annotator=other, preference=preference)
    agreement = own_agreement(queue=queue, annotator=annotator)
    assert (agreement.compared, agreement.percent, agreement.too_few) == (5, percent, False)


def test_a_few_common_tasks_say_nothing(client, queue, annotator, project):
    task = make_task(queue)
    make_judgment(task=task, annotator=annotator)
    make_judgment(task=task, annotator=make_member(project))
    assert "n = 1" in client.get(at("label-me", queue)).content.decode()


def test_a_queue_may_hide_agreement(client, project, annotator):
    client.force_login(annotator)
    assert "Agreement" not in client.get(at("label-me", make_queue(project, show_agreement=False))).content.decode()


def test_gold_evidence_is_a_sum_and_only_where_the_queue_shows_it(client, project, annotator, curator):
    client.force_login(annotator)
    queue = make_queue(project, show_gold=True)
    for preference in (3, 1, 2, -1, 0):
        task = make_task(queue)
        Gold.objects.create(task=task, queue=task.queue, answer={"preference": 2}, created_by=curator)
        make_judgment(task=task, annotator=annotator, preference=preference)
    known = own_gold(queue=queue, annotator=annotator)
    assert (known.right, known.judged, known.too_few) == (3, 5, False)
    assert "3 / 5" in client.get(at("label-me", queue)).content.decode()
    assert "Known answers" not in client.get(at("label-me", make_queue(project))).content.decode()
