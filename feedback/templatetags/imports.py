"""Words of the pages of imports."""

from __future__ import annotations

from typing import Any

from django import template

register = template.Library()


@register.filter
def letter(place: int) -> str:
    """Return A for 0, B for 1 and so on."""
    return chr(ord("A") + place)


@register.filter
def join_list(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
