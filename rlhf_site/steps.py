"""A thing to do next, as the home and the project page list it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    title: str
    detail: str
    url: str = ""
    action: str = ""
    tag: str = ""
    """One word beside the title: `live`, `failed`, `blocked`, `rejected`, `paused`."""
