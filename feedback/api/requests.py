"""What a request says: whose it is, and its values, checked."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from feedback.api.refusals import Refused
from feedback.models import User


def person_of(request: Request) -> User:
    """Return who asks. The API's default permission lets nobody else in, so that only types still need the refusal."""
    if not request.user.is_authenticated:
        raise NotAuthenticated
    return request.user


def checked(serializer: type, request: Request) -> dict[str, Any]:
    """Return the body's values as `serializer` reads them; 400 when it cannot."""
    asked = serializer(data=request.data)
    asked.is_valid(raise_exception=True)
    return dict(asked.validated_data)


def as_uuid(name: str, text: str) -> UUID:
    """Return the UUID that a query parameter holds. Raises Refused."""
    try:
        return UUID(text)
    except ValueError as error:
        raise Refused(name, f"{text!r} is not a UUID") from error
