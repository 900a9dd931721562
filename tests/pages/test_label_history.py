"""A person's own judgments, and changing one's mind."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.models import Judgment
from feedback.reviewing import review_judgment
from tests.factories import make_judgment, make_member, make_queue, make_task
from tests.pages.label import at, first_shown, form_on, open_task, submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project, annotator, client):
    client.force_login(annotator)
    return make_queue(project)


def revise(client, queue, judgment, **said):
    values = {"preference": 1, "active_seconds": 1, "submission_id": uuid.uuid4(), **said}
    return client.post(at("label-revise", queue, judgment.pk), values)


def test_the_history_lists_ones_own_judgments_as_one_saw_them(client, queue, annotator, project, curator):
    make_task(queue)
    form = open_task(client, queue)
    submit(client, queue, form, preference=-3, rationale="Clear.", flag=["unsafe"])
    make_judgment(queue=queue, annotator=make_member(project), rationale="Somebody else's")
    review_judgment(judgment=Judgment.objects.get(annotator=annotator), reviewer=curator, accepted=False, reason="Why?")
    html = client.get(at("label-history", queue)).content.decode()
    assert "Left is much better" in html
    assert "Clear." in html
    assert "Unsafe" in html
    assert "rejected" in html
    assert "Why?" in html
    assert "Somebody else" not in html


def test_an_empty_history_says_what_to_do(client, queue):
    assert "No judgments yet" in client.get(at("label-history", queue)).content.decode()


def test_the_revision_starts_from_what_was_said(client, queue, annotator):
    make_task(queue)
    submit(client, queue, open_task(client, queue), preference=-2, rationale="First thought", flag=["other"])
    html = client.get(at("label-revise", queue, Judgment.objects.get().pk)).content.decode()
    assert re.search(r'value="-2" required checked', html)
    assert "First thought" in html
    assert 'value="other" checked' in html


def test_a_revision_is_a_new_row_that_counts(client, queue):
    make_task(queue)
    submit(client, queue, open_task(client, queue), preference=-2)
    first = Judgment.objects.get()
    answer = revise(client, queue, first, preference=3, rationale="Second thought", back="label")
    assert answer["Location"] == at("label", queue)
    second = Judgment.objects.current().get()
    assert (second.revision, second.supersedes, second.rationale) == (2, first, "Second thought")
    assert second.chosen_id != first_shown(second)
    assert second.display_order == first.display_order
    assert second.active_seconds < 60


def test_a_revision_goes_back_to_the_history_when_it_was_opened_there(client, queue, annotator):
    judgment = make_judgment(queue=queue, annotator=annotator)
    assert revise(client, queue, judgment)["Location"] == at("label-history", queue)


def test_the_page_leads_back_to_the_last_judgment(client, queue):
    make_task(queue)
    make_task(queue)
    assert 'id="back" hidden' in client.get(at("label", queue)).content.decode()
    submit(client, queue, open_task(client, queue))
    link = at("label-revise", queue, Judgment.objects.get().pk)
    assert f'id="back" href="{link}?back=label"' in client.get(at("label", queue)).content.decode()


def test_an_old_revision_cannot_be_revised_and_nothing_typed_is_lost(client, queue, annotator):
    judgment = make_judgment(queue=queue, annotator=annotator)
    revise(client, queue, judgment)
    latest = Judgment.objects.current().get()
    answer = revise(client, queue, judgment, rationale="Typed & kept")
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "Typed &amp; kept" in html
    assert at("label-revise", queue, latest.pk) in html
    assert Judgment.objects.count() == 2


def test_a_revision_without_a_choice_is_refused(client, queue, annotator):
    judgment = make_judgment(queue=queue, annotator=annotator)
    answer = revise(client, queue, judgment, preference="", rationale="Kept")
    assert answer.status_code == 422
    assert "Kept" in answer.content.decode()


def test_the_same_revision_twice_stores_one_row(client, queue, annotator):
    judgment = make_judgment(queue=queue, annotator=annotator)
    form = form_on(client.get(at("label-revise", queue, judgment.pk)))
    for _ in range(2):
        assert revise(client, queue, judgment, **form).status_code == 302
    assert Judgment.objects.count() == 2


def test_somebody_elses_judgment_is_not_found(client, queue, project):
    judgment = make_judgment(queue=queue, annotator=make_member(project))
    assert client.get(at("label-revise", queue, judgment.pk)).status_code == 404
    assert revise(client, queue, judgment).status_code == 404


def test_the_history_is_searched_by_prompt_and_reason(client, queue, annotator):
    make_judgment(queue=queue, annotator=annotator, rationale="Clear as daylight")
    make_judgment(queue=queue, annotator=annotator, rationale="Muddy")
    html = client.get(at("label-history", queue), {"q": "DAYLIGHT"}).content.decode()
    assert "Clear as daylight" in html
    assert "Muddy" not in html
    prompt = Judgment.objects.get(rationale="Muddy").task.prompt.last_turn
    assert "Muddy" in client.get(at("label-history", queue), {"q": prompt}).content.decode()
    assert "Nothing of yours matches" in client.get(at("label-history", queue), {"q": "zzz"}).content.decode()


def test_history_and_revision_say_until_when_a_judgment_may_be_revised(client, project, annotator):
    queue = make_queue(project, revise_hours=24)
    client.force_login(annotator)
    now = timezone.now().replace(microsecond=0)
    recent = make_judgment(queue=queue, annotator=annotator, now=now - timedelta(hours=1))
    until = f'<time datetime="{(now + timedelta(hours=23)).isoformat()}">'
    assert until in client.get(at("label-history", queue)).content.decode()
    assert until in client.get(at("label-revise", queue, recent.pk)).content.decode()


def test_a_judgment_that_stands_can_be_read_but_not_revised(client, project, annotator):
    queue = make_queue(project, revise_hours=24)
    client.force_login(annotator)
    old = make_judgment(queue=queue, annotator=annotator, now=timezone.now() - timedelta(hours=30))
    assert "stands as it is" in client.get(at("label-history", queue)).content.decode()
    page = client.get(at("label-revise", queue, old.pk)).content.decode()
    assert "The time to revise it is over" in page
    assert 'id="submit" disabled' in page
