from __future__ import annotations

import uuid

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from feedback.gold import make_gold
from feedback.judging import revise_judgment
from feedback.people import create_simulated_annotator
from feedback.reviewing import review_judgment
from tests.factories import make_judgment, make_member, make_queue, make_snapshot, make_task
from tests.feedback.talks import hold, make_talk_queue, talk


@pytest.fixture(autouse=True)
def logged_in(curator, client):
    client.force_login(curator)


def at(name: str, judgment) -> str:
    return reverse(name, args=[judgment.queue.project.slug, judgment.pk])


def listed(client, project, **filters) -> set:
    answer = client.get(reverse("judgments", args=[project.slug]), filters)
    return {judgment.pk for judgment, *_ in answer.context["rows"]}


def revise(judgment, preference: int):
    return revise_judgment(
        judgment=judgment,
        annotator=judgment.annotator,
        submission_id=uuid.uuid4(),
        answer={"preference": preference},
        rationale="On second thought.",
        flags=(),
        active_seconds=3.0,
        interface="page",
        now=timezone.now(),
    )


def test_the_list_is_narrowed_by_queue_annotator_and_kind(project, client):
    one, two = make_queue(project), make_queue(project)
    person = make_member(project)
    simulated = create_simulated_annotator(project=project, username="sim", rule="Prefers the shorter response.")
    first = make_judgment(queue=one, annotator=person)
    second = make_judgment(queue=two, annotator=person)
    third = make_judgment(queue=two, annotator=simulated)
    assert listed(client, project) == {first.pk, second.pk, third.pk}
    assert listed(client, project, queue=one.pk) == {first.pk}
    assert listed(client, project, annotator=person.pk) == {first.pk, second.pk}
    assert listed(client, project, simulated="yes") == {third.pk}
    assert listed(client, project, simulated="no") == {first.pk, second.pk}


def test_the_list_is_narrowed_by_review_and_snapshot(project, curator, client):
    queue = make_queue(project)
    accepted, rejected, unread = (make_judgment(queue=queue) for _ in range(3))
    review_judgment(judgment=accepted, reviewer=curator, accepted=True)
    review_judgment(judgment=rejected, reviewer=curator, accepted=False, reason="No.")
    snapshot = make_snapshot(project)
    later = make_judgment(queue=queue)
    assert listed(client, project, review="accepted") == {accepted.pk}
    assert listed(client, project, review="rejected") == {rejected.pk}
    assert listed(client, project, review="none") == {unread.pk, later.pk}
    assert listed(client, project, snapshot=snapshot.pk) == {accepted.pk, unread.pk}


def test_only_the_latest_revision_is_listed(project, client):
    first = make_judgment(queue=make_queue(project))
    second = revise(first, -1)
    assert listed(client, project) == {second.pk}


def test_a_queue_of_another_project_narrows_nothing(project, client):
    mine = make_judgment(queue=make_queue(project))
    other = make_queue()
    assert listed(client, project, queue=other.pk) == {mine.pk}


def test_a_judgment_shows_both_responses_the_preferred_one_and_its_provenance(project, client):
    judgment = make_judgment(
        queue=make_queue(project), preference=-3, rationale="It <b>answers</b>.", flags=["personal_data"]
    )
    page = client.get(at("judgment", judgment)).content.decode()
    for shown in (
        *(response.text for response in judgment.task.texts),
        "A much better",
        "version 1",
        "12.5 s",
        "shown first",
        "Personal data",
    ):
        assert shown in page
    assert "It &lt;b&gt;answers&lt;/b&gt;." in page
    assert page.count('class="panel chosen"') == 1
    assert page.index('class="panel chosen"') < page.index('aria-label="Response B"')


def test_a_tie_prefers_neither(project, client):
    judgment = make_judgment(queue=make_queue(project), preference=0)
    page = client.get(at("judgment", judgment)).content.decode()
    assert "Tie" in page
    assert 'class="panel chosen"' not in page


def test_a_superseded_judgment_points_to_the_one_that_counts(project, client):
    first = make_judgment(queue=make_queue(project))
    second = revise(first, 0)
    page = client.get(at("judgment", first)).content.decode()
    assert "The annotator has revised this" in page
    assert at("judgment", second) in page
    assert at("judgment-review", first) not in page


def test_a_judgment_links_to_its_snapshots_and_its_neighbours(project, client):
    queue = make_queue(project, overlap=2)
    task = make_task(queue)
    first, second = (make_judgment(task=task) for _ in range(2))
    snapshot = make_snapshot(project)
    page = client.get(at("judgment", first)).content.decode()
    assert at("judgment", second) in page
    assert reverse("snapshot", args=[project.slug, snapshot.pk]) in page


