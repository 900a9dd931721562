"""Curators who decide the same thing at once: one of them is told, and nothing is written twice; both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.feedback.racers import Crew

pytestmark = pytest.mark.slow
CREW = 4


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def crew(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    directory = tmp_path_factory.mktemp("race")
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_cluster").new_database()
    else:
        url = f"sqlite:///{directory / 'race.sqlite3'}"
    crew = Crew(url, directory / "data", CREW)
    crew.ask("migrate")
    yield crew
    crew.stop()


def errors(answers: list) -> Counter[str]:
    return Counter(answer["error"] for answer in answers if isinstance(answer, dict))


def test_of_curators_who_review_at_once_one_decides_and_the_others_are_told(crew):
    there = crew.ask("to_review", curators=CREW)
    answers = crew.race(
        {"action": "review", "judgment": there["judgment"], "reviewer": person} for person in there["curators"]
    )
    assert errors(answers) == {"ReviewMovedOn": CREW - 1}
    assert crew.ask("count", model="Review", judgment=there["judgment"]) == 1
    assert crew.ask("count", model="AuditEvent", subject_id=there["judgment"]) == 1


def test_one_curator_who_requeues_in_many_tabs_asks_one_more_person(crew):
    there = crew.ask("to_review", curators=1)
    order = {"action": "review", "judgment": there["judgment"], "reviewer": there["curators"][0]}
    answers = crew.race([{**order, "requeue": True, "look": False}] * CREW)
    assert len(set(answers)) == 1
    assert crew.ask("count", model="Assignment", task=there["task"]) == 2


def test_a_review_is_taken_back_once(crew):
    there = crew.ask("to_review", curators=CREW)
    made = crew.ask("review", judgment=there["judgment"], reviewer=there["curators"][0])
    answers = crew.race({"action": "undo", "review": made, "person": person} for person in there["curators"])
    assert errors(answers) == {"ReviewMovedOn": CREW - 1}
    assert crew.ask("count", model="Review", undoes=made) == 1


def test_of_curators_who_adjudicate_at_once_one_settles_it(crew):
    there = crew.ask("to_review", curators=CREW)
    answers = crew.race(
        {"action": "settle", "task": there["task"], "person": person, "preference": place - 2}
        for place, person in enumerate(there["curators"])
    )
    assert errors(answers) == {"AdjudicationMovedOn": CREW - 1}
    assert crew.ask("count", model="Adjudication", task=there["task"]) == 1


def test_a_bulk_action_is_taken_back_once(crew):
    there = crew.ask("to_review", curators=CREW)
    bulk = crew.ask("start_bulk_action", judgment=there["judgment"], person=there["curators"][0])
    answers = crew.race({"action": "undo_bulk_action", "bulk": bulk, "person": person} for person in there["curators"])
    assert errors(answers) == {"BulkRefused": CREW - 1}
    assert crew.ask("count", model="Review", judgment=there["judgment"]) == 2
