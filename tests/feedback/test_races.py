"""What must hold when several processes do the same thing at once, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.feedback.racers import Crew

pytestmark = pytest.mark.slow
CREW = 8


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


def test_eight_claimers_take_each_slot_once_and_nobody_judges_a_task_twice(crew):
    order = crew.ask("fill_queue", tasks=20, overlap=2, annotators=CREW)
    taken = crew.race(
        {"action": "claim_and_judge_all", "queue": order["queue"], "annotator": person}
        for person in order["annotators"]
    )
    slots = Counter(slot for one in taken for slot, _ in one)
    assert len(slots) == 40
    assert set(slots.values()) == {1}
    for one in taken:
        assert max(Counter(task for _, task in one).values(), default=1) == 1
    assert crew.ask("count", model="Assignment", queue=order["queue"], state="done") == 40
    assert crew.ask("count", model="Judgment", queue=order["queue"]) == 40


def test_eight_tabs_of_one_person_get_the_same_slot(crew):
    order = crew.ask("fill_queue", tasks=10, overlap=2, annotators=1)
    claims = crew.race([{"action": "claim", "queue": order["queue"], "annotator": order["annotators"][0]}] * CREW)
    assert len(set(claims)) == 1
    assert crew.ask("count", model="Assignment", queue=order["queue"], state="leased") == 1


def test_an_expired_slot_goes_to_one_of_those_who_ask(crew):
    slot = crew.ask("hold_slot")
    crew.ask("expire", assignment=slot["assignment"])
    order = crew.ask("more_annotators", assignment=slot["assignment"], count=CREW)
    claims = crew.race(
        {"action": "claim", "queue": order["queue"], "annotator": person} for person in order["annotators"]
    )
    assert Counter(claims) == {slot["assignment"]: 1, None: CREW - 1}


def test_the_same_submission_from_many_processes_stores_one_judgment(crew):
    slot = crew.ask("hold_slot")
    answers = crew.race([{"action": "submit", **slot, "submission": str(uuid.uuid4())}] * CREW)
    assert len(set(answers)) == 1
    assert crew.ask("count", model="Judgment", assignment=slot["assignment"]) == 1


def test_different_submissions_for_one_lease_store_one_judgment(crew):
    slot = crew.ask("hold_slot")
    answers = crew.race({"action": "submit", **slot, "submission": str(uuid.uuid4())} for _ in range(CREW))
    lost = [answer for answer in answers if isinstance(answer, dict)]
    assert [answer["error"] for answer in lost] == ["LeaseLost"] * (CREW - 1)
    assert crew.ask("count", model="Judgment", assignment=slot["assignment"]) == 1


@pytest.mark.parametrize("again", range(5))
def test_the_last_two_judgments_at_once_ask_one_more_person_if_they_disagree(crew, again):
    held = crew.ask("hold_slots_of_one_task", slots=2, overlap_cap=5)
    answers = crew.race(
        {"action": "submit", **slot, "submission": str(uuid.uuid4()), "answer": {"preference": preference}}
        for slot, preference in zip(held, (0, 1), strict=True)
    )
    assert all(isinstance(answer, str) for answer in answers), answers
    beside = held[0]["assignment"]
    assert crew.ask("count", model="Assignment", task__assignments=beside, state="done") == 2
    assert crew.ask("count", model="Assignment", task__assignments=beside, state="open") == 1


@pytest.mark.parametrize("again", range(3))
def test_the_last_judgments_of_a_test_at_once_decide_it_once(crew, again):
    held = crew.ask("hold_test", tasks=3)
    answers = crew.race({"action": "submit", **slot, "submission": str(uuid.uuid4())} for slot in held)
    assert all(isinstance(answer, str) for answer in answers), answers
    assert crew.ask("count", model="Qualification", person=held[0]["annotator"]) == 1


def test_of_several_revisions_at_once_one_is_stored(crew):
    slot = crew.ask("hold_slot")
    judgment = crew.ask("submit", **slot, submission=str(uuid.uuid4()))
    answers = crew.race(
        {"action": "revise", "judgment": judgment, "submission": str(uuid.uuid4())} for _ in range(CREW)
    )
    refused = [answer["error"] for answer in answers if isinstance(answer, dict)]
    assert refused == ["NotCurrent"] * (CREW - 1)
    assert crew.ask("count", model="Judgment", assignment=slot["assignment"]) == 2


def test_the_same_judgments_frozen_twice_at_once_make_one_snapshot(crew):
    project = crew.ask("labelled_project")
    answers = crew.race({"action": "freeze", "project": project, "name": f"Freeze {n}"} for n in range(CREW))
    refused = [answer["error"] for answer in answers if isinstance(answer, dict)]
    assert refused == ["SnapshotRefused"] * (CREW - 1)
    assert crew.ask("count", model="Snapshot", project__slug=project) == 1


def test_the_same_file_imported_twice_at_once_adds_each_prompt_once(crew, tmp_path: Path):
    project = crew.ask("labelled_project")
    before = crew.ask("count", model="Prompt", project__slug=project)
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"Question {number}?"}) + "\n" for number in range(50)))
    added = crew.race([{"action": "load_prompts", "project": project, "path": str(path)}] * CREW)
    assert sorted(added) == [0] * (CREW - 1) + [50]
    assert crew.ask("count", model="Prompt", project__slug=project) == before + 50


def test_a_file_of_votes_that_eight_import_at_once_is_stored_once(crew, tmp_path):
    project = crew.ask("labelled_project")
    queue = crew.ask("empty_queue", project=project)
    path = tmp_path / "votes.jsonl"
    rows = [
        {
            "prompt": f"Which of the two, number {number % 10}?", "response_a": "This.", "response_b": "That.",
            "winner": "ab"[number % 2], "annotator": f"w{number}", "created_at": "2026-01-01T10:00:00Z",
        }
        for number in range(60)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    order = {"action": "load_votes", "project": project, "path": str(path), "queue": queue}
    stored = crew.race([order] * CREW)
    assert sum(one.get("judgments", 0) for one in stored) == 60, stored
    assert sum(one.get("there", 0) for one in stored) == 60 * (CREW - 1)
    assert crew.ask("count", model="Judgment", queue=queue) == 60
    assert crew.ask("count", model="Task", queue=queue) == 10
    assert crew.ask("count", model="Assignment", queue=queue, state="done") == 60
    assert crew.ask("count", model="ImportedPerson", project__slug=project) == 60
