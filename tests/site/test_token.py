from __future__ import annotations

import pytest
from django.core.cache import cache
from django.urls import reverse

from rlhf_site.api import LoginThrottle
from tests.factories import PASSWORD


@pytest.fixture(autouse=True)
def fresh_rate_limits():
    cache.clear()


def test_a_name_and_password_give_a_token_that_opens_the_api(annotator, project, client):
    answer = client.post(reverse("api-token"), {"username": "annotator", "password": PASSWORD})
    assert answer.status_code == 200
    me = client.get(reverse("api-me"), headers={"Authorization": f"Token {answer.json()['token']}"})
    assert me.json() == {
        "username": "annotator",
        "simulated": False,
        "memberships": [{"project": project.slug, "role": "annotator"}],
    }


def test_a_wrong_password_gives_none(annotator, client):
    answer = client.post(reverse("api-token"), {"username": "annotator", "password": "wrong"})
    assert answer.status_code == 400
    assert "token" not in answer.json()


def test_without_a_token_the_api_is_shut(db, client):
    assert client.get(reverse("api-me")).status_code == 401


def test_passwords_cannot_be_tried_out(annotator, client, monkeypatch):
    monkeypatch.setattr(LoginThrottle, "rate", "3/min", raising=False)
    statuses = [
        client.post(reverse("api-token"), {"username": "annotator", "password": str(guess)}).status_code
        for guess in range(5)
    ]
    assert statuses == [400, 400, 400, 429, 429]


def test_the_throttle_counts_the_right_password_too(annotator, client, monkeypatch):
    monkeypatch.setattr(LoginThrottle, "rate", "1/min", raising=False)
    send = {"username": "annotator", "password": PASSWORD}
    assert client.post(reverse("api-token"), send).status_code == 200
    assert client.post(reverse("api-token"), send).status_code == 429


def test_the_reference_and_its_schema_are_served(db, client):
    assert client.get(reverse("api-schema")).status_code == 200
    page = client.get(reverse("api-docs")).content.decode()
    assert "<style" not in page
    assert "<script>" not in page
