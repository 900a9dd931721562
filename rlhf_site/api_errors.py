"""Errors that Django raises before a view runs, in the one form that every error of the API has.

Apart from api_limits, which REST framework loads while its own views are still loading.
"""

from __future__ import annotations

import logging

from django.core.exceptions import RequestDataTooBig
from drf_standardized_errors.handler import ExceptionHandler
from rest_framework.exceptions import APIException

from feedback.alive import DATABASE_AWAY
from rlhf_site.api_limits import BodyTooLarge

logger = logging.getLogger(__name__)


class DatabaseAway(APIException):
    status_code = 503
    default_code = "database_away"
    default_detail = "The database is away or its disk is full. Nothing was stored; send it again once it is back."


class ApiExceptionHandler(ExceptionHandler):
    def convert_known_exceptions(self, exc: Exception) -> Exception:
        if isinstance(exc, RequestDataTooBig):
            return BodyTooLarge()
        if isinstance(exc, DATABASE_AWAY):
            logger.error("the database cannot do what the API is asked: %s", exc, exc_info=exc)
            return DatabaseAway()
        return super().convert_known_exceptions(exc)
