"""The form of every kind of task, as a browser without scripts sends it, stored, drafted, shown again and revised."""

from __future__ import annotations

import uuid

import pytest

from feedback.models import Judgment
from tests.factories import make_prompt, make_queue, make_response, make_task
from tests.pages.label import HTMX, at, form_on, open_task

pytestmark = pytest.mark.django_db
ATTRIBUTES = [
    {"key": "helpful", "label": "Helpful", "definition": "How far it helps.", "anchors": ["not", "fully"]},
    {"key": "thumbs", "label": "All in all", "style": "thumbs", "required": False},
]
FILLED = {
    "comparison": {"preference": "-1", "edited": "Better still."},
    "ranking": {"rank-0": "2", "rank-1": "1", "rank-2": "", "not_rankable-2": "1"},
    "rating": {"rating-0-helpful": "4", "rating-0-thumbs": "-1"},
    "demonstration": {"text": "Words of\r\nmy own."},
    "correction": {"text": "Put right."},
}
SAID = {
    "comparison": {"preference": -1, "edited": "Better still."},
    "ranking": {"ranks": [2, 1, None], "not_rankable": [False, False, True]},
    "rating": {"ratings": [{"helpful": 4, "thumbs": -1}]},
    "demonstration": {"text": "Words of\nmy own."},
    "correction": {"text": "Put right."},
}
SCHEMAS = {"comparison": {"edit_winner": True}, "rating": {"attributes": ATTRIBUTES}}


@pytest.fixture(params=list(FILLED))
def queue(request, project, annotator, client):
    client.force_login(annotator)
    return make_queue(project, kind=request.param, schema=SCHEMAS.get(request.param, {}))


def test_what_the_form_says_is_stored_as_the_person_saw_it(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    flag = {"flag": ["unsafe", "other"], "flag-kind-unsafe": "Self-harm"}
    answer = client.post(at("label-submit", queue), {**form, **FILLED[queue.kind], **flag, "rationale": "Because."})
    assert answer.status_code == 302
    judgment = Judgment.objects.get()
    assert judgment.shown_answer.as_sent(queue.kind) == SAID[queue.kind]
    assert judgment.rationale == "Because."
    assert [(one["flag"], one["kind"]) for one in judgment.flags] == [("unsafe", "Self-harm"), ("other", "")]


def test_a_draft_comes_back_on_the_page(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    client.post(at("label-draft", queue), {**form, **FILLED[queue.kind]}, headers={"Accept": "application/json"})
    html = client.get(at("label", queue)).content.decode()
    shown = {
        "comparison": ["Better still.", 'value="-1" required checked'],
        "ranking": ['name="not_rankable-2" form="judge" value="1" checked', '<option value="2" selected>'],
        "rating": ['name="rating-0-helpful" form="judge" value="4" data-key="4" checked'],
        "demonstration": ["Words of\nmy own."],
        "correction": ["Put right."],
    }
    assert [part for part in shown[queue.kind] if part not in html] == []


def test_an_unfinished_answer_is_refused_and_comes_back(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    unfinished = {"text": "  "} if "text" in FILLED[queue.kind] else {}
    answer = client.post(at("label-submit", queue), {**form, **unfinished, "rationale": "Kept"}, headers=HTMX)
    assert answer.status_code == 422
    assert "Kept" in answer.content.decode()
    assert form_on(answer)["submission_id"] == form["submission_id"]
    assert not Judgment.objects.exists()


@pytest.mark.parametrize(
    "nonsense",
    [
        {"preference": "x", "rank-0": "x", "rating-0-helpful": "x", "text": "a\x00"},
        {"shown": "9", "rank-0": "1", "text": ""},
    ],
)
def test_nonsense_is_refused(client, queue, nonsense):
    make_task(queue)
    answer = client.post(at("label-submit", queue), {**open_task(client, queue), **nonsense}, headers=HTMX)
    assert answer.status_code == 422
    assert not Judgment.objects.exists()


def test_a_judgment_is_shown_in_words_and_revised(client, queue):
    make_task(queue)
    client.post(at("label-submit", queue), {**open_task(client, queue), **FILLED[queue.kind]})
    first = Judgment.objects.get()
    words = {
        "comparison": "Left is slightly better",
        "ranking": "2 &gt; 1; not rankable: 3",
        "rating": "Helpful 4, All in all -1",
        "demonstration": "16 characters written",
        "correction": "10 characters written",
    }
    assert words[queue.kind] in client.get(at("label-history", queue)).content.decode()
    form = form_on(client.get(at("label-revise", queue, first.pk)))
    answer = client.post(at("label-revise", queue, first.pk), {**form, **FILLED[queue.kind], "rationale": "Again"})
    assert answer.status_code == 302
    second = Judgment.objects.current().get()
    assert (second.supersedes, second.rationale) == (first, "Again")
    assert second.shown_answer.as_sent(queue.kind) == SAID[queue.kind]


def test_a_lost_task_keeps_every_field_of_its_form(client, queue):
    make_task(queue)
    form = {**open_task(client, queue), "lease_token": str(uuid.uuid4())}
    answer = client.post(at("label-submit", queue), {**form, **FILLED[queue.kind]}, headers=HTMX)
    assert answer.status_code == 409
    kept = form_on(answer)
    assert {name: kept.get(name, "") for name in FILLED[queue.kind] if name != "text"} == {
        name: value for name, value in FILLED[queue.kind].items() if name != "text"
    }
    assert client.post(at("label-retake", queue), kept, headers=HTMX).status_code == 200
    assert Judgment.objects.get().shown_answer.as_sent(queue.kind) == SAID[queue.kind]


@pytest.mark.parametrize(
    ("levels", "tie", "values"), [(2, False, [-1, 1]), (4, True, [-2, -1, 0, 1, 2]), (4, False, [-2, -1, 1, 2])]
)
def test_the_scale_has_the_steps_of_the_schema(client, project, annotator, levels, tie, values):
    client.force_login(annotator)
    queue = make_queue(project, schema={"levels": levels, "allow_tie": tie})
    make_task(queue)
    html = client.get(at("label", queue)).content.decode()
    assert [value for value in range(-3, 4) if f'name="preference" value="{value}"' in html] == values


def test_a_flag_names_the_response_that_the_person_saw_there(client, project, annotator):
    client.force_login(annotator)
    queue = make_queue(project)
    prompt = make_prompt(project)
    make_task(queue, prompt=prompt, responses=[make_response(prompt, "One."), make_response(prompt, "Two.")])
    form = open_task(client, queue)
    flags = {"flag": "unsafe", "flag-response-unsafe": ["0", "1"]}
    client.post(at("label-submit", queue), {**form, "preference": "1", **flags})
    judgment = Judgment.objects.get()
    assert [one["response"] for one in judgment.shown_answer.flags] == [0, 1] or sorted(
        one["response"] for one in judgment.flags
    ) == [0, 1]
