"""Errors that Django raises before a view runs, in the one form that every error of the API has.

Apart from api_limits, which REST framework loads while its own views are still loading.
"""

from __future__ import annotations

from django.core.exceptions import RequestDataTooBig
from drf_standardized_errors.handler import ExceptionHandler

from rlhf_site.api_limits import BodyTooLarge


class ApiExceptionHandler(ExceptionHandler):
    def convert_known_exceptions(self, exc: Exception) -> Exception:
        return BodyTooLarge() if isinstance(exc, RequestDataTooBig) else super().convert_known_exceptions(exc)
