"""Whatever is posted to the annotator's page: a clear refusal, never a 500, never a changed row."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from feedback.models import Assignment, Draft, GuidelineReading, Judgment
from feedback.queues import set_queue_state
from tests.bad_input import (
    BODIES,
    CONTENT_TYPES,
    KINDS,
    TALKS,
    TEXTS,
    Place,
    bounded,
    changes,
    check_sound,
    make_place,
    rows,
)

pytestmark = pytest.mark.django_db

SAID = {
    "comparison": {"preference": "2"},
    "ranking": {"rank-0": "2", "rank-1": "1", "not_rankable-2": "on"},
    "rating": {"rating-0-helpfulness": "4", "rating-0-correctness": "2", "rating-0-thumbs": "1"},
    "demonstration": {"text": "What a person would answer."},
    "correction": {"text": "What it should have said."},
    "conversation": {},
}
DOORS: dict[str, dict[str, str]] = {"whole": {}, "htmx": {"HX-Request": "true"}, "json": {"Accept": "application/json"}}
"""The three ways in which a form is sent: by a browser alone, by htmx, by the page's own script."""
TOLD = re.compile(r'field-error" role="alert">[^<]+<| data-lost ')
"""What a page says to a person who was refused: what is wrong, or that the task is lost."""
Form = dict[str, Any]


@dataclass(frozen=True)
class Post:
    name: str
    path: str
    form: Form


def post_to(place: Place, name: str, form: Form, *more: object, queue: Any = None) -> Post:
    return Post(name, reverse(name, args=[queue or place.queue.pk, *more]), form)


def answered(kind: str) -> Form:
    return {**SAID[kind], "rationale": "Because.", "flag": "other", "active_seconds": "1.5"}


def on_slot(place: Place, slot: Assignment, token: Any, *, queue: Any = None) -> list[Post]:
    lease = {"assignment": slot.pk, "lease_token": token}
    whole = {**answered(place.queue.kind), "task": slot.task_id, "shown": len(slot.task.texts)}
    sent = {**whole, **lease, "submission_id": uuid.uuid4()}
    skipped = {**lease, "kind": "later", "reason": "other", "note": "Not today.", "active_seconds": "2"}
    return [
        post_to(place, "label-submit", sent, queue=queue),
        post_to(place, "label-skip", skipped, queue=queue),
        post_to(place, "label-renew", lease, queue=queue),
    ]


def retake(place: Place, slot: Assignment, *, queue: Any = None) -> Post:
    whole = {**answered(place.queue.kind), "task": slot.task_id, "shown": len(slot.task.texts)}
    return post_to(place, "label-retake", {**whole, "submission_id": uuid.uuid4()}, queue=queue)


def posts(place: Place) -> list[Post]:
    whole = {**answered(place.queue.kind), "task": place.held.task_id, "shown": len(place.held.task.texts)}
    revised = {**answered(place.queue.kind), "submission_id": uuid.uuid4()}
    found = [
        *on_slot(place, place.held, place.held.lease_token),
        retake(place, place.late),
        post_to(place, "label-draft", whole),
        post_to(place, "label-unskip", {"task": place.skipped.pk}),
        post_to(place, "label-revise", revised, place.judged.pk),
    ]
    if place.queue.kind in TALKS:
        lease = {"assignment": place.held.pk, "lease_token": place.held.lease_token}
        turn = {**whole, **lease, "submission_id": uuid.uuid4(), "turn": "1"}
        found += [
            post_to(place, "turn-say", {**turn, "turn": "2", "message": "Go on."}),
            post_to(place, "turn-choose", {**turn, "preference": "2"}),
            post_to(place, "turn-retry", turn),
        ]
    return found


@pytest.fixture(params=KINDS)
def place(request, db):
    return make_place(request.param, timezone.now())


def browser(place: Place) -> Client:
    client = Client()
    client.force_login(place.person)
    return client


def send(client: Client, post: Post, form: Form | None = None, door: str = "htmx") -> HttpResponse:
    body = urlencode(post.form if form is None else form, doseq=True).encode()
    return client.generic("POST", post.path, body, "application/x-www-form-urlencoded", headers=DOORS[door])


def check_refusal(answer: HttpResponse) -> None:
    """A refusal is a 4xx that says something: to a script a code and words, to a person a page."""
    assert 400 <= answer.status_code < 500, answer.status_code
    if answer.headers.get("Content-Type") == "application/json":
        said = answer.json()
        assert said.get("detail") or said.get("errors")
    elif answer.status_code not in (400, 404):
        assert TOLD.search(answer.content.decode())


def damage(form: Form, data: st.DataObject) -> Form:
    """Leave fields out, put nonsense into them, send them twice, add others."""
    hurt = {name: str(value) for name, value in form.items()}
    changed: Form = dict(hurt)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(hurt)))
        how = data.draw(st.integers(0, 4))
        if how == 0:
            changed.pop(name, None)
        elif how == 1:
            changed[name] = [str(hurt[name]), data.draw(TEXTS)]
        elif how == 2:
            changed[data.draw(st.one_of(TEXTS, st.sampled_from(ADDED)))] = data.draw(TEXTS)
        else:
            changed[name] = data.draw(TEXTS)
    return changed


ADDED = [
    "preference", "edited", "rank-0", "rank-8", "rank-9", "not_rankable-0", "rating-0-helpfulness", "rating-9-thumbs",
    "rating-0-nothing", "text", "flag", "flag-kind-other", "flag-response-other", "flag-response-unsafe",
    "message", "turn",
]  # fmt: skip


