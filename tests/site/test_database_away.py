"""A database that can store nothing is a 503 with a sentence, on pages and in the API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.urls import reverse
from rest_framework.test import APIClient

from tests.factories import make_run

pytestmark = pytest.mark.django_db


@contextmanager
def read_only() -> Iterator[None]:
    """Let SQLite refuse to write, as it does on a full disk."""
    connection.connection.execute("PRAGMA query_only = ON")
    try:
        yield
    finally:
        connection.connection.execute("PRAGMA query_only = OFF")


@pytest.fixture
def run(project):
    return make_run(project, state="queued")


def test_a_page_says_that_nothing_can_be_stored(client, project, ml_staff, run):
    client.force_login(ml_staff)
    with read_only():
        answer = client.post(reverse("run-cancel", args=[project.slug, run.pk]))
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert "Nothing can be stored right now" in answer.content.decode()


def test_the_api_says_so_in_its_own_form(ml_staff, run):
    api = APIClient(raise_request_exception=False)
    api.force_authenticate(ml_staff)
    with read_only():
        answer = api.post(reverse("api-run-cancel", args=[run.pk]))
    assert answer.status_code == 503
    assert answer.json()["errors"][0]["code"] == "database_away"


def test_what_can_be_read_is_shown_all_the_same(client, project, ml_staff, run):
    client.force_login(ml_staff)
    with read_only():
        assert client.get(reverse("run", args=[project.slug, run.pk])).status_code == 200
