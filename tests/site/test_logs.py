"""A refused request is one line in the log; an error keeps its traceback."""

from __future__ import annotations

import logging
import sys

import pytest

from rlhf_site.logs import RefusalsInBrief


def logged(status: int) -> logging.LogRecord:
    try:
        raise PermissionError("not yours")
    except PermissionError:
        record = logging.LogRecord("django.request", logging.WARNING, "", 0, "Forbidden: /p/", (), sys.exc_info())
    record.status_code = status
    assert RefusalsInBrief().filter(record)
    return record


@pytest.mark.parametrize(("status", "lines"), [(403, 1), (404, 1), (500, 5)])
def test_only_errors_of_ours_are_traced(status, lines):
    assert len(logging.Formatter().format(logged(status)).splitlines()) == lines
