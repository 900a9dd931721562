"""Pages go out compressed and in the reader's language; a fragment for somebody who is logged out is a 401, and
whatever meets a database that is away a 503."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.middleware.locale import LocaleMiddleware
from django.shortcuts import resolve_url
from django.template.loader import render_to_string
from django.utils import translation

from feedback.alive import DATABASE_AWAY
from feedback.views.requests import HtmxRequest

logger = logging.getLogger(__name__)


class CompressPagesMiddleware(GZipMiddleware):
    """Compress HTML, and leave downloads and the API as they are.

    A compressed page that repeats what a visitor sent beside a secret could be made to tell the secret by its length
    (BREACH). The one secret here is the CSRF token, which Django masks anew in every page, and Django adds up to
    `max_random_bytes` to every answer besides.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.streaming or not response.headers.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)


class LanguageMiddleware(LocaleMiddleware):
    """Speak the reader's language on the pages that are translated, and English on the others.

    Half a page in another language could not be read aloud, and numbers in figures would get commas.
    """

    TRANSLATED = re.compile(r"/|/(q|accounts|i18n)/.*|/p/[^/]+/(my-work/.*|consent/((agree|withdraw|erasure)/)?)?")
    """Home, the annotator's pages, the accounts, a project's own page, and what a person sees there of their work and
    their consent."""

    def process_request(self, request: HttpRequest) -> None:
        if self.TRANSLATED.fullmatch(request.path_info):
            super().process_request(request)
        else:
            translation.activate(settings.LANGUAGE_CODE)
            request.LANGUAGE_CODE = settings.LANGUAGE_CODE


class DatabaseAwayMiddleware:
    """Answer 503 where the database is away, its disk full, or its file not to be written: nobody's request is wrong.

    The API says so in its own form, see `rlhf_site.api_errors`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, DATABASE_AWAY):
            return None
        logger.error("the database cannot do what %s asks: %s", request.path, error, exc_info=error)
        return HttpResponse(render_to_string("503.html"), status=503, headers={"Retry-After": "60"})


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
