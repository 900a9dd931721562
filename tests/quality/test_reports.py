"""Measuring: at once or by a clerk, what a report says of its age, and what a page may rely on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.jobs import carry_out
from feedback.models import Job, Report
from feedback.quality import reports
from feedback.quality.reports import KEPT, age_in_words, measure, report_for, shown_for
from tests.factories import make_judgment, make_queue
from tests.quality.voting import make_people, vote

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    return make_queue(project, name="Help")


def test_few_judgments_are_measured_at_once(project, queue, curator):
    vote(queue, make_people(queue, 2), [2, 1])
    job = measure(project=project, kind="agreement", created_by=curator)
    assert (job.state, job.kind) == (Job.State.SUCCEEDED, Job.Kind.MEASURE)
    report = report_for(project=project, kind="agreement")
    assert report is not None
    assert (report.judgments, report.job) == (2, job)
    assert job.result["report"] == str(report.pk)


def test_many_judgments_are_left_to_a_clerk_and_asked_for_once(project, queue, curator, monkeypatch):
    monkeypatch.setattr(reports, "INLINE_JUDGMENTS", 1)
    vote(queue, make_people(queue, 2), [2, 1])
    job = measure(project=project, kind="agreement", created_by=curator)
    assert job.state == Job.State.QUEUED
    assert measure(project=project, kind="agreement", created_by=curator) == job
    shown = shown_for(project=project, kind="agreement")
    assert (shown.report, shown.job, shown.is_running) == (None, job, True)
    assert carry_out(job).state == Job.State.SUCCEEDED
    shown = shown_for(project=project, kind="agreement")
    assert shown.report is not None
    assert shown.job is None


def test_a_report_tells_what_came_since_and_how_old_it_is(project, queue, curator):
    people = make_people(queue, 2)
    vote(queue, people, [2, 1])
    measure(project=project, kind="agreement", created_by=curator)
    assert shown_for(project=project, kind="agreement").since == 0
    vote(queue, people, [1, -1])
    shown = shown_for(project=project, kind="agreement")
    assert shown.since == 2
    computed = shown.report.computed_at
    assert age_in_words(shown.report, computed) == "just now"
    assert age_in_words(shown.report, computed + timedelta(minutes=1)) == "1 minute ago"
    assert age_in_words(shown.report, computed + timedelta(hours=5)) == "5 hours ago"
    assert age_in_words(shown.report, computed + timedelta(days=3)) == "3 days ago"


def test_a_project_without_judgments_is_measured_too(project, curator):
    job = measure(project=project, kind="agreement", created_by=curator)
    assert job.state == Job.State.SUCCEEDED
    shown = shown_for(project=project, kind="agreement")
    assert shown.content == {"people": None, "simulated": None}
    make_judgment(queue=make_queue(project))
    assert shown_for(project=project, kind="agreement").since == 1


def test_other_questions_and_other_projects_have_reports_of_their_own(project, queue, curator):
    vote(queue, make_people(queue, 2), [2, 1])
    measure(project=project, kind="agreement", params={"of": "something"}, created_by=curator)
    assert report_for(project=project, kind="agreement") is None
    assert report_for(project=project, kind="agreement", params={"of": "something"}) is not None
    assert report_for(project=queue.project, kind="models", params={"of": "something"}) is None


def test_old_reports_on_the_same_question_are_dropped(project, curator):
    for _ in range(KEPT + 2):
        measure(project=project, kind="agreement", created_by=curator)
    assert Report.objects.filter(project=project).count() == KEPT
    assert report_for(project=project, kind="agreement") == Report.objects.order_by("-id").first()


def test_old_what_ifs_are_dropped_whatever_they_left_out(project, curator, monkeypatch):
    monkeypatch.setattr(reports, "WHAT_IFS_KEPT", 2)
    for day in ("2026-03-01", "2026-03-02", "2026-03-03"):
        measure(project=project, kind="what_if", params={"days": [day]}, created_by=curator)
    kept = Report.objects.filter(project=project).order_by("id")
    assert [report.params["days"] for report in kept] == [["2026-03-02"], ["2026-03-03"]]


def test_a_failed_measurement_is_shown_until_a_later_one_succeeds(project, curator, monkeypatch):
    monkeypatch.setitem(reports.FUNCTIONS, "agreement", "feedback.quality.agreement.no_such_function")
    job = measure(project=project, kind="agreement", created_by=curator)
    assert job.state == Job.State.FAILED
    assert shown_for(project=project, kind="agreement").job == job
    monkeypatch.undo()
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=1))
    measure(project=project, kind="agreement", created_by=curator)
    assert shown_for(project=project, kind="agreement").job is None
