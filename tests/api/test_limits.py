"""Bodies and numbers that no client should send get a refusal, never a 500."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from tests.api.people import ApiClient, error_of
from tests.factories import PASSWORD, make_prompt

pytestmark = pytest.mark.django_db

HUGE = "9" * 400


@pytest.mark.parametrize("parameter", ["limit", "offset"])
@pytest.mark.parametrize("number", ["99999999999999999999", HUGE, "-1", "x"])
def test_no_number_breaks_a_list(project, curator, parameter, number):
    make_prompt(project, "Why?")
    answer = ApiClient(curator).get(f"projects/{project.slug}/prompts/", **{parameter: number})
    assert answer.status_code == 200
    assert answer.json()["count"] == 1


def test_a_page_has_at_most_a_thousand_rows(project, curator):
    for number in range(3):
        make_prompt(project, f"{number}?")
    answer = ApiClient(curator).get(f"projects/{project.slug}/prompts/", limit=2)
    assert len(answer.json()["results"]) == 2
    assert (
        "limit=1000"
        in ApiClient(curator).get(f"projects/{project.slug}/prompts/", limit=5_000, offset=1).json()["previous"]
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[" * 100_000, "too deeply nested"),
        ('{"a":' * 100_000, "too deeply nested"),
        (r'{"kind": "\ud800"}', "half a character"),
        (r'{"kind": "dpo", "config": {"\udfff": 1}}', "half a character"),
        ('{"kind": ' + "9" * 5_000 + "}", "JSON parse error"),
        (b"\xff\xfe", "JSON parse error"),
    ],
)
@pytest.mark.parametrize("path", ["projects/{project}/runs/", "projects/{project}/queues/", "token/"])
def test_a_body_that_is_no_storable_json_is_refused(project, ml_staff, path, body, message):
    client = ApiClient(ml_staff)
    answer = client.client.post(
        f"/api/v1/{path.format(project=project.slug)}", body, content_type="application/json", headers=client.headers
    )
    assert answer.status_code == 400
    assert message in error_of(answer)["detail"]


def test_pairs_of_surrogates_are_one_character(project, ml_staff):
    client = ApiClient(ml_staff)
    answer = client.client.post(
        f"/api/v1/projects/{project.slug}/queues/",
        r'{"name": "\ud83d\ude00", "guideline": "Compare."}',
        content_type="application/json",
        headers=client.headers,
    )
    assert answer.status_code == 201
    assert answer.json()["name"] == "\N{GRINNING FACE}"


@pytest.mark.parametrize("by", ["token", "session"])
def test_a_body_too_large_to_hold_in_memory_is_refused(project, ml_staff, settings, by):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    client = ApiClient(ml_staff)
    sender, headers = client.client, client.headers
    if by == "session":
        sender, headers = Client(enforce_csrf_checks=True), {"X-CSRFToken": "a" * 32}
        sender.cookies["csrftoken"] = "a" * 32
        sender.force_login(ml_staff)
    body = json.dumps({"name": "x" * 1_000, "guideline": "Compare."})
    answer = sender.post(
        f"/api/v1/projects/{project.slug}/queues/", body, content_type="application/json", headers=headers
    )
    assert answer.status_code == 413
    assert error_of(answer)["code"] == "body_too_large"
    assert not project.queues.exists()


def test_a_token_is_given_for_json_as_before(ml_staff):
    answer = ApiClient().post("token/", {"username": ml_staff.username, "password": PASSWORD})
    assert answer.status_code == 200
