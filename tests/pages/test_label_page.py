"""The page takes a lease and shows what is to be judged, and nothing that unblinds."""

from __future__ import annotations

import re
import uuid

import pytest
from django.utils import timezone

from feedback.claims import claim_next
from feedback.judging import save_draft
from feedback.models import Assignment, Draft
from feedback.queues import change_guideline, set_queue_state
from tests.factories import make_judgment, make_member, make_prompt, make_queue, make_response, make_task
from tests.pages.label import HTMX, at, form_on, open_task, submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project, annotator, client):
    client.force_login(annotator)
    return make_queue(project, guideline="Prefer the **kinder** one.")


def test_opening_the_page_takes_a_lease_and_opening_it_again_takes_no_other(client, queue, annotator):
    make_task(queue)
    make_task(queue)
    first, second = open_task(client, queue), open_task(client, queue)
    assert first["assignment"] == second["assignment"]
    assert Assignment.objects.held_by(annotator, timezone.now()).count() == 1


def test_a_head_request_takes_no_lease(client, queue):
    make_task(queue)
    assert client.head(at("label", queue)).status_code == 405
    assert not Assignment.objects.filter(state="leased").exists()


def test_the_page_shows_every_turn_and_both_responses_in_the_order_of_the_slot(client, queue, project):
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello *there*"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "Who are you?"},
    ]
    prompt = make_prompt(project, messages=chat)
    make_task(queue, prompt=prompt, responses=(make_response(prompt, "One."), make_response(prompt, "Two.")))
    html = client.get(at("label", queue)).content.decode()
    assert "Hello <em>there</em>" in html
    assert "Instruction to the assistant" in html
    slot = Assignment.objects.get()
    first, second = (response.text for response in slot.shown_responses)
    assert html.index(first) < html.index(second)


def test_nothing_on_the_page_says_who_wrote_what(client, queue, project, curator):
    prompt = make_prompt(project)
    pair = [
        make_response(
            prompt,
            f"Text {letter}.",
            origin=f"origin-{letter}",
            model_name=f"model-{letter}",
            run_id=uuid.uuid4(),
            checkpoint_id=uuid.uuid4(),
            sampling={"temperature": 0.7321, "seed": 90210902},
        )
        for letter in "xy"
    ]
    task = make_task(queue, prompt=prompt, responses=pair, propensity=0.3125)
    secrets = ["origin-x", "origin-y", "model-x", "model-y", "0.7321", "90210902", "0.3125", "propensity", "response_a"]
    for response in pair:
        secrets += [str(response.pk), response.pk.hex, str(response.run_id), str(response.checkpoint_id)]
    form = open_task(client, queue)
    pages = [client.get(at("label", queue)), client.get(at("label", queue), headers=HTMX)]
    pages.append(submit(client, queue, form, preference=""))
    pages.append(submit(client, queue, {**form, "lease_token": str(uuid.uuid4())}))
    assert [page.status_code for page in pages] == [200, 200, 422, 409]
    pages.append(submit(client, queue, form))
    judgment = task.judgments.get()
    pages += [client.get(at("label-history", queue)), client.get(at("label-revise", queue, judgment.pk))]
    pages.append(client.get(at("label-guidelines", queue)))
    for page in pages:
        said = page.content.decode() + str(page.headers)
        assert [secret for secret in secrets if secret in said] == []


def test_the_scale_has_seven_steps_with_keys_and_labels(client, queue):
    make_task(queue)
    html = client.get(at("label", queue)).content.decode()
    assert re.findall(r'name="preference" value="(-?\d)"[^>]* data-key="(\d)"', html) == [
        (str(value), str(value + 4)) for value in range(-3, 4)
    ]
    assert "About the same" in html


def test_a_queue_without_ties_shows_none_and_keeps_the_other_keys(client, project, queue):
    strict = make_queue(project, schema={"allow_tie": False, "rationale": "required"})
    make_task(strict)
    html = client.get(at("label", strict)).content.decode()
    assert re.findall(r'name="preference"[^>]* data-key="(\d)"', html) == list("123567")
    assert "needed in this queue" in html


