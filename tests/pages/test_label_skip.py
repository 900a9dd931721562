from __future__ import annotations

import pytest

from feedback.models import Assignment, Skip
from tests.factories import make_queue, make_task
from tests.pages.label import HTMX, at, form_on, let_lease_run_out, open_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project, annotator, client):
    client.force_login(annotator)
    return make_queue(project)


def skip(client, queue, form, **said):
    return client.post(at("label-skip", queue), {**form, "reason": "expertise", **said}, headers=HTMX)


def test_skipping_frees_the_slot_keeps_the_reason_and_shows_the_next(client, queue, annotator):
    make_task(queue)
    make_task(queue)
    form = open_task(client, queue)
    answer = skip(client, queue, form, reason="broken", note="Cut off")
    assert answer.status_code == 200
    assert form_on(answer)["task"] != form["task"]
    passed = Skip.objects.get()
    assert (str(passed.task_id), passed.annotator, passed.reason, passed.note) == (
        form["task"], annotator, "broken", "Cut off",
    )  # fmt: skip
    assert Assignment.objects.get(pk=form["assignment"]).state == "open"


def test_what_was_skipped_does_not_come_back(client, queue):
    make_task(queue)
    html = skip(client, queue, open_task(client, queue)).content.decode()
    assert "Nothing left for you here" in html


@pytest.mark.parametrize("reason", ["", "bored"])
def test_a_skip_needs_one_of_the_reasons(client, queue, reason):
    make_task(queue)
    form = open_task(client, queue)
    answer = skip(client, queue, form, reason=reason)
    assert answer.status_code == 422
    assert "Choose one of the reasons" in answer.content.decode()
    assert form_on(answer)["assignment"] == form["assignment"]
    assert not Skip.objects.exists()


def test_skipping_a_lost_task_says_that_it_is_lost_and_takes_no_other(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    let_lease_run_out()
    answer = skip(client, queue, form)
    assert answer.status_code == 409
    assert "That task is no longer yours." in answer.content.decode()
    assert not Skip.objects.exists()


def test_without_scripts_it_redirects(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    answer = client.post(at("label-skip", queue), {**form, "reason": "other"})
    assert answer.status_code == 302
    assert Skip.objects.count() == 1


@pytest.mark.parametrize("kind", ["later", "others", "review"])
def test_a_skip_has_a_kind_and_can_be_undone(client, queue, kind):
    make_task(queue)
    make_task(queue)
    form = open_task(client, queue)
    answer = skip(client, queue, form, kind=kind)
    assert Skip.objects.get().kind == kind
    assert "Undo skip" in answer.content.decode()
    back = client.post(at("label-unskip", queue), {"task": form["task"]}, headers=HTMX)
    assert back.status_code == 200
    assert form_on(back)["task"] == form["task"]
    assert Skip.objects.get().taken_back_at is not None


def test_undoing_a_skip_that_is_not_there_is_refused(client, queue):
    task = make_task(queue)
    assert client.post(at("label-unskip", queue), {"task": task.pk}, headers=HTMX).status_code == 422
