"""An expired lease never loses what was typed, and the slot can be taken again while it is free."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.claims import claim_next
from feedback.models import Assignment, Draft, Judgment
from feedback.queues import set_queue_state
from tests.factories import make_judgment, make_member, make_queue, make_task
from tests.pages.label import HTMX, at, first_shown, form_on, keys_of, let_lease_run_out, open_task, shown_draft, submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project, annotator, client):
    client.force_login(annotator)
    return make_queue(project)


def test_the_person_is_told_and_everything_typed_is_kept(client, queue, annotator):
    task = make_task(queue)
    form = open_task(client, queue)
    let_lease_run_out()
    answer = submit(client, queue, form, preference=-2, rationale="An hour's <work>", flag=["unsafe"])
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "Take it again and submit" in html
    assert "An hour&#x27;s &lt;work&gt;" in html
    assert "Left is better" in html
    draft = Draft.objects.get(task=task, annotator=annotator)
    assert (draft.rationale, keys_of(draft.flags), shown_draft(draft).preference) == (
        "An hour's <work>",
        ["unsafe"],
        -2,
    )
    assert not Judgment.objects.exists()


def test_taking_it_again_submits_what_was_typed(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    let_lease_run_out()
    lost = submit(client, queue, form, preference=-2, rationale="Kept", flag=["unsafe", "other"])
    kept = {**form_on(lost), "flag": ["unsafe", "other"]}
    assert kept["preference"] == "-2"
    answer = client.post(at("label-retake", queue), kept, headers=HTMX)
    assert answer.status_code == 200
    judgment = Judgment.objects.get()
    assert (judgment.shown_answer.preference, judgment.rationale, keys_of(judgment.flags)) == (
        -2,
        "Kept",
        ["unsafe", "other"],
    )
    assert not Draft.objects.exists()


@pytest.mark.parametrize("attempt", range(6))
def test_another_slot_keeps_the_order_in_which_the_person_judged(client, queue, project, annotator, attempt):
    """The first slot was taken over; the second one's order is drawn anew and must not turn the judgment."""
    task = make_task(queue, slots=2)
    form = open_task(client, queue)
    slot = let_lease_run_out(annotator=annotator)
    shown_first = slot.shown_responses[0].pk
    other = make_member(project)
    Assignment.objects.filter(pk=slot.pk).update(priority=5)
    assert claim_next(queue=queue, annotator=other, now=timezone.now()).pk == slot.pk
    lost = submit(client, queue, form, preference=3)
    assert lost.status_code == 409
    assert client.post(at("label-retake", queue), form_on(lost), headers=HTMX).status_code == 200
    judgment = Judgment.objects.get(task=task, annotator=annotator)
    assert first_shown(judgment) == shown_first
    assert judgment.chosen_id != shown_first


def test_a_slot_that_somebody_else_has_is_not_offered_and_the_text_can_be_copied(client, queue, project, annotator):
    make_task(queue)
    form = open_task(client, queue)
    let_lease_run_out()
    claim_next(queue=queue, annotator=make_member(project), now=timezone.now())
    answer = submit(client, queue, form, rationale="Copy me")
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "somebody else has it" in html
    assert "Take it again" not in html
    assert 'data-copy-from="#kept"' in html
    assert "Next task" in html
    assert Draft.objects.get(annotator=annotator).rationale == "Copy me"


def test_a_slot_that_goes_between_the_offer_and_the_answer_is_told(client, queue, project):
    make_task(queue)
    form = open_task(client, queue)
    let_lease_run_out()
    lost = submit(client, queue, form, rationale="Copy me")
    claim_next(queue=queue, annotator=make_member(project), now=timezone.now())
    answer = client.post(at("label-retake", queue), form_on(lost), headers=HTMX)
    assert answer.status_code == 409
    assert "somebody else has it" in answer.content.decode()
    assert "Copy me" in answer.content.decode()


def test_a_paused_queue_gives_no_slot_back_and_keeps_the_text(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    let_lease_run_out()
    set_queue_state(queue=queue, state="paused")
    answer = submit(client, queue, form, rationale="Later then")
    assert answer.status_code == 409
    assert "kept as a draft" in answer.content.decode()
    assert "Take it again" not in answer.content.decode()


def test_a_comparison_judged_meanwhile_leads_to_its_revision(client, queue, annotator):
    task = make_task(queue)
    form = open_task(client, queue)
    slot = Assignment.objects.get()
    judgment = make_judgment(slot)
    answer = submit(client, queue, form, rationale="A second thought")
    html = answer.content.decode()
    assert answer.status_code == 409
    assert at("label-revise", queue, judgment.pk) in html
    assert "A second thought" in html
    assert Judgment.objects.filter(task=task).count() == 1


def test_taking_it_again_twice_stores_one_row(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    let_lease_run_out()
    kept = form_on(submit(client, queue, form))
    answers = [client.post(at("label-retake", queue), kept, headers=HTMX).status_code for _ in range(2)]
    assert answers == [200, 200]
    assert Judgment.objects.count() == 1


def test_without_scripts_the_whole_page_tells(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    let_lease_run_out()
    answer = client.post(at("label-submit", queue), {**form, "preference": 1, "rationale": "Kept"})
    assert answer.status_code == 409
    assert "<html" in answer.content.decode()
    kept = client.post(at("label-retake", queue), form_on(answer))
    assert kept.status_code == 302
    assert Judgment.objects.get().rationale == "Kept"


def test_time_at_work_before_the_loss_counts(client, queue, annotator):
    make_task(queue)
    form = open_task(client, queue)
    slot = Assignment.objects.get()
    Assignment.objects.update(leased_at=slot.leased_at - timedelta(minutes=40))
    let_lease_run_out()
    lost = submit(client, queue, form, active_seconds=1_200)
    client.post(at("label-retake", queue), form_on(lost), headers=HTMX)
    assert Judgment.objects.get().active_seconds == pytest.approx(1_200)


def test_a_change_after_an_answer_that_never_came_is_shown_not_dropped(client, queue):
    """The first attempt was stored but its answer got lost; meanwhile the person changed their mind."""
    make_task(queue)
    form = open_task(client, queue)
    submit(client, queue, form, preference=2, rationale="First")
    answer = submit(client, queue, form, preference=-3, rationale="On second thought")
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "On second thought" in html
    assert at("label-revise", queue, Judgment.objects.get().pk) in html
    assert client.post(at("label-retake", queue), form_on(answer), headers=HTMX).status_code == 409
    assert Judgment.objects.get().rationale == "First"


@pytest.mark.parametrize("wrong", [{"preference": ""}, {"rationale": "Half a thought" + "." * 10_000}])
def test_what_was_typed_comes_back_although_it_is_wrong_and_somebody_else_has_the_slot(client, queue, project, wrong):
    make_task(queue, slots=2)
    make_task(queue)
    form = open_task(client, queue)
    slot = let_lease_run_out(pk=form["assignment"])
    Assignment.objects.filter(pk=slot.pk).update(priority=5)
    assert claim_next(queue=queue, annotator=make_member(project), now=timezone.now()).pk == slot.pk
    answer = submit(client, queue, form, **{"rationale": "Half a thought", "flags": ["unsafe"], **wrong})
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "Half a thought" in html
    again = client.post(at("label-retake", queue), form_on(answer), headers=HTMX)
    assert "Half a thought" in again.content.decode()
    assert not Judgment.objects.exists()