def test_a_draft_comes_back_in_the_order_in_which_it_was_entered(client, queue, annotator):
    make_task(queue)
    slot = claim_next(queue=queue, annotator=annotator, now=timezone.now())
    save_draft(
        task=slot.task,
        annotator=annotator,
        answer={"preference": -3},
        rationale="<b>half</b> a thought",
        flags=["unsafe"],
        active_seconds=12,
    )
    html = client.get(at("label", queue)).content.decode()
    assert re.search(r'value="-3" required checked', html)
    assert "&lt;b&gt;half&lt;/b&gt; a thought" in html
    assert re.search(r'value="unsafe" checked', html)
    assert Draft.objects.count() == 1


def test_an_empty_response_says_so(client, queue, project):
    prompt = make_prompt(project)
    make_task(queue, prompt=prompt, responses=(make_response(prompt, ""), make_response(prompt, "Words.")))
    assert "This response is empty." in client.get(at("label", queue)).content.decode()


def test_progress_counts_what_is_done_today_and_what_is_left(client, queue, annotator):
    make_judgment(queue=queue, annotator=annotator)
    for _ in range(3):
        make_task(queue, slots=2)
    html = client.get(at("label", queue)).content.decode()
    assert "<strong data-done-count>1</strong> done today, <strong data-left-count>3</strong> left" in html


def test_guidelines_are_new_at_first_and_when_they_have_changed(client, queue, annotator, curator):
    make_task(queue)
    html = client.get(at("label", queue)).content.decode()
    assert "Prefer the <strong>kinder</strong> one." in html
    assert re.search(r'<aside id="guidelines"[^>]* data-new', html)
    assert client.post(at("label-guidelines", queue), headers={"Accept": "application/json"}).status_code == 204
    make_task(queue)
    make_task(queue)
    form = open_task(client, queue)
    html = client.get(at("label", queue)).content.decode()
    assert re.search(r"<aside[^>]* data-new", html) is None
    change_guideline(queue=queue, text="Prefer the shorter one.", changed_by=curator)
    answer = submit(client, queue, form).content.decode()
    assert 'hx-swap-oob="true"' in answer
    assert "Changed since you last read them" in answer
    assert "Prefer the shorter one." in answer


def test_a_paused_queue_says_so_kindly(client, queue):
    make_task(queue)
    set_queue_state(queue=queue, state="paused")
    page = client.get(at("label", queue))
    assert page.status_code == 200
    assert "The queue is paused" in page.content.decode()


def test_a_queue_paused_while_one_labels_lets_the_held_one_be_finished(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    set_queue_state(queue=queue, state="paused")
    assert open_task(client, queue)["assignment"] == form["assignment"]
    assert "The queue is paused" in submit(client, queue, form).content.decode()


def test_an_empty_queue_points_to_work_elsewhere(client, queue, project, annotator):
    other = make_queue(project, name="Other work")
    make_task(other)
    html = client.get(at("label", queue)).content.decode()
    assert "Nothing waits for you" in html
    assert "Other work" in html
    assert at("label", other) in html


def test_the_fragment_is_the_part_of_the_page(client, queue):
    make_task(queue)
    page = client.get(at("label", queue))
    fragment = client.get(at("label", queue), headers=HTMX)
    assert fragment.content.decode().lstrip().startswith('<div id="task"')
    assert "<html" not in fragment.content.decode()
    assert form_on(page)["assignment"] == form_on(fragment)["assignment"]
    assert "HX-Request" in page.headers["Vary"]
    assert page.headers["Cache-Control"] == "no-store"


def test_two_annotators_hold_two_slots(client, queue, project, annotator):
    make_task(queue, slots=2)
    mine = open_task(client, queue)
    client.force_login(make_member(project))
    assert open_task(client, queue)["assignment"] != mine["assignment"]
