"""Send what no decent client would, and check that the refusal is a clear one."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse

from tests.api.people import ApiClient


class Endpoint:
    """One call that changes something, with a body that would do, were it asked by the right person in time."""

    def __init__(self, name: str, method: str, path: str, body: dict[str, Any]) -> None:
        self.name, self.method, self.path, self.body = name, method, path, body

    def __repr__(self) -> str:
        return f"{self.name} at {self.path}"


def check_refusal(answer: HttpResponse) -> None:
    """A refusal is a 4xx that names at least one thing that is wrong, in the form that every error of the API has."""
    assert 400 <= answer.status_code < 500, answer.content
    said = answer.json()
    assert said["type"] in ("validation_error", "client_error")
    assert said["errors"]
    for error in said["errors"]:
        assert set(error) == {"code", "detail", "attr"}
        assert error["code"]
        assert error["detail"]


def send(api: ApiClient, endpoint: Endpoint, body: bytes, content_type: str = "application/json") -> HttpResponse:
    """Send these very bytes; the test client's own verbs would make them decent."""
    path = f"/api/v1/{endpoint.path}"
    return api.client.generic(endpoint.method.upper(), path, body, content_type, headers=api.headers)
