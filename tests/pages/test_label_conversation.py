"""A talk on the annotator's page: said, waited for, chosen, submitted; nothing lost, nobody named."""

from __future__ import annotations

import re
import uuid
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from feedback.answering import WrittenAnswer, answer_turn, claim_turn, fail_turn, turn_lease
from feedback.models import Assignment, Draft, Judgment, Turn, Worker
from feedback.queues import set_queue_state
from tests.factories import make_member
from tests.feedback.talks import answer_next, hold, make_talk_queue, talk
from tests.pages.label import HTMX, at, form_on, let_lease_run_out, open_task

pytestmark = pytest.mark.django_db
LIVE = re.compile(r'hx-get="([^"]+seen=[^"]+)"')


@pytest.fixture
def queue(project, annotator, client):
    client.force_login(annotator)
    return make_talk_queue(project)


def post(client, queue, name, form, **said):
    return client.post(at(name, queue), {**form, "active_seconds": 2, **said}, headers=HTMX)


def say(client, queue, words="How do tides work?", form=None, **said):
    form = form or open_task(client, queue)
    return post(client, queue, "turn-say", form, message=words, **said)


def choose(client, queue, preference=-2, **said):
    return post(client, queue, "turn-choose", open_task(client, queue), preference=preference, **said)


def text_of(page):
    return unescape(page.content.decode())


def look(client, page):
    """Ask what the fragment on `page` would ask for by itself."""
    (address,) = LIVE.findall(page.content.decode())
    return client.get(unescape(address), headers=HTMX)


def test_a_whole_talk_of_two_turns(client, queue, annotator):
    page = client.get(at("label", queue))
    assert "Write the first words" in text_of(page) or "What to talk about" in text_of(page)
    waiting = say(client, queue)
    assert 'data-state="waiting"' in text_of(waiting)
    assert "How do tides work?" in text_of(waiting)
    answer_next("They follow **the moon**.", "Salt.")
    choosing = client.get(at("label", queue))
    assert "<strong>the moon</strong>" in text_of(choosing)
    assert "Salt." in text_of(choosing)
    assert 'id="submit"' not in text_of(choosing)
    chosen = choose(
        client,
        queue,
        3,
        **{"turn-rationale": "Short.", "turn-flag": ["hallucination"], "turn-flag-response-hallucination": 0},
    )
    assert 'data-state="writing"' in text_of(chosen)
    turn = Turn.objects.get()
    assert (turn.preference, turn.rationale) == (3, "Short.")
    assert turn.flags == [{"flag": "hallucination", "kind": "", "response": 0}]
    assert turn.went_on_with.text == "Salt."
    say(client, queue, "And then?")
    answer_next()
    choose(client, queue, 0)
    ended = post(client, queue, "label-submit", open_task(client, queue), rationale="A dull talk.")
    assert ended.status_code == 200
    judgment = Judgment.objects.get()
    assert judgment.content == {"turns": [str(turn.pk) for turn in Turn.objects.order_by("number")]}
    assert (judgment.rationale, judgment.annotator, judgment.interface) == ("A dull talk.", annotator, "page")


def test_the_talk_goes_without_scripts(client, queue):
    form = open_task(client, queue)
    said = client.post(at("turn-say", queue), {**form, "message": "Hello"}, follow=True)
    assert said.redirect_chain == [(at("label", queue), 302)]
    assert "Look again" in text_of(said)
    answer_next()
    form = open_task(client, queue)
    assert client.post(at("turn-choose", queue), {**form, "preference": 1}).status_code == 302
    assert Turn.objects.get().state == Turn.State.CHOSEN
    form = open_task(client, queue)
    refused = client.post(at("turn-say", queue), {**form, "message": " "})
    assert refused.status_code == 422
    assert "Write something first" in text_of(refused).replace("write", "Write")
    assert "<html" in text_of(refused)


def test_the_fragment_that_waits_asks_by_itself_and_the_one_that_is_done_does_not(client, queue):
    Worker.objects.create(name="talker", work=Worker.Work.TALKS, last_seen_at=timezone.now())
    waiting = say(client, queue)
    assert "Two answers are being written" in text_of(waiting)
    assert look(client, waiting).status_code == 204
    claim_turn(worker="w")
    assert look(client, waiting).status_code == 204
    Worker.objects.all().delete()
    alone = look(client, waiting)
    assert "Nobody writes answers at the moment" in text_of(alone)
    answer_turn(turn_lease(Turn.objects.get()), answers=[WrittenAnswer("One", True), WrittenAnswer("Two", True)])
    done = look(client, alone)
    assert done.status_code == 200
    assert 'data-announce="Two answers are there.' in text_of(done)
    assert "data-live" not in text_of(done)


