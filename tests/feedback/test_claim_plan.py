"""A claim finds its slot along an index, however long the queue: no sort, no walk through the table.

The statements are those that a claim really executes, each explained with the values bound as they were: SQLite plans
before it knows them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.feedback.racers import Crew

pytestmark = pytest.mark.slow
TASKS = 10_000
ORDERS = ("claim_order", "random_order", "language_order", "language_random")
"""Indexes that hold a queue's slots in an order. Others lead to a few, such as a person's own; those may be sorted."""


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def crew(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    directory = tmp_path_factory.mktemp("plan")
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_cluster").new_database()
    else:
        url = f"sqlite:///{directory / 'plan.sqlite3'}"
    crew = Crew(url, directory / "data", 1)
    crew.ask("migrate")
    yield crew
    crew.stop()


@pytest.mark.parametrize(
    ("rules", "index"),
    [
        ({"random_percent": 0}, "assignment_claim_order"),
        ({"random_percent": 100, "repeat_percent": 0}, "assignment_random_order"),
        ({"random_percent": 0, "route_by_language": True}, "assignment_language_order"),
        ({"random_percent": 100, "repeat_percent": 0, "route_by_language": True}, "assignment_language_random"),
    ],
)
@pytest.mark.parametrize("analyzed", [False, True])
def test_a_claim_walks_along_an_index(crew: Crew, rules: dict, index: str, analyzed: bool):
    filled = crew.ask("fill_long_queue", tasks=TASKS, rules=rules, analyzed=analyzed)
    plans = crew.ask("claim_plans", queue=filled["queue"], annotator=filled["annotator"])
    chosen = [plan for plan in plans if any(f"assignment_{order}" in line for line in plan for order in ORDERS)]
    assert any(index in line for plan in chosen for line in plan), plans
    for plan in chosen:
        assert not any("TEMP B-TREE" in line or "Sort" in line for line in plan), plan
    for line in itertools.chain.from_iterable(plans):
        assert "Seq Scan on feedback_assignment" not in line, plans
        assert "SCAN feedback_assignment" not in line, plans
        assert "feedback_assignment_queue_id" not in line, plans  # the whole queue, in no order
