"""Store what a model or a person answered."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from feedback.hygiene.scanning import look_at, store_findings
from feedback.models import Prompt, Response, User
from feedback.naming import words_of_self_naming


def storable(text: str) -> str:
    """Return `text` with what no database keeps (NUL, half of a surrogate pair) turned into replacement characters."""
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def add_response(
    *,
    prompt: Prompt,
    text: str,
    origin: str,
    model_name: str = "",
    checkpoint_id: uuid.UUID | None = None,
    run_id: uuid.UUID | None = None,
    person: User | None = None,
    sampling: Mapping[str, Any] | None = None,
) -> Response:
    """Store a response and who wrote it. The same `origin` for the same prompt again returns the stored one.

    Words in which a model names itself are stored beside the text, and personal data in it is a finding, both for the
    curator.
    """
    response, is_new = Response.objects.get_or_create(
        prompt=prompt,
        origin=origin,
        defaults={
            "text": storable(text),
            "names_itself": "" if person is not None else words_of_self_naming(text, model_name),
            "model_name": model_name,
            "checkpoint_id": checkpoint_id,
            "run_id": run_id,
            "person": person,
            "sampling": dict(sampling or {}),
        },
    )
    if is_new:
        store_findings(look_at(project=prompt.project, responses=[response]), responses=[response])
    return response
