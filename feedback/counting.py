"""Count rows no further than a person would care: nobody reads the difference between 40,000 and 41,000 on a page."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

COUNT_LIMIT = 10_000


def count_up_to(rows: QuerySet[Any, Any], limit: int = COUNT_LIMIT) -> int:
    """Return how many rows there are, `limit` + 1 standing for more than `limit`."""
    return rows.order_by()[: limit + 1].count()


def said_count(number: int, limit: int = COUNT_LIMIT) -> str:
    """Say what `count_up_to` found: "1,204", or "10,000+" for more than the limit."""
    return f"{limit:,}+" if number > limit else f"{number:,}"