def test_a_worker_for_runs_answers_nobody(client, queue):
    Worker.objects.create(name="runs", last_seen_at=timezone.now())
    assert "Nobody writes answers" in text_of(say(client, queue))


def test_a_turn_that_failed_says_so_and_is_tried_again(client, queue):
    say(client, queue, "Precious words")
    fail_turn(turn_lease(claim_turn(worker="w")), message="policy dpo-3 is gone", for_good=True)
    page = client.get(at("label", queue))
    assert "No answer could be had" in text_of(page)
    assert "Precious words" in text_of(page)
    assert "dpo-3" not in text_of(page), "why it failed may name a model"
    again = post(client, queue, "turn-retry", form_on(page))
    assert 'data-state="waiting"' in text_of(again)
    assert Turn.objects.get().state == Turn.State.WAITING


def test_the_last_choice_can_be_made_again(client, queue):
    say(client, queue)
    answer_next("One", "Two")
    page = choose(client, queue, -2, **{"turn-rationale": "First thought"})
    (address,) = re.findall(r'id="again-choice" href="([^"]+)"', text_of(page))
    again = client.get(address)
    assert 'data-state="choosing"' in text_of(again)
    assert "First thought" in text_of(again)
    assert re.search(r'value="-2" required checked', text_of(again))
    post(client, queue, "turn-choose", form_on(again), preference=1, **{"turn-rationale": "Second thought"})
    turn = Turn.objects.get()
    assert (turn.preference, turn.rationale, turn.went_on_with) == (1, "Second thought", turn.second)


def test_a_chosen_turn_shows_the_choice_and_the_other_answer(client, queue):
    say(client, queue)
    answer_next("The kept one", "The other one")
    shown = text_of(choose(client, queue, -1))
    assert "Left is slightly better" in shown
    assert shown.index("The kept one") < shown.index("The other one")


# Nothing is lost ----------------------------------------------------------------------------------------


def test_unsent_words_and_an_unsent_choice_come_back(client, queue):
    form = open_task(client, queue)
    assert post(client, queue, "label-draft", form, message="Half a th").status_code == 204
    assert "Half a th</textarea>" in text_of(client.get(at("label", queue)))
    say(client, queue, "A whole thought")
    assert Draft.objects.get().content == {}
    answer_next()
    form = open_task(client, queue)
    said = {"preference": 2, "turn-rationale": "It has rea", "turn-flag": "unsafe", "turn-flag-response-unsafe": 1}
    assert post(client, queue, "label-draft", form, **said).status_code == 204
    page = text_of(client.get(at("label", queue)))
    assert re.search(r'value="2" required checked', page)
    assert "It has rea</textarea>" in page
    assert re.search(r'name="turn-flag-response-unsafe" value="1" checked', page)
    after = text_of(choose(client, queue, 2))
    assert "It has rea" not in after.split('id="judge"')[1]


def test_what_is_said_of_the_whole_and_of_one_choice_are_kept_apart(client, queue):
    form = open_task(client, queue)
    whole = {"rationale": "On the\nwhole", "flag": "unsafe", "flag-kind-unsafe": "Other"}
    assert post(client, queue, "label-draft", form, **whole).status_code == 204
    say(client, queue)
    answer_next()
    page = client.get(at("label", queue))
    assert form_on(page)["rationale"] == "On the\nwhole"
    assert 'name="flag" value="unsafe" checked hidden' in text_of(page)
    assert "On the" not in re.findall(r"<textarea[^>]*turn-rationale[^>]*>([^<]*)", text_of(page))[0]
    carried = {**form_on(page), "flag": "unsafe", "preference": 1}
    after = post(client, queue, "turn-choose", carried, **{"turn-rationale": "Of this one"})
    assert "On the\nwhole</textarea>" in text_of(after)
    assert re.search(r'name="flag" value="unsafe" checked>', text_of(after))
    turn = Turn.objects.get()
    assert (turn.rationale, turn.flags) == ("Of this one", [])


def test_words_that_are_refused_stay_in_the_box(client, queue):
    form = open_task(client, queue)
    refused = say(client, queue, "x" * 10_001, form=form)
    assert refused.status_code == 422
    assert "too many" in text_of(refused)
    assert "x" * 10_001 in text_of(refused)


