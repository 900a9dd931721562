"""Clients of the API, one per person."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.http import HttpResponse
from django.test import Client
from rest_framework.authtoken.models import Token

from feedback.models import User


class ApiClient:
    """Speaks JSON with a token, as a script would; nobody's token when `person` is None."""

    def __init__(self, person: User | None = None) -> None:
        self.client = Client()
        self.headers = (
            {} if person is None else {"Authorization": f"Token {Token.objects.get_or_create(user=person)[0]}"}
        )

    def call(self, method: str, path: str, values: Any = None, **kwargs: Any) -> HttpResponse:
        if values is not None:
            kwargs |= {"data": json.dumps(values, default=str), "content_type": "application/json"}
        return getattr(self.client, method)(f"/api/v1/{path}", headers=self.headers, **kwargs)

    def get(self, path: str, **params: Any) -> HttpResponse:
        return self.client.get(f"/api/v1/{path}", params, headers=self.headers)

    def post(self, path: str, values: Any = None) -> HttpResponse:
        return self.call("post", path, {} if values is None else values)

    def put(self, path: str, values: Any) -> HttpResponse:
        return self.call("put", path, values)

    def patch(self, path: str, values: Any) -> HttpResponse:
        return self.call("patch", path, values)

    def upload(self, path: str, file: Any, **values: Any) -> HttpResponse:
        return self.client.post(f"/api/v1/{path}", {"file": file, **values}, headers=self.headers)


ANSWERS: dict[str, dict[str, Any]] = {
    "comparison": {"preference": 2},
    "ranking": {"ranks": [2, 1, None], "not_rankable": [False, False, True]},
    "rating": {"ratings": [{"helpfulness": 4, "correctness": 2, "thumbs": 1}]},
    "demonstration": {"text": "What a person would answer."},
    "correction": {"text": "What it should have said."},
}
"""A whole answer to a task of each kind, as `make_task` makes it; a conversation is answered turn by turn."""


def said(task: dict[str, Any], **overrides: Any) -> dict[str, Any]:
    """Return a judgment of the task, as a client would send it."""
    return {
        "lease_token": task["lease_token"],
        "submission_id": uuid.uuid4(),
        "answer": ANSWERS[task["kind"]],
        "rationale": "Because.",
        "flags": [],
        "active_seconds": 1.5,
        **overrides,
    }


def error_of(answer: HttpResponse) -> dict[str, Any]:
    """Return the one error of a refusal."""
    (error,) = answer.json()["errors"]
    return dict(error)
