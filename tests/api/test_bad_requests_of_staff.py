"""Whatever is thrown at the endpoints of curators and ML staff: a clear refusal, never a 500, never a changed row."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from feedback.models import Skip
from feedback.people import verify_expertise
from feedback.schemas import default_schema
from tests.api.people import ApiClient
from tests.api.sending import Endpoint, check_refusal, send
from tests.bad_input import ANSWERS, BODIES, CONTENT_TYPES, KINDS, VALUES, as_json, bounded, changes, damaged, rows
from tests.factories import make_judgment, make_member, make_prompt, make_queue, make_response, make_task

pytestmark = pytest.mark.django_db

RULES = {
    "overlap": 2,
    "overlap_percent": 50,
    "evaluation_overlap": 3,
    "overlap_cap": 4,
    "lease_minutes": 20,
    "annotator_cap": 100,
    "daily_quota": 10,
    "revise_hours": 24,
    "gold_percent": 5,
    "newcomer_gold_percent": 10,
    "languages": ["en"],
    "expertise": "medicine",
    "qualification": None,
    "named_only": False,
    "show_gold": True,
}


@pytest.fixture
def staff(project):
    """One person who may do all that the endpoints below do."""
    person = make_member(project, "admin", username="staff")
    return ApiClient(person)


@pytest.fixture
def endpoints(project, annotator, curator, staff):
    queue, test = make_queue(project), make_queue(project, is_qualification=True)
    judgment = make_judgment(queue=queue, annotator=annotator)
    task, prompt = make_task(queue, prompt=make_prompt(project, tags=["short"])), make_prompt(project)
    pair = [make_response(prompt, names_itself="I am it") for _ in range(2)]
    skip = Skip.objects.create(task=task, annotator=annotator, kind="review", reason="broken")
    verify_expertise(person=annotator, domain="law", evidence="A degree.", verified_by=curator)
    at, person = f"projects/{project.slug}", f"projects/{project.slug}/people/annotator"
    opened = [
        Endpoint(
            f"open {kind}",
            "post",
            f"{at}/queues/",
            {"name": kind, "kind": kind, "guideline": "Help.", "schema": default_schema(kind).to_json(), "overlap": 2},
        )
        for kind in KINDS
    ]
    changed: dict[str, Any] = {**RULES, "state": "paused", "guideline": "New.", "schema": {"levels": 4}}
    return [
        *opened,
        Endpoint("change", "patch", f"queues/{queue.pk}/", changed),
        Endpoint("fill", "post", f"queues/{queue.pk}/fill/", {"pairs": 2}),
        Endpoint("enqueue", "post", f"queues/{queue.pk}/tasks/", {
            "prompt": str(prompt.pk), "responses": [str(each.pk) for each in pair], "priority": 1.5, "slots": 2,
        }),
        Endpoint("prioritize", "post", f"queues/{queue.pk}/prioritize/", {"priority": 2, "tasks": [str(task.pk)]}),
        Endpoint("prioritize", "post", f"queues/{queue.pk}/prioritize/", {"priority": 2, "tag": "short"}),
        Endpoint("name", "post", f"queues/{queue.pk}/named/", {"person": "annotator"}),
        Endpoint("decide", "post", f"queues/{test.pk}/qualifications/", {
            "person": "annotator", "passed": True, "reason": "Known.",
        }),
        Endpoint("gold", "post", f"tasks/{task.pk}/gold/", {"answer": ANSWERS["comparison"], "explanation": "So."}),
        Endpoint("give", "post", f"tasks/{make_task(queue).pk}/give/", {"person": "annotator"}),
        Endpoint("settle", "post", f"skips/{skip.pk}/settle/", {"settlement": "return"}),
        Endpoint("settle", "post", f"self-naming/{pair[0].pk}/settle/", {"settlement": "leave"}),
        Endpoint("review", "post", f"judgments/{judgment.pk}/review/", {"accepted": False, "reason": "Off topic."}),
        Endpoint("profile", "patch", f"{person}/", {"languages": ["en"], "hourly_rate": "20.00", "currency": "EUR"}),
        Endpoint("expertise", "post", f"{person}/expertise/", {"domain": "medicine", "evidence": "A degree."}),
        Endpoint("simulate", "post", f"{at}/simulated-annotators/", {"username": "sim-1", "rule": "concise"}),
    ]  # fmt: skip


def test_every_body_would_do_as_it_is(endpoints, staff):
    for endpoint in endpoints:
        with transaction.atomic():
            answer = send(staff, endpoint, as_json(endpoint.body))
            assert answer.status_code in (200, 201), (endpoint, answer.content)
            transaction.set_rollback(True)


@bounded(120)
@given(data=st.data())
def test_a_damaged_body_is_refused_and_changes_nothing_or_does(endpoints, staff, data):
    endpoint = data.draw(st.sampled_from(endpoints))
    body = data.draw(damaged(endpoint.body))
    before = rows()
    with transaction.atomic():
        answer = send(staff, endpoint, as_json(body))
        if answer.status_code >= 300:
            check_refusal(answer)
            assert changes(before) == {}
        transaction.set_rollback(True)


@bounded(40)
@given(data=st.data(), body=st.one_of(BODIES, VALUES.map(as_json)), content_type=CONTENT_TYPES)
def test_what_is_no_json_object_is_refused(endpoints, staff, data, body, content_type):
    endpoint = data.draw(st.sampled_from([one for one in endpoints if one.name not in ("change", "fill", "profile")]))
    before = rows()
    answer = send(staff, endpoint, body, content_type)
    check_refusal(answer)
    assert changes(before) == {}


@bounded(40)
@given(text=st.text(max_size=30), name=st.sampled_from(["queue", "snapshot", "search", "up", "limit", "offset"]))
def test_no_parameter_of_a_list_breaks_it(project, staff, annotator, text, name):
    queue = make_queue(project, name=str(uuid.uuid4()))
    for api, path in (
        (staff, f"projects/{project.slug}/judgments/"),
        (staff, f"projects/{project.slug}/self-naming/"),
        (staff, f"queues/{queue.pk}/skips/"),
        (ApiClient(annotator), f"queues/{queue.pk}/own-judgments/"),
    ):
        assert api.get(path, **{name: text}).status_code in (200, 422)