def test_words_for_a_turn_that_is_there_already_are_shown_to_be_copied(client, queue):
    form = open_task(client, queue)
    say(client, queue, "From one tab", form=form)
    refused = say(client, queue, "From another tab", form=form)
    assert refused.status_code == 409
    assert "says something else" in text_of(refused)
    assert "From another tab" in text_of(refused).split('id="unsent-words"')[1]
    assert say(client, queue, "From one tab", form=form).status_code == 200
    assert Turn.objects.count() == 1


def test_a_lease_that_ran_out_is_taken_again_without_a_word_lost(client, queue):
    form = open_task(client, queue)
    let_lease_run_out()
    assert 'data-state="waiting"' in text_of(say(client, queue, "Late words", form=form))
    assert Turn.objects.get().said == "Late words"
    slot = Assignment.objects.get()
    assert str(slot.lease_token) != form["lease_token"]


def test_words_for_a_task_that_somebody_else_has_are_kept_and_shown(client, queue, project):
    form = open_task(client, queue)
    let_lease_run_out()
    hold(queue, make_member(project))
    lost = say(client, queue, "Late words", form=form)
    assert lost.status_code == 409
    assert "Late words" in text_of(lost)
    assert Draft.objects.get().content == {"message": "Late words", "turn": 1}
    assert not Turn.objects.exists()


def test_submitting_with_unsent_words_is_refused_and_keeps_them(client, queue, annotator):
    talk(hold(queue, annotator))
    refused = post(client, queue, "label-submit", open_task(client, queue), message="Not yet sent")
    assert refused.status_code == 422
    assert "Not yet sent</textarea>" in text_of(refused)
    assert not Judgment.objects.exists()


def test_a_talk_too_short_cannot_be_submitted(client, project, annotator):
    client.force_login(annotator)
    queue = make_talk_queue(project, min_turns=2)
    talk(hold(queue, annotator))
    page = client.get(at("label", queue))
    assert "1 more turn before you can submit" in text_of(page)
    refused = post(client, queue, "label-submit", form_on(page))
    assert refused.status_code == 422
    assert "at least 2 turns" in text_of(refused)


def test_a_queue_that_was_paused_lets_the_holder_go_on(client, queue):
    form = open_task(client, queue)
    set_queue_state(queue=queue, state="paused")
    assert say(client, queue, form=form).status_code == 200
    answer_next()
    assert 'data-state="choosing"' in text_of(client.get(at("label", queue)))


def test_a_given_prompt_opens_the_talk(client, project, annotator):
    client.force_login(annotator)
    queue = make_talk_queue(project, opening="given")
    page = client.get(at("label", queue))
    assert 'data-state="waiting"' in text_of(page)
    client.get(at("label", queue))
    assert Turn.objects.count() == 1


def test_a_submitted_talk_is_read_and_its_reason_revised(client, queue, annotator):
    talk(hold(queue, annotator))
    post(client, queue, "label-submit", open_task(client, queue))
    judgment = Judgment.objects.get()
    address = at("label-revise", queue, judgment.pk)
    page = client.get(address)
    assert "Words of turn 1." in text_of(page)
    assert "A1" in text_of(page)
    assert 'name="message"' not in text_of(page)
    assert client.post(address, {**form_on(page), "rationale": "Looking back."}).status_code == 302
    revised = Judgment.objects.current().get()
    assert (revised.content, revised.rationale) == (judgment.content, "Looking back.")
    assert client.get(at("label-history", queue)).status_code == 200


def test_a_talk_is_found_by_what_was_said_in_it(client, queue, annotator):
    talk(hold(queue, annotator), 2)
    post(client, queue, "label-submit", open_task(client, queue))
    shown = text_of(client.get(at("label-history", queue), {"q": "words OF turn 2"}))
    assert "Conversation of 2 turns" in shown
    assert "Conversation of" not in text_of(client.get(at("label-history", queue), {"q": "nothing of that"}))


def test_a_reason_is_asked_for_with_the_talk_and_not_with_every_choice(client, project, annotator):
    client.force_login(annotator)
    queue = make_talk_queue(project, rationale="required")
    say(client, queue)
    answer_next()
    choosing = text_of(client.get(at("label", queue)))
    assert "needed in this queue" not in choosing
    assert choose(client, queue, 1).status_code == 200
    page = client.get(at("label", queue))
    assert "needed in this queue" in text_of(page)
    assert post(client, queue, "label-submit", form_on(page)).status_code == 422
    assert post(client, queue, "label-submit", form_on(page), rationale="All in all").status_code == 200
    assert Judgment.objects.get().rationale == "All in all"


