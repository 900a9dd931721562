"""Whose request it is."""

from __future__ import annotations

from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from feedback.models import User


def person_of(request: Request) -> User:
    """Return who asks. The API's default permission lets nobody else in, so that only types still need the refusal."""
    if not request.user.is_authenticated:
        raise NotAuthenticated
    return request.user
