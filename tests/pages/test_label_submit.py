"""A judgment is stored once, as it was meant, and the next comparison is there."""

from __future__ import annotations

import uuid

import pytest

from feedback.models import Assignment, Draft, Judgment
from tests.factories import make_judgment, make_queue, make_task
from tests.pages.label import at, first_shown, form_on, keys_of, open_task, submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project, annotator, client):
    client.force_login(annotator)
    return make_queue(project)


def test_submitting_stores_the_judgment_and_answers_with_the_next_comparison(client, queue, annotator):
    make_task(queue)
    make_task(queue)
    form = open_task(client, queue)
    answer = submit(client, queue, form, preference=-3, rationale="Right to the point.", flag=["unsafe", "off_topic"])
    assert answer.status_code == 200
    assert form_on(answer)["assignment"] != form["assignment"]
    judgment = Judgment.objects.get()
    slot = Assignment.objects.get(pk=form["assignment"])
    assert judgment.shown_answer.preference == -3
    assert judgment.chosen_id == slot.shown_responses[0].pk
    assert (judgment.rationale, keys_of(judgment.flags)) == ("Right to the point.", ["unsafe", "off_topic"])
    assert (judgment.interface, judgment.annotator, judgment.display_order) == ("page", annotator, slot.display_order)


@pytest.mark.parametrize("preference", range(-3, 4))
def test_left_is_what_was_shown_first(client, queue, preference):
    for _ in range(3):
        make_task(queue)
        form = open_task(client, queue)
        submit(client, queue, form, preference=preference)
        judgment = Judgment.objects.get(assignment=form["assignment"])
        if preference == 0:
            assert judgment.chosen_id is None
        else:
            assert (judgment.chosen_id == first_shown(judgment)) == (preference < 0)


def test_the_same_submission_twice_stores_one_row_and_shows_the_same_next(client, queue):
    make_task(queue)
    make_task(queue)
    form = open_task(client, queue)
    first, second = submit(client, queue, form), submit(client, queue, form)
    assert (first.status_code, second.status_code) == (200, 200)
    assert form_on(first)["assignment"] == form_on(second)["assignment"]
    assert Judgment.objects.count() == 1


def test_without_scripts_the_form_posts_and_redirects(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    answer = client.post(at("label-submit", queue), {**form, "preference": 1})
    assert answer.status_code == 302
    assert answer["Location"] == at("label", queue)
    assert Judgment.objects.count() == 1


def test_without_a_choice_the_same_page_comes_back_with_everything_typed(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    answer = submit(client, queue, form, preference="", rationale="Typed & kept", flag=["other"])
    html = answer.content.decode()
    assert answer.status_code == 422
    assert "choose a step of the scale first" in html
    assert "Typed &amp; kept" in html
    assert 'value="other" checked' in html
    assert form_on(answer)["submission_id"] == form["submission_id"]
    assert not Judgment.objects.exists()


def test_without_scripts_a_refusal_is_the_whole_page(client, queue):
    make_task(queue)
    answer = client.post(at("label-submit", queue), {**open_task(client, queue), "rationale": "Kept"})
    assert answer.status_code == 422
    assert "<html" in answer.content.decode()
    assert "Kept" in answer.content.decode()


def test_a_tie_where_none_is_allowed_is_refused(client, project, queue):
    strict = make_queue(project, schema={"allow_tie": False})
    make_task(strict)
    answer = submit(client, strict, open_task(client, strict), preference=0)
    assert answer.status_code == 422
    assert "allows no tie" in answer.content.decode()


def test_a_missing_reason_is_refused_where_one_is_asked_for(client, project, queue):
    strict = make_queue(project, schema={"rationale": "required"})
    make_task(strict)
    answer = submit(client, strict, open_task(client, strict), rationale="  \n ")
    assert answer.status_code == 422
    assert "asks for a reason" in answer.content.decode()


@pytest.mark.parametrize(
    "damage",
    [{"preference": 4}, {"preference": "x"}, {"rationale": "a" * 10_001}, {"rationale": "a\x00b"}, {"flag": ["rude"]},
     {"active_seconds": -1}, {"active_seconds": "nan"}, {"shown": 99},
     {"flag": ["unsafe"], "flag-kind-unsafe": "rude"}, {"submission_id": "x"}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_nothing_is_stored(client, queue, damage):
    make_task(queue)
    answer = submit(client, queue, open_task(client, queue), **damage)
    assert answer.status_code == 422
    assert not Judgment.objects.exists()


def test_a_line_break_counts_as_one_character(client, queue):
    make_task(queue)
    text = "\r\n".join(["a" * 99] * 100)
    assert submit(client, queue, open_task(client, queue), rationale=text).status_code == 200
    assert len(Judgment.objects.get().rationale) == 9_999


def test_active_seconds_are_cut_to_the_time_that_has_passed(client, queue):
    make_task(queue)
    submit(client, queue, open_task(client, queue), active_seconds=5_000)
    assert Judgment.objects.get().active_seconds < 60


def test_a_submission_id_of_another_judgment_is_replaced_and_nothing_typed_is_lost(client, queue, project):
    taken = make_judgment().submission_id
    make_task(queue)
    form = open_task(client, queue)
    answer = submit(client, queue, {**form, "submission_id": str(taken)}, rationale="Mine")
    assert answer.status_code == 409
    assert "Mine" in answer.content.decode()
    again = form_on(answer)
    assert again["submission_id"] != str(taken)
    assert submit(client, queue, again, rationale="Mine").status_code == 200


def test_submitting_clears_the_draft(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    client.post(at("label-draft", queue), {**form, "rationale": "half"})
    submit(client, queue, form, rationale="whole")
    assert not Draft.objects.exists()


def test_an_assignment_of_another_comparison_is_not_found(client, queue, project):
    form = None
    make_task(queue)
    form = open_task(client, queue)
    other = make_task(queue)
    assert submit(client, queue, {**form, "task": str(other.pk)}).status_code == 404
    elsewhere = make_task(make_queue(project))
    assert submit(client, queue, {**form, "task": str(elsewhere.pk)}).status_code == 404
    assert submit(client, queue, {**form, "assignment": str(uuid.uuid4())}).status_code == 404


def test_the_last_comparison_is_followed_by_a_friendly_end(client, queue):
    make_task(queue)
    html = submit(client, queue, open_task(client, queue)).content.decode()
    assert "Nothing left for you here" in html
    assert "Done: 1 task today" in html