def test_ml_staff_read_pseudonyms_and_cannot_review(project, annotator, ml_staff, client):
    judgment = make_judgment(queue=make_queue(project), annotator=annotator)
    client.force_login(ml_staff)
    page = client.get(at("judgment", judgment)).content.decode()
    assert project.pseudonym(annotator) in page
    assert at("judgment-review", judgment) not in page


def test_a_curator_accepts(project, curator, client):
    judgment = make_judgment(queue=make_queue(project))
    answer = client.post(at("judgment-review", judgment), {"verdict": "accept"})
    assert answer["Location"] == at("judgment", judgment)
    review = judgment.reviews.get()
    assert (review.accepted, review.reviewer) == (True, curator)


def test_a_review_goes_on_to_the_next_one_of_a_person(project, client):
    queue = make_queue(project)
    first, second = make_judgment(queue=queue), make_judgment(queue=queue)
    answer = client.post(at("judgment-review", first), {"verdict": "accept", "next": "1"})
    assert answer["Location"] == at("judgment", second)
    answer = client.post(at("judgment-review", second), {"verdict": "accept", "next": "1"})
    assert answer["Location"] == at("judgment", second)


def test_a_rejection_needs_a_reason(project, client):
    judgment = make_judgment(queue=make_queue(project))
    answer = client.post(at("judgment-review", judgment), {"verdict": "reject", "reason": " "})
    assert answer.status_code == 422
    assert "say why" in answer.content.decode().lower()
    assert not judgment.reviews.exists()
    client.post(at("judgment-review", judgment), {"verdict": "reject", "reason": "It names no river."})
    assert judgment.reviews.get().reason == "It names no river."


def test_reviewing_what_has_been_revised_meanwhile_is_a_conflict(project, client):
    first = make_judgment(queue=make_queue(project))
    revise(first, 1)
    answer = client.post(at("judgment-review", first), {"verdict": "accept"})
    assert answer.status_code == 409
    assert not first.reviews.exists()


# Every kind -------------------------------------------------------------------------------------------

SAID = {
    "ranking": {"ranks": [2, 1, None], "not_rankable": [False, False, True]},
    "rating": {"ratings": [{"helpfulness": 4, "correctness": 2, "thumbs": -1}]},
    "demonstration": {"text": "A river **flows**."},
    "correction": {"text": "Put right."},
}
SHOWN = {
    "ranking": ["rank 1", "rank 2", "not rankable", "shown first", "shown at place 3"],
    "rating": ["Helpfulness", "mostly", "Correctness", "mostly wrong", "down"],
    "demonstration": ["18 characters written", "<strong>flows</strong>"],
    "correction": ["10 characters written", "<ins>Put", "<del>"],
}


@pytest.mark.parametrize("kind", SAID)
def test_a_judgment_of_every_kind_is_told_in_response_order_with_its_writers(project, client, kind):
    judgment = make_judgment(queue=make_queue(project, kind=kind), answer=SAID[kind])
    page = client.get(at("judgment", judgment)).content.decode()
    assert [shown for shown in SHOWN[kind] if shown not in page] == []
    assert page.count("a model") == len(judgment.task.texts)
    words = client.get(reverse("judgments", args=[project.slug])).context["rows"][0][2]
    assert escape(words) in page
    if kind == "ranking":
        best = judgment.content["ranks"].index(1)
        assert words.startswith("ABC"[best])


def test_an_edited_winner_is_shown_with_what_changed(project, client):
    queue = make_queue(project, schema={"edit_winner": True})
    judgment = make_judgment(queue=queue, answer={"preference": -1, "edited": "Better still."})
    page = client.get(at("judgment", judgment)).content.decode()
    assert "The better response, improved" in page
    assert "<ins>Better" in page


def test_a_conversation_is_told_turn_by_turn(project, annotator, client):
    slot = hold(make_talk_queue(project), annotator)
    turns = talk(slot, 2)
    judgment = make_judgment(slot, answer={})
    page = client.get(at("judgment", judgment)).content.decode()
    for turn in turns:
        assert turn.said in page
        assert turn.first.text in page
        assert turn.second.text in page
    assert "Conversation of 2 turns" in page
    assert page.count("the talk goes on with it") == 2


def test_the_list_is_narrowed_by_kind(project, client):
    compared = make_judgment(queue=make_queue(project))
    written = make_judgment(queue=make_queue(project, kind="demonstration"), answer=SAID["demonstration"])
    assert listed(client, project, kind="comparison") == {compared.pk}
    assert listed(client, project, kind="demonstration") == {written.pk}


@pytest.mark.parametrize(("preference", "tag"), [(2, ">right<"), (-2, ">not right<")])
def test_a_judgment_of_gold_tells_whether_it_is_right(project, curator, client, preference, tag):
    task = make_task(make_queue(project))
    judgment = make_judgment(task=task, preference=preference)
    make_gold(task=task, answer={"preference": 1}, created_by=curator)
    assert tag in client.get(at("judgment", judgment)).content.decode()
