"""What the page says about the order in which a person saw the two responses, without saying which is which.

A person judges what stood left and what stood right. The slot remembers that order only while the person holds it, and
what they typed can arrive later: so every page carries a seal of its order, which tells the server all and the reader
nothing.
"""

from __future__ import annotations

import uuid

from django.utils.crypto import constant_time_compare, salted_hmac

from feedback.models import Comparison, User

STRENGTHS = ("slightly better", "better", "much better")
"""A preference of 1, 2 and 3 in words."""


class BadSeal(ValueError):
    """The seal was not made for this person and comparison."""


def seal(*, comparison: Comparison, annotator: User, shown_first_id: uuid.UUID) -> str:
    """Return a mark of "`annotator` saw `shown_first_id` first" that cannot be read or made elsewhere."""
    return salted_hmac(
        "feedback.display", f"{comparison.pk}:{annotator.pk}:{shown_first_id}", algorithm="sha256"
    ).hexdigest()[:32]


def shown_first_of(*, comparison: Comparison, annotator: User, mark: str) -> uuid.UUID:
    """Return the response that stood first on the page that carried `mark`. Raises BadSeal."""
    for response_id in (comparison.response_a_id, comparison.response_b_id):
        if constant_time_compare(mark, seal(comparison=comparison, annotator=annotator, shown_first_id=response_id)):
            return response_id
    raise BadSeal("this page was made for another person or comparison; load it again")
