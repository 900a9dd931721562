from __future__ import annotations

import pytest
from django.db import DatabaseError
from django.urls import reverse


@pytest.mark.django_db
def test_a_site_with_a_database_is_well(client):
    answer = client.get(reverse("health"))
    assert (answer.status_code, answer.content) == (200, b"ok")


@pytest.mark.django_db
def test_a_site_without_a_database_says_so(client, monkeypatch):
    def refuse(*_: object) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr("django.db.connection.cursor", refuse)
    assert client.get(reverse("health")).status_code == 503
