"""A person's hours, agreement and gold evidence: honest sums that never name a task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from feedback.own_hours import DAYS, own_agreement, own_gold, own_hours
from tests.factories import make_gold, make_judgment, make_member, make_queue, make_task
from tests.feedback.test_revise_judgment import revise

pytestmark = pytest.mark.django_db


def test_a_revision_adds_its_time_and_no_judgment(project, annotator):
    judgment = make_judgment(queue=make_queue(project), annotator=annotator, active_seconds=60.0)
    revise(judgment, active_seconds=30.0, now=timezone.now())
    hours = own_hours(project=project, annotator=annotator, now=timezone.now())
    assert (hours.judgments, hours.seconds) == (1, 90.0)
    assert (hours.days[-1].judgments, hours.days[-1].seconds) == (1, 90.0)


def test_days_are_those_of_the_sites_time_zone_and_older_work_counts_in_the_sum(project, annotator, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    queue = make_queue(project)
    now = datetime(2030, 5, 20, 12, tzinfo=UTC)
    for made_at in (datetime(2030, 5, 19, 21, 59, tzinfo=UTC), datetime(2030, 5, 19, 22, 1, tzinfo=UTC)):
        make_judgment(queue=queue, annotator=annotator, active_seconds=10.0, now=made_at)
    make_judgment(queue=queue, annotator=annotator, active_seconds=5.0, now=now - timedelta(days=DAYS + 1))
    hours = own_hours(project=project, annotator=annotator, now=now)
    assert len(hours.days) == DAYS
    assert [(day.day.day, day.judgments) for day in hours.days[-2:]] == [(19, 1), (20, 1)]
    assert (hours.judgments, hours.seconds) == (3, 25.0)
    assert sum(day.judgments for day in hours.days) == 2


def test_the_sums_cost_the_same_few_statements_whatever_a_person_did(project, annotator, django_assert_max_num_queries):
    queue = make_queue(project)
    for _ in range(8):
        make_judgment(queue=queue, annotator=annotator)
    now = timezone.now()
    with django_assert_max_num_queries(5):
        own_hours(project=project, annotator=annotator, now=now)
    with django_assert_max_num_queries(2):
        own_agreement(queue=queue, annotator=annotator)
    with django_assert_max_num_queries(1):
        own_gold(queue=queue, annotator=annotator)


def test_agreement_on_rankings_is_the_share_of_pairs_in_the_same_order(project, annotator):
    queue = make_queue(project, kind="ranking")
    task = make_task(queue, slots=2)
    for person, ranks in ((annotator, [1, 2, 3]), (make_member(project), [1, 3, 2])):
        slot_order = task.order_for(person)
        shown = [ranks[place] for place in slot_order]
        make_judgment(task=task, annotator=person, answer={"ranks": shown})
    agreement = own_agreement(queue=queue, annotator=annotator)
    assert (agreement.compared, agreement.percent) == (1, pytest.approx(200 / 3))


def test_agreement_on_ratings_is_the_share_of_values_within_a_step(project, annotator):
    queue = make_queue(project, kind="rating")
    task = make_task(queue, slots=2)
    for person, values in ((annotator, (5, 5)), (make_member(project), (4, 1))):
        ratings = [{"helpfulness": values[0], "correctness": values[1]}]
        make_judgment(task=task, annotator=person, answer={"ratings": ratings})
    assert own_agreement(queue=queue, annotator=annotator).percent == 50.0


def test_where_words_are_written_there_is_neither_agreement_nor_gold(project, annotator):
    queue = make_queue(project, kind="demonstration")
    assert own_agreement(queue=queue, annotator=annotator) is None
    assert own_gold(queue=queue, annotator=annotator) is None


def test_gold_evidence_follows_the_rule_of_what_is_right_and_grows_by_five(project, annotator):
    queue, seen = make_queue(project), []
    for preference in (1, 3, 0, -2, 2, 1):
        task = make_task(queue)
        make_judgment(task=task, annotator=annotator, preference=preference)
        make_gold(task)
        known = own_gold(queue=queue, annotator=annotator)
        seen.append((known.right, known.judged, known.too_few))
    assert seen == [(0, 0, True)] * 4 + [(3, 5, False)] * 2