def test_curators_read_on_the_queues_page_why_no_answer_came(client, queue, curator):
    say(client, queue)
    fail_turn(turn_lease(claim_turn(worker="w")), message="The files of dpo-3 are gone.", for_good=True)
    client.force_login(curator)
    page = client.get(reverse("queue", args=[queue.project.slug, queue.pk]))
    assert "The files of dpo-3 are gone." in text_of(page)


# Who may, and what they never see -----------------------------------------------------------------------


def addresses(queue, task):
    return [("post", at(name, queue)) for name in ("turn-say", "turn-choose", "turn-retry")] + [
        ("get", at(name, queue, task)) for name in ("turn-state", "turn-again")
    ]


@pytest.mark.parametrize(("who", "status"), [("curator", 403), ("ml_staff", 403), ("outsider", 404)])
def test_only_those_who_label_may_talk(client, project, request, who, status):
    queue = make_talk_queue(project)
    client.force_login(request.getfixturevalue(who))
    for method, address in addresses(queue, queue.tasks.get().pk):
        assert getattr(client, method)(address).status_code == status


def test_nobody_talks_in_somebody_elses_talk(client, queue, project):
    other = hold(queue, make_member(project))
    talk(other)
    form = {"assignment": other.pk, "lease_token": other.lease_token, "task": other.task_id, "shown": 0, "turn": 2}
    form["submission_id"] = uuid.uuid4()
    assert say(client, queue, "Intruding", form=form).status_code == 409
    assert Turn.objects.count() == 1
    page = client.get(at("turn-state", queue, other.task_id), headers=HTMX)
    assert "Words of turn 1" not in text_of(page)
    assert client.get(at("turn-state", queue, uuid.uuid4())).status_code == 404


def test_a_made_up_lease_takes_no_task(client, queue):
    task = queue.tasks.get()
    form = {"assignment": task.assignments.get().pk, "lease_token": uuid.uuid4(), "task": task.pk, "shown": 0}
    answer = say(client, queue, "Let me in", form={**form, "turn": 1, "submission_id": uuid.uuid4()})
    assert answer.status_code == 409
    assert task.assignments.get().state == Assignment.State.OPEN
    assert not Draft.objects.exists()


def test_no_page_of_a_talk_says_who_answers(client, queue, project):
    seen = [text_of(client.get(at("label", queue))), text_of(say(client, queue))]
    turn = claim_turn(worker="secret-worker")
    answers = [WrittenAnswer("One", True, "secret-model", uuid.UUID(turn.policies[0])), WrittenAnswer("Two", True)]
    turn = answer_turn(turn_lease(turn), answers=answers)
    seen.append(text_of(client.get(at("label", queue))))
    seen.append(text_of(choose(client, queue, 1)))
    seen.append(text_of(client.get(at("turn-again", queue, turn.task_id))))
    hidden = ["secret", *turn.policies, str(turn.first_id), str(turn.second_id), str(turn.pk), str(turn.prompt_id)]
    hidden += [str(seed) for seed in turn.sampling["seeds"]]
    for page in seen:
        assert [word for word in hidden if word in page] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"turn": ""},
        {"turn": "x"},
        {"turn": "0"},
        {"turn": "99"},
        {"turn": "-1"},
        {"task": "x"},
        {"assignment": ""},
        {"lease_token": "no"},
        {"preference": "9"},
        {"preference": "two"},
        {"flag": "nonsense"},
        {"flag": "unsafe", "flag-kind-unsafe": "nonsense"},
        {"flag": "unsafe", "flag-response-unsafe": "7"},
        {"turn-flag": "nonsense", "preference": "1"},
        {"turn-flag": "unsafe", "turn-flag-response-unsafe": "7", "preference": "1"},
        {"turn-rationale": "x" * 10_001, "preference": "1"},
        {"rationale": "x" * 10_001},
        {"active_seconds": "-5"},
        {"active_seconds": "nan"},
        {"message": "a\x00b"},
        {"shown": "99"},
    ],
)
def test_whatever_is_sent_is_answered_clearly_and_changes_nothing(client, queue, wrong):
    say(client, queue)
    answer_next()
    form = open_task(client, queue)
    before = Turn.objects.values().get()
    for name in ("turn-say", "turn-choose", "turn-retry", "label-submit", "label-draft"):
        answer = post(client, queue, name, {**form, "preference": "", **wrong})
        assert answer.status_code in (200, 204, 404, 409, 422), (name, answer.status_code)
    assert Turn.objects.values().get() == before
    assert not Judgment.objects.exists()
