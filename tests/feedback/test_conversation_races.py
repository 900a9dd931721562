"""One person's talk from many tabs, and many talkers at one turn, at the same moment, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.feedback.racers import Crew

pytestmark = pytest.mark.slow
CREW = 6


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def crew(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    directory = tmp_path_factory.mktemp("talk-race")
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_cluster").new_database()
    else:
        url = f"sqlite:///{directory / 'race.sqlite3'}"
    crew = Crew(url, directory / "data", CREW)
    crew.ask("migrate")
    yield crew
    crew.stop()


@pytest.fixture
def talk(crew: Crew) -> Iterator[dict[str, Any]]:
    yield crew.ask("hold_talk")
    while crew.ask("answer_turn", worker="the next test finds none waiting") is not None:
        pass


def said(talk: dict[str, Any], verb: str, **what: Any) -> dict[str, Any]:
    return {"action": "talking", "verb": verb, **talk, **what}


def errors(answers: list[Any]) -> Counter[str]:
    return Counter(answer["error"] for answer in answers if isinstance(answer, dict))


def test_the_same_words_from_many_tabs_are_one_turn(crew, talk):
    answers = crew.race([said(talk, "say", number=1, text="Hello")] * CREW)
    assert answers == [1] * CREW
    assert crew.ask("count", model="Turn", task__assignments=talk["assignment"]) == 1


def test_of_different_words_one_becomes_the_turn(crew, talk):
    answers = crew.race(said(talk, "say", number=1, text=f"Words {tab}") for tab in range(CREW))
    assert errors(answers) == {"TurnConflict": CREW - 1}
    assert crew.ask("count", model="Turn", task__assignments=talk["assignment"]) == 1


def test_many_talkers_answer_a_turn_once(crew, talk):
    crew.race([said(talk, "say", number=1, text="Hello")])
    answers = crew.race({"action": "answer_turn", "worker": f"w{number}"} for number in range(CREW))
    assert sorted(answers, key=str) == [1, *[None] * (CREW - 1)]
    assert crew.ask("count", model="Response", prompt__turns__task__assignments=talk["assignment"]) == 2


def test_a_choice_that_is_changed_while_the_talk_goes_on_is_the_one_it_goes_on_from_or_refused(crew, talk):
    crew.race([said(talk, "say", number=1, text="Hello")])
    crew.ask("answer_turn", worker="w")
    crew.race([said(talk, "choose", number=1, preference=-1)])
    changed, gone_on = crew.race(
        [said(talk, "choose", number=1, preference=1), said(talk, "say", number=2, text="And then?")]
    )
    assert gone_on == 2
    kept = "w 1" if changed == 1 else "w 0"
    assert changed == 1 or changed["error"] == "TurnConflict"
    where = {"task__assignments": talk["assignment"], "number": 1, "went_on_with__text": kept}
    assert crew.ask("count", model="Turn", **where) == 1
    said_so = {"task__assignments": talk["assignment"], "number": 2, "prompt__messages__1__content": kept}
    assert crew.ask("count", model="Turn", **said_so) == 1


def test_nothing_is_said_into_a_talk_that_is_being_submitted(crew, talk):
    crew.race([said(talk, "say", number=1, text="Hello")])
    crew.ask("answer_turn", worker="w")
    crew.race([said(talk, "choose", number=1, preference=-1)])
    orders = [said(talk, "say", number=2, text="Wait")] * 2
    submit = {"action": "submit", **talk, "submission": "01890a5d-ac96-774b-bcce-b302099a8057", "answer": {}}
    crew.race([submit, *orders])
    assert crew.ask("count", model="Judgment", assignment=talk["assignment"]) == 1
    waiting = crew.ask("count", model="Turn", task__assignments=talk["assignment"], state="waiting")
    assert waiting == 0, "what was said before is part of the end, what came after was refused"
