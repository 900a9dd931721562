"""Refusals of the verbs as HTTP errors."""

from __future__ import annotations

from rest_framework.exceptions import APIException, ValidationError


class Refused(ValidationError):
    """422: the input is well formed, but it cannot be done; `attr` names the field."""

    status_code = 422

    def __init__(self, field: str, message: str) -> None:
        super().__init__({field: [message]}, code="refused")


class Conflict(APIException):
    """409: it has moved on."""

    status_code = 409
    default_code = "conflict"
