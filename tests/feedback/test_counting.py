"""Counting stops where nobody would read on."""

from __future__ import annotations

import pytest

from feedback.counting import count_up_to, said_count
from feedback.models import User
from tests.factories import make_user


@pytest.mark.parametrize(("there", "limit", "said"), [(0, 3, "0"), (3, 3, "3"), (4, 3, "3+"), (6, 3, "3+")])
def test_more_than_the_limit_is_said_as_more(db, there, limit, said):
    for _ in range(there):
        make_user()
    assert said_count(count_up_to(User.objects.order_by("username"), limit), limit) == said
