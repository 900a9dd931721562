"""Whatever is thrown at the annotator's endpoints: a clear refusal, never a 500, never a changed row."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from feedback.models import Assignment, Draft
from feedback.queues import set_queue_state
from tests.api.people import ApiClient
from tests.api.sending import Endpoint, check_refusal, send
from tests.bad_input import (
    ANSWERS,
    BODIES,
    CONTENT_TYPES,
    KINDS,
    TALKS,
    VALUES,
    Place,
    as_json,
    bounded,
    changes,
    check_sound,
    damaged,
    make_place,
    rows,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(params=KINDS)
def place(request, db):
    return make_place(request.param, timezone.now())


def whole(kind: str) -> dict[str, Any]:
    flag = {"flag": "other", "kind": "", "response": None}
    return {"answer": ANSWERS[kind], "rationale": "Because.", "flags": [flag], "active_seconds": 1.5}


def on_slot(kind: str, slot: Assignment, token: Any) -> list[Endpoint]:
    at, lease = f"assignments/{slot.pk}", {"lease_token": str(token)}
    return [
        Endpoint("submit", "post", f"{at}/submit/", {**whole(kind), **lease, "submission_id": str(uuid.uuid4())}),
        Endpoint("skip", "post", f"{at}/skip/", {**lease, "kind": "later", "reason": "other", "note": "Not today."}),
        Endpoint("renew", "post", f"{at}/renew/", lease),
    ]


def endpoints(place: Place) -> list[Endpoint]:
    kind = place.queue.kind
    turn = {"lease_token": str(place.held.lease_token), "number": 1}
    at = f"assignments/{place.held.pk}/talk"
    talking = [
        Endpoint("say", "post", f"{at}/say/", {**turn, "number": 2, "text": "Go on.", "active_seconds": 1}),
        Endpoint("choose", "post", f"{at}/choose/", {**turn, "preference": 2, "rationale": "", "flags": ["other"]}),
        Endpoint("retry", "post", f"{at}/retry/", turn),
    ]
    return [
        *on_slot(kind, place.held, place.held.lease_token),
        Endpoint("draft", "put", f"tasks/{place.held.task_id}/draft/", whole(kind)),
        Endpoint(
            "revise",
            "post",
            f"judgments/{place.judged.pk}/revise/",
            {**whole(kind), "submission_id": str(uuid.uuid4())},
        ),
        *(talking if kind in TALKS else []),
    ]


@bounded(30)
@given(data=st.data())
def test_a_damaged_body_is_refused_and_changes_nothing_or_is_sound_after_all(place, data):
    api = ApiClient(place.person)
    endpoint = data.draw(st.sampled_from(endpoints(place)))
    body = data.draw(damaged(endpoint.body))
    before = rows()
    with transaction.atomic():
        answer = send(api, endpoint, as_json(body))
        if answer.status_code >= 300:
            check_refusal(answer)
            assert changes(before) == {}
        else:
            assert answer.status_code in (200, 201, 204)
            check_sound(place)
        transaction.set_rollback(True)


@bounded(25)
@given(which=st.integers(0, 7), body=st.one_of(BODIES, VALUES.map(as_json)), content_type=CONTENT_TYPES)
def test_what_is_no_json_object_is_refused(place, which, body, content_type):
    endpoint = endpoints(place)[which % len(endpoints(place))]
    before = rows()
    with transaction.atomic():
        answer = send(ApiClient(place.person), endpoint, body, content_type)
        if answer.status_code < 300:  # a draft of nothing is a draft
            assert endpoint.name == "draft"
        else:
            check_refusal(answer)
            assert changes(before) == {}
        transaction.set_rollback(True)


@bounded(10)
@given(name=st.text(st.characters(codec="utf-8"), max_size=40), which=st.integers(0, 4))
def test_an_address_that_is_none_is_not_found(place, name, which):
    endpoint = endpoints(place)[which]
    stem, verb = endpoint.path.split("/")[0], endpoint.path.split("/")[2]
    before = rows()
    answer = getattr(ApiClient(place.person).client, endpoint.method)(
        f"/api/v1/{stem}/{quote(name, safe='')}/{verb}/",
        data=as_json(endpoint.body),
        content_type="application/json",
        headers=ApiClient(place.person).headers,
    )
    assert answer.status_code in (404, 405)
    assert changes(before) == {}


# Late


def test_a_late_submission_is_kept_as_a_draft_and_changes_nothing_else(place):
    for slot, token, is_free in (
        (place.late, place.late.lease_token, True),
        (place.taken, place.token_of_taken, False),
    ):
        submit, *others = on_slot(place.queue.kind, slot, token)
        before = rows()
        for endpoint in others:
            answer = send(ApiClient(place.person), endpoint, as_json(endpoint.body))
            check_refusal(answer)
            assert (answer.status_code, answer.json()["slot_free"]) == (409, is_free)
        assert changes(before) == {}
        answer = send(ApiClient(place.person), submit, as_json(submit.body))
        check_refusal(answer)
        assert (answer.status_code, answer.json()["slot_free"]) == (409, is_free)
        assert set(changes(before)) == {"Draft"}
        draft = Draft.objects.get(task=slot.task)
        assert (draft.annotator, draft.rationale) == (place.person, "Because.")


@pytest.mark.parametrize("state", ["paused", "closed"])
def test_a_queue_that_is_not_open_gives_nothing_back_and_lets_what_is_held_be_finished(place, state):
    set_queue_state(queue=place.queue, state=state)
    api, kind = ApiClient(place.person), place.queue.kind
    before = rows()
    for task in (place.late.task_id, place.skipped.pk):
        answer = api.post(f"tasks/{task}/reclaim/")
        check_refusal(answer)
        assert answer.status_code == 409
    for endpoint in on_slot(kind, place.late, place.late.lease_token)[1:]:
        answer = send(api, endpoint, as_json(endpoint.body))
        assert (answer.status_code, answer.json()["slot_free"]) == (409, False)
    assert changes(before) == {}
    submit = on_slot(kind, place.held, place.held.lease_token)[0]
    assert send(api, submit, as_json(submit.body)).status_code == 201
    answer = api.post(f"queues/{place.queue.pk}/claim/")
    check_refusal(answer)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "queue_not_open")


# Foreign


@bounded(3)
@given(token=st.one_of(st.just("theirs"), st.uuids()), damage=st.booleans(), data=st.data())
def test_nobody_works_on_what_is_somebody_elses(place, token, damage, data):
    api, kind = ApiClient(place.person), place.queue.kind
    theirs = {"submission_id": str(uuid.uuid4())}
    calls: list[tuple[Endpoint, set[int]]] = [
        (Endpoint("revise", "post", f"judgments/{place.others_judgment.pk}/revise/", {**whole(kind), **theirs}), {404}),
        (Endpoint("draft", "put", f"tasks/{place.elsewhere.task_id}/draft/", whole(kind)), {404}),
        (Endpoint("reclaim", "post", f"tasks/{place.elsewhere.task_id}/reclaim/", {}), {404}),
        (Endpoint("reclaim", "post", f"tasks/{place.foreign.task_id}/reclaim/", {}), {409}),
        (Endpoint("claim", "post", f"queues/{place.elsewhere.queue_id}/claim/", {}), {404}),
    ]
    for slot, statuses in ((place.foreign, {400, 409, 422}), (place.taken, {400, 409, 422}), (place.elsewhere, {404})):
        used = slot.lease_token if token == "theirs" else token
        calls += [(endpoint, statuses) for endpoint in on_slot(kind, slot, used)]
    before = rows()
    for endpoint, statuses in calls:
        body = data.draw(damaged(endpoint.body)) if damage else endpoint.body
        answer = send(api, endpoint, as_json(body))
        check_refusal(answer)
        assert answer.status_code in statuses, endpoint
    assert changes(before) == {}


# Replayed


def test_the_same_submission_again_is_the_same_judgment(place):
    api = ApiClient(place.person)
    submit = on_slot(place.queue.kind, place.held, place.held.lease_token)[0]
    revise = endpoints(place)[4]
    for endpoint in (submit, revise):
        first = send(api, endpoint, as_json(endpoint.body))
        before = rows()
        second = send(api, endpoint, as_json(endpoint.body))
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json()["id"] == second.json()["id"]
        assert changes(before) == {}


@bounded(5)
@given(data=st.data())
def test_the_same_id_with_another_content_or_for_another_task_is_refused(place, data):
    api, kind = ApiClient(place.person), place.queue.kind
    submit = on_slot(kind, place.held, place.held.lease_token)[0]
    with transaction.atomic():
        assert send(api, submit, as_json(submit.body)).status_code == 201
        used = submit.body["submission_id"]
        again = api.post(f"tasks/{place.late.task_id}/reclaim/").json()
        before = rows()
        changed = {**submit.body, "rationale": data.draw(st.text(st.characters(codec="ascii"), max_size=9)) + "!"}
        answer = send(api, submit, as_json(changed))
        check_refusal(answer)
        if answer.status_code == 409:
            assert answer.json()["errors"][0]["code"] == "submission_differs"
        other_task = on_slot(kind, place.late, again["lease_token"])[0]
        other_revision = endpoints(place)[4]
        for endpoint in (other_task, other_revision):
            answer = send(api, endpoint, as_json({**endpoint.body, "submission_id": used}))
            check_refusal(answer)
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "submission_id_taken")
        assert changes(before) == {}
        transaction.set_rollback(True)


def test_a_skip_again_or_a_submission_after_a_skip_finds_no_lease(place):
    api = ApiClient(place.person)
    submit, skip, renew = on_slot(place.queue.kind, place.held, place.held.lease_token)
    assert send(api, skip, as_json(skip.body)).status_code == 204
    before = rows()
    for endpoint in (skip, renew):
        answer = send(api, endpoint, as_json(endpoint.body))
        check_refusal(answer)
        assert answer.status_code == 409
    assert changes(before) == {}
    answer = send(api, submit, as_json(submit.body))
    assert (answer.status_code, set(changes(before))) == (409, {"Draft"})


def test_what_is_judged_takes_no_draft_and_is_not_taken_back(place):
    api, kind = ApiClient(place.person), place.queue.kind
    before = rows()
    draft = api.put(f"tasks/{place.judged.task_id}/draft/", whole(kind))
    back = api.post(f"tasks/{place.judged.task_id}/reclaim/")
    assert [answer.status_code for answer in (draft, back)] == [409, 409]
    assert changes(before) == {}
