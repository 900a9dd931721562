"""What the log says of a request that was refused."""

from __future__ import annotations

import logging


class RefusalsInBrief(logging.Filter):
    """Log a refused request in one line: where it was refused says nothing, and errors would drown in tracebacks."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", 500) < 500:
            record.exc_info, record.exc_text = None, None
        return True
