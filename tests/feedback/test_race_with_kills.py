"""`make race` in small: whatever is killed in the middle, nothing is lost, doubled or asked for too often."""

from __future__ import annotations

import pytest

from benchmarks.race import NEVER, race

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_server_killed_twice_loses_and_doubles_nothing(database, request):
    if database == "postgres":
        request.getfixturevalue("postgres_cluster")  # says what to install where there is none
    counted = race(database=database, clients=10, comparisons=80, kills=2, minutes=4, say=lambda text: None)
    assert {name: counted[name] for name in NEVER} == dict.fromkeys(NEVER, 0), counted
    assert counted["kills"] == 2
    assert counted["judgments"] == counted["acknowledged"] == 240
    assert counted["broken_off"] > 0
    assert counted["drafts_saved"] > 0
