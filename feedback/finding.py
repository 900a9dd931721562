"""Words that find prompts by what is in their JSON columns, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import json

from django.db.models import Q


def says(column: str, words: str) -> Q:
    """Match rows whose JSON `column` holds the words. SQLite stores JSON with escapes, PostgreSQL as the characters."""
    escaped = json.dumps(words)[1:-1]
    return Q(**{f"{column}__icontains": words}) | Q(**{f"{column}__icontains": escaped})


def with_tag(column: str, tag: str) -> Q:
    """Match rows whose list of tags in `column` holds this whole tag, but for the case of its letters."""
    return Q(**{f"{column}__icontains": json.dumps(tag)}) | Q(
        **{f"{column}__icontains": json.dumps(tag, ensure_ascii=False)}
    )
