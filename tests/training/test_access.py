"""Who may read runs and checkpoints, and who may start runs."""

from __future__ import annotations

import pytest

from feedback.access import may
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("who", "reads", "runs"),
    [
        ("annotator", False, False),
        ("curator", True, False),
        ("ml_staff", True, True),
        ("project_admin", True, True),
        ("outsider", False, False),
    ],
)
def test_every_role_may_do_its_own(request: pytest.FixtureRequest, project, who: str, reads: bool, runs: bool):
    person = request.getfixturevalue(who)
    assert may(person, "training.read", project) is reads
    assert may(person, "training.run", project) is runs


def test_a_superuser_may_do_both(project):
    person = make_user(is_superuser=True)
    assert may(person, "training.read", project)
    assert may(person, "training.run", project)
