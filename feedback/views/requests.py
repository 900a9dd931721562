"""What views may rely on in a request."""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from feedback.models import User


class HtmxRequest(HttpRequest):
    """A request behind the htmx middleware, of anybody."""

    htmx: HtmxDetails


class SignedInRequest(HtmxRequest):
    """A request behind the htmx middleware and `login_required`: its user is a person, never anonymous."""

    user: User