@bounded(25)
@given(data=st.data(), door=st.sampled_from(sorted(DOORS)))
def test_a_damaged_form_is_refused_and_changes_nothing_or_is_sound_after_all(place, data, door):
    post = data.draw(st.sampled_from(posts(place)))
    form = damage(post.form, data)
    before = rows()
    with transaction.atomic():
        answer = send(browser(place), post, form, door)
        if answer.status_code >= 400:
            check_refusal(answer)
            assert changes(before) == {}
        else:
            assert answer.status_code in (200, 201, 204, 302)
            check_sound(place)
        transaction.set_rollback(True)


@bounded(25)
@given(which=st.integers(0, 9), body=BODIES, content_type=CONTENT_TYPES, door=st.sampled_from(sorted(DOORS)))
def test_what_is_no_form_is_refused(place, which, body, content_type, door):
    post = posts(place)[which % len(posts(place))]
    before = rows()
    answer = browser(place).generic("POST", post.path, body, content_type, headers=DOORS[door])
    check_refusal(answer)
    assert changes(before) == {}


# Late


@pytest.mark.parametrize("door", sorted(DOORS))
def test_a_late_submission_is_kept_as_a_draft_and_changes_nothing_else(place, door):
    client = browser(place)
    for slot, token in ((place.late, place.late.lease_token), (place.taken, place.token_of_taken)):
        submit, *others = on_slot(place, slot, token)
        before = rows()
        for post in others:
            answer = send(client, post, door=door)
            check_refusal(answer)
            assert answer.status_code == 409
        assert changes(before) == {}
        answer = send(client, submit, door=door)
        check_refusal(answer)
        assert (answer.status_code, set(changes(before))) == (409, {"Draft"})
        assert Draft.objects.get(task=slot.task).annotator == place.person
    before = rows()
    answer = send(client, retake(place, place.taken), door=door)
    check_refusal(answer)
    assert (answer.status_code, changes(before)) == (409, {})


@pytest.mark.parametrize("state", ["paused", "closed"])
def test_a_queue_that_is_not_open_gives_nothing_back(place, state):
    set_queue_state(queue=place.queue, state=state)
    before = rows()
    for post in (retake(place, place.late), post_to(place, "label-unskip", {"task": place.skipped.pk})):
        answer = send(browser(place), post)
        check_refusal(answer)
        assert answer.status_code == 409
    assert changes(before) == {}


# Foreign


@bounded(3)
@given(token=st.one_of(st.just("theirs"), st.uuids()), door=st.sampled_from(sorted(DOORS)))
def test_nobody_works_on_what_is_somebody_elses(place, token, door):
    client = browser(place)
    before = rows()
    theirs = post_to(
        place, "label-revise", {**answered(place.queue.kind), "submission_id": uuid.uuid4()}, place.others_judgment.pk
    )
    calls: list[tuple[Post, int]] = [(theirs, 404), (retake(place, place.foreign), 409)]
    for slot in (place.foreign, place.taken):
        calls += [(post, 409) for post in on_slot(place, slot, slot.lease_token if token == "theirs" else token)]
    calls.append((post_to(place, "label-unskip", {"task": place.foreign.task_id}), 422))
    away, home = place.elsewhere, place.elsewhere.queue_id
    calls += [(post, 404) for post in on_slot(place, away, away.lease_token, queue=home)]
    calls += [(retake(place, away, queue=home), 404)]
    submit, *_ = on_slot(place, away, away.lease_token)
    calls += [(submit, 404), (retake(place, away), 404)]
    calls.append((post_to(place, "label-draft", {**answered(place.queue.kind), "task": away.task_id, "shown": 0}), 404))
    for post, status in calls:
        answer = send(client, post, door=door)
        check_refusal(answer)
        assert answer.status_code == status, post
    assert changes(before) == {}


# Replayed


@pytest.mark.parametrize("door", sorted(DOORS))
def test_the_same_submission_again_is_the_same_judgment(place, door):
    client = browser(place)
    submit = on_slot(place, place.held, place.held.lease_token)[0]
    revise = next(post for post in posts(place) if post.name == "label-revise")
    for post in (submit, revise):
        assert send(client, post, door="json").status_code in (201, 302)
        judgments = Judgment.objects.count()
        assert send(client, post, door=door).status_code in (200, 201, 302)
        assert Judgment.objects.count() == judgments


def test_the_same_id_with_another_content_or_for_another_task_is_refused(place):
    client = browser(place)
    submit = on_slot(place, place.held, place.held.lease_token)[0]
    assert send(client, submit, door="json").status_code == 201
    used = submit.form["submission_id"]
    before = rows()
    revise = next(post for post in posts(place) if post.name == "label-revise")
    for post, form in (
        (submit, {**submit.form, "rationale": "Another reason."}),
        (retake(place, place.late), {**retake(place, place.late).form, "submission_id": used}),
        (revise, {**revise.form, "submission_id": used}),
    ):
        for door in sorted(DOORS):
            answer = send(client, post, form, door)
            check_refusal(answer)
            assert answer.status_code == 409
    assert changes(before) == {}


def test_a_skip_again_finds_no_lease_and_takes_no_other_task(place):
    client = browser(place)
    _, skip, renew = on_slot(place, place.held, place.held.lease_token)
    assert send(client, skip, door="whole").status_code == 302
    before = rows()
    for post in (skip, renew):
        answer = send(client, post)
        check_refusal(answer)
        assert answer.status_code == 409
    assert changes(before) == {}


def test_guidelines_are_read_once_however_often_that_is_said(place):
    client = browser(place)
    path = reverse("label-guidelines", args=[place.queue.pk])
    for body in (b"", b"x=1", b"\xff", b"guideline=99"):
        sent = client.generic("POST", path, body, "application/x-www-form-urlencoded", headers=DOORS["json"])
        assert sent.status_code == 204
    assert GuidelineReading.objects.count() == 1
