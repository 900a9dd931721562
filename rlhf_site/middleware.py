"""What happens to a request for a fragment when the person is no longer logged in."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url

from feedback.views.requests import HtmxRequest


class FragmentLoginMiddleware:
    """Answer 401 where a fragment would be redirected to the login page.

    The browser follows a redirect silently, and the login form would replace what the person has typed;
    static/js/shell.js says instead that they are logged out.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HtmxRequest) -> HttpResponseBase:
        response = self.get_response(request)
        target = response.headers.get("Location", "")
        if request.htmx and response.status_code == 302 and target.startswith(resolve_url(settings.LOGIN_URL) + "?"):
            return HttpResponse("log in", status=401, content_type="text/plain")
        return response
